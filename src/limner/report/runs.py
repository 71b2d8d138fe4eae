"""Runs side by side: what is known of each, the settings that differ, and its previews at a given time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from limner.core.errors import UserError
from limner.core.pixels import Bytes, grid
from limner.report.history import History
from limner.report.settings import differences, settings

GAP = 2
"""Pixels between the pictures of a preview."""


@dataclass(frozen=True)
class Ran:
    """One run.

    name: as it was given
    folder: its run folder
    settings: run.json
    history: what its journal tells
    """

    name: str
    folder: Path
    settings: dict[str, Any]
    history: History

    @classmethod
    def read(cls, name: str) -> Ran:
        """A run folder. Raises UserError when it is none."""
        folder = Path(name)
        if not folder.is_dir():
            raise UserError(f"{name}: there is no such folder; give run folders, as limner train --out made them")
        return cls(name, folder, settings(folder), History.of(folder))

    @property
    def facts(self) -> dict[str, float]:
        """Images, seconds, speed, and the scores of the state that was kept."""
        h = self.history
        speed = {"images a second": h.nimg / h.seconds} if h.seconds > 0 else {}
        kept = {"kept after images": float(h.kept)} if h.kept is not None else {}
        return {"images": float(h.nimg), "seconds": h.seconds, **speed, **kept, **h.look(), "alarms": len(h.alarms)}

    def preview(self, until: float, time: str) -> tuple[int, float, Bytes] | None:
        """The newest preview at most so many `nimg` or `seconds` into the run: images, seconds, its pictures."""
        past = [(n, s) for n, s in self.history.looks if (n if time == "nimg" else s) <= until + 1e-9]
        for nimg, spent in reversed(past):
            file = self.folder / "previews" / f"{nimg:010d}.png"
            if file.exists():
                return nimg, spent, self._pictures(file)
        return None

    def _pictures(self, file: Path) -> Bytes:
        """The pictures of a preview sheet (n, h, w, c); the sheet as one where their shape is not known."""
        from PIL import Image

        with Image.open(file) as opened:
            sheet = np.asarray(opened)
        sheet = sheet.reshape(*sheet.shape[:2], -1)
        image = (self.settings.get("nets", {}).get("generator") or {}).get("image") or {}
        return untiled(sheet, image["height"], image["width"]) if "height" in image else sheet[None]


def untiled(sheet: Bytes, height: int, width: int) -> Bytes:
    """The pictures of `enlarge(grid(pictures, 8), k)`, (n, h, w, c), whatever k was; the sheet itself if it is none.

    A caption below them is left out.
    """
    k = next((k for k in range(1, sheet.shape[1] + 1) if sheet.shape[1] == k * (8 * (width + GAP) + GAP)), 0)
    small = sheet[::k, ::k] if k else sheet[:0]
    for rows in range((len(small) - GAP) // (height + GAP), 0, -1):
        corners = [(GAP + r * (height + GAP), GAP + c * (width + GAP)) for r in range(rows) for c in range(8)]
        pictures = np.stack([small[top : top + height, left : left + width] for top, left in corners])
        if np.array_equal(grid(pictures, 8), small[: rows * (height + GAP) + GAP]):
            return pictures
    return sheet[None]


def differing(runs: Sequence[Ran]) -> dict[str, list[str]]:
    """The settings that differ between the runs, and what they are in each."""
    return differences([run.settings for run in runs])


def quantities(runs: Sequence[Ran]) -> list[str]:
    """The names of all facts of all runs, in order."""
    names = dict.fromkeys(name for run in runs for name in run.facts if name != "alarms")
    return [*names, "alarms"]


def moments(runs: Sequence[Ran], time: str) -> list[float]:
    """A quarter, half and all of the shortest run, in `nimg` or `seconds`."""
    end = min((getattr(run.history, time) for run in runs), default=0)
    return [share * end for share in (0.25, 0.5, 1.0)] if end > 0 else []


def as_rows(runs: Sequence[Ran]) -> list[list[str]]:
    """The table of runs as lines of a CSV file, its head first: what differs, then what came of it."""
    keys, names = differing(runs), quantities(runs)
    lines = [["run", *keys, *names]]
    for k, run in enumerate(runs):
        facts = run.facts
        came = [_number(facts.get(name, math.nan)) for name in names]
        lines.append([run.name, *(values[k] for values in keys.values()), *came])
    return lines


def _number(value: float) -> str:
    if not math.isfinite(value):
        return ""
    return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}"
