"""What a run folder's journal tells of the training: curves over images and over seconds, alarms, looks."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from limner.journal import read
from limner.report.standing import Standing, standing_of

SMOOTH = 40
"""A loss is shown as the running mean over this part of its points."""


@dataclass(frozen=True)
class Curve:
    """One quantity of a run: images seen, seconds of training and value, point by point.

    errors: standard error of each value, empty where it is not known
    """

    name: str
    nimg: tuple[int, ...]
    seconds: tuple[float, ...]
    values: tuple[float, ...]
    errors: tuple[float, ...] = ()

    def over(self, time: str) -> list[tuple[float, float]]:
        """(time, value) pairs; `time` is `nimg` or `seconds`."""
        return list(zip(getattr(self, time), self.values, strict=True))


@dataclass(frozen=True)
class History:
    """What happened in a run.

    losses, scores: name → curve
    alarms: (images, what was said)
    nimg, seconds: at its end
    kept: images that the model file has seen, where that is known
    looks: (images, seconds) of each moment at which previews were made
    standing: whether it was still getting better; None before the first score
    """

    losses: dict[str, Curve] = field(default_factory=dict[str, Curve])
    scores: dict[str, Curve] = field(default_factory=dict[str, Curve])
    alarms: tuple[tuple[int, str], ...] = ()
    nimg: int = 0
    seconds: float = 0.0
    kept: int | None = None
    looks: tuple[tuple[int, float], ...] = ()
    standing: Standing | None = None

    @classmethod
    def of(cls, folder: Path) -> History:
        """That of a run folder; empty where there is none."""
        lines = _undone(read(folder / "events.jsonl"))
        clock = _Clock(lines)
        losses = _curves(lines, "Progress", "losses", clock)
        last = max(lines, key=lambda line: line["nimg"], default={"nimg": 0})["nimg"]
        best = folder / "best"
        said = best.read_text("utf-8").strip() if best.exists() else ""
        return cls(
            {name: _smooth(curve) for name, curve in losses.items()},
            _with_errors(_curves(lines, "Scores", "values", clock), lines),
            tuple((line["nimg"], line["words"]) for line in lines if line["event"] == "Alarm"),
            last,
            clock.at(last),
            int(said) if said.isdigit() else None,
            tuple((line["nimg"], float(line["seconds"])) for line in lines if line["event"] == "Look"),
            standing_of(folder),
        )

    def look(self) -> dict[str, float]:
        """The scores of the state that was kept, or of the last one."""
        at = self.nimg if self.kept is None else self.kept
        last = {name: bisect.bisect_right(curve.nimg, at) - 1 for name, curve in self.scores.items()}
        return {name: self.scores[name].values[k] for name, k in last.items() if k >= 0}


class _Clock:
    """Images → seconds of training, by the events that say both."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        both = sorted((line["nimg"], float(line["seconds"])) for line in lines if "seconds" in line)
        self._nimg = [n for n, _ in both] or [0]
        self._seconds = [s for _, s in both] or [0.0]

    def at(self, nimg: int) -> float:
        """Seconds after so many images, between two events in proportion."""
        right = bisect.bisect_left(self._nimg, nimg)
        if right >= len(self._nimg):
            return self._seconds[-1]
        if self._nimg[right] == nimg or right == 0:
            return self._seconds[right]
        a, b = self._nimg[right - 1], self._nimg[right]
        return self._seconds[right - 1] + (nimg - a) / (b - a) * (self._seconds[right] - self._seconds[right - 1])


def _undone(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The journal without what a roll-back or a resumption from an older state undid."""
    kept: list[dict[str, Any]] = []
    for line in lines:
        if not isinstance(line.get("nimg"), int):
            continue
        if line["event"] != "Alarm":
            while kept and kept[-1]["nimg"] > line["nimg"] and kept[-1]["event"] != "Alarm":
                kept.pop()
        kept.append(line)
    return kept


def _curves(lines: list[dict[str, Any]], event: str, field: str, clock: _Clock) -> dict[str, Curve]:
    points: dict[str, dict[int, float]] = {}
    for line in lines:
        for name, value in line.get(field, {}).items() if line["event"] == event else ():
            if isinstance(value, (int, float)) and value == value and abs(value) < float("inf"):
                points.setdefault(name, {})[line["nimg"]] = float(value)
    found = {name: sorted(there.items()) for name, there in points.items()}
    return {
        name: Curve(name, tuple(n for n, _ in there), tuple(clock.at(n) for n, _ in there), tuple(v for _, v in there))
        for name, there in found.items()
    }


def _with_errors(curves: dict[str, Curve], lines: list[dict[str, Any]]) -> dict[str, Curve]:
    """The curve that is the score with the standard errors that the journal tells of it."""
    told = {line["nimg"]: line for line in lines if line["event"] == "Scores" and line.get("error")}
    looks = list(told.values())
    known = {name for name in curves if looks and all(look["values"].get(name) == look["score"] for look in looks)}
    return {
        name: replace(curve, errors=tuple(told[n]["error"] if n in told else 0.0 for n in curve.nimg))
        if name in known
        else curve
        for name, curve in curves.items()
    }


def _smooth(curve: Curve) -> Curve:
    width, v = max(1, len(curve.values) // SMOOTH), curve.values
    means = tuple(sum(v[max(0, i - width + 1) : i + 1]) / min(i + 1, width) for i in range(len(v)))
    return Curve(curve.name, curve.nimg, curve.seconds, means)
