"""What happened in a run, a JSON line each, and the same numbers for TensorBoard where it is installed."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from limner.core.events import Event, Preview, Progress, Scores

EVERY = 1.0
"""Seconds between two lines of progress."""


class Journal:
    """events.jsonl of a run folder, appended to; `history` holds the numbers of earlier sessions too."""

    def __init__(self, folder: Path) -> None:
        path = folder / "events.jsonl"
        self.history = read(path)
        cut_short = path.exists() and not (b"\n" + path.read_bytes()).endswith(b"\n")
        self._file = path.open("a")
        self._file.write("\n" if cut_short else "")
        self._last = 0.0
        self._board = _tensorboard(folder)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()

    def note(self, event: Event) -> None:
        """Write an event down; of progress, one a second."""
        if isinstance(event, Preview):
            self._show(lambda board: board.add_image(event.name, event.images[0], event.nimg, dataformats="HWC"))
            return
        if isinstance(event, Progress):
            if time.monotonic() - self._last < EVERY or not event.losses:
                return
            self._last = time.monotonic()
        line = {"event": type(event).__name__} | {k: _plain(v) for k, v in dataclasses.asdict(event).items()}
        self.history.append(line)
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        numbers = event.losses if isinstance(event, Progress) else event.values if isinstance(event, Scores) else {}
        for name, number in numbers.items():
            self._show(lambda board, name=name, number=number: board.add_scalar(name, number, event.nimg))

    def _show(self, draw: Callable[[Any], None]) -> None:
        if self._board is not None:
            draw(self._board)


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal; what was cut short or damaged is left out."""
    lines: list[dict[str, Any]] = []
    for text in path.read_text(errors="replace").splitlines() if path.exists() else []:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and "event" in line:
            lines.append(line)
    return lines


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _tensorboard(folder: Path) -> Any:
    if find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"))
