"""Is it still getting better? The held-out score over images, its noise, and what more training would bring.

The newest looks are laid on a straight line. They are *improving* while it falls by more than its own noise explains;
*over-fitting* or *getting worse* when the newest are all above the best by more than is noise; *flat* when neither is
so and nothing in them is better than what came before by more than a standard error. A forecast continues the tail
in the logarithm of images, where learning curves are nearly straight (Hestness et al. 2017).

Only the history counts, which is part of a training's state, and of that one look for each twentieth of the run: an
interruption, which adds a look, changes no decision.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

History = list[dict[str, float]]
Numbers = NDArray[np.float64]
Kind = Literal["too early", "improving", "flat", "getting worse", "over-fitting"]
CELLS = 20
"""Parts of a run of which each gives one look."""
WINDOW = 6
"""Newest looks that are judged."""
LATE = 3
"""Looks in a row that must be worse than the best."""
SURE = 3.0
"""Standard errors by which they must be worse."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Trend:
    """How a training stands after `nimg` images: what kind, and since how many images."""

    kind: Kind
    since: float
    nimg: float
    score: float
    error: float
    """Noise of one look: its standard error, or the scatter about the line where that is larger or alone known."""

    @property
    def over(self) -> bool:
        """Whether to go on is useless, as far as the score can see."""
        return self.kind in ("flat", "getting worse", "over-fitting")

    @property
    def words(self) -> str:
        """One sentence."""
        now = f"held-out score {self.score:.4g} ± {self.error:.2g} after {self.nimg:,.0f} images"
        since = f"since {self.since:,.0f} images"
        rest = {
            "too early": f": too early to tell, {WINDOW} looks are needed",
            "improving": f", improving {since}",
            "flat": f", flat {since}: what it gains is lost in the noise",
            "getting worse": f", getting worse {since}",
            "over-fitting": f", over-fitting {since}: the critic knows the training pictures by heart",
        }
        return now + rest[self.kind]


@dataclass(frozen=True)
class Forecast:
    """The score after more images, with a 95 % interval; `sure` says whether that excludes the score of today."""

    images: float
    score: float
    low: float
    high: float
    now: float

    @property
    def sure(self) -> bool:
        return not self.low <= self.now <= self.high

    def words(self, what: str) -> str:
        """One sentence; `what` is what is asked about, such as `another 10 minutes`."""
        if not math.isfinite(self.score):
            return f"{what}: cannot tell yet, the run is too short or does not follow a line"
        span = f"{self.score:.4g} ({self.low:.4g} … {self.high:.4g})"
        if not self.sure:
            return f"{what} ({self.images:,.0f} images): cannot tell, {span} where it is {self.now:.4g} now"
        change = "better" if self.score < self.now else "worse"
        return f"{what} ({self.images:,.0f} images): probably {change}, {span} where it is {self.now:.4g} now"


def regular(history: History) -> History:
    """The first look in each twentieth of the run that has a finite score, without that of the untrained networks."""
    cells = [math.floor(look["share"] * CELLS) for look in history]
    first = [look for look, cell, before in zip(history, cells, [-1, *cells], strict=False) if cell != before]
    return [look for look in first if look["nimg"] > 0 and math.isfinite(look["score"])]


def trend(history: History) -> Trend:
    """How the newest looks stand. Raises ValueError for a history without a finite score."""
    looks = regular(history)
    if not looks:
        raise ValueError("no look has a score yet")
    now = looks[-1]
    if len(looks) < WINDOW:
        return Trend("too early", looks[0]["nimg"], now["nimg"], now["score"], now.get("error", 0.0))
    kind = _kind(looks, WINDOW)
    return Trend(kind, _since(looks, kind), now["nimg"], now["score"], _noise(looks[-WINDOW:]))


def finished(history: History) -> str:
    """Why to stop, in words, or nothing: what `--until flat` asks."""
    if len(regular(history)) < WINDOW:
        return ""
    found = trend(history)
    return found.words if found.over else ""


def forecast(history: History, images: float) -> Forecast:
    """The score after so many more images: a line in log images through looks after the first quarter of the images,
    or since the score has been flat or has got worse.
    """
    from scipy.special import stdtrit

    looks = regular(history)
    tail = _tail(looks, trend(history)) if looks else []
    if len(tail) < WINDOW:
        now = looks[-1]["score"] if looks else math.nan
        return Forecast(images, math.nan, math.nan, math.nan, now)
    x, y = _column(tail, "nimg"), _column(tail, "score")
    error = max(float(np.mean([look.get("error", 0.0) for look in tail])), 0.0)
    # far from its noise a score falls by equal factors, near it only differences mean something
    powers = bool((y > 4 * error).all() and (y > 0).all())
    back: Callable[[float], float] = math.exp if powers else float
    line = Line.through(np.log(x), np.log(y) if powers else y)
    at = math.log(x[-1] + images)
    middle, reach = line.at(at), float(stdtrit(len(x) - 2, (1 + CONFIDENCE) / 2)) * line.error(at)
    low, mean, high = (back(v) for v in (middle - reach, middle, middle + reach))
    return Forecast(images, mean, low, high, back(line.at(math.log(x[-1]))))


@dataclass(frozen=True)
class Line:
    """Least squares through points: slope, the middle, and the scatter about it."""

    slope: float
    x: float
    y: float
    spread: float
    """Sum of squared distances of the x from their mean."""
    scatter: float
    n: int

    @classmethod
    def through(cls, x: Numbers, y: Numbers) -> Line:
        """Of three points or more."""
        spread = float(((x - x.mean()) ** 2).sum())
        slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread
        left = y - y.mean() - slope * (x - x.mean())
        return cls(slope, float(x.mean()), float(y.mean()), spread, math.sqrt(float((left**2).sum()) / (len(x) - 2)),
                   len(x))  # fmt: skip

    def at(self, x: float) -> float:
        """Height of the line."""
        return self.y + self.slope * (x - self.x)

    def error(self, x: float) -> float:
        """Standard error of the line's height there."""
        return self.scatter * math.sqrt(1 / self.n + (x - self.x) ** 2 / self.spread)

    def falls(self) -> bool:
        """Whether the slope is below 0 by more than chance would have it one time in twenty."""
        from scipy.special import stdtr

        error = self.scatter / math.sqrt(self.spread)
        if error == 0:
            return self.slope < 0
        return float(stdtr(self.n - 2, self.slope / error)) < 1 - CONFIDENCE


def _since(looks: History, kind: Kind) -> float:
    """Where it began: at the best look, or as far back as all the looks since then show the same."""
    if kind in ("getting worse", "over-fitting"):
        return looks[int(_column(looks, "score").argmin())]["nimg"]
    others = (size for size in range(WINDOW, len(looks) + 1) if _kind(looks, size) != kind)
    return looks[-next(others, len(looks) + 1) + 1]["nimg"]


def _kind(looks: History, size: int) -> Kind:
    """Of so many newest looks."""
    window, scores = looks[-size:], _column(looks, "score")
    noise, best = _noise(window), scores.min()
    if (scores[-LATE:] > np.maximum(1.3 * best, best + SURE * noise)).all():
        by_heart = all(look.get("critic gap", 0.0) > 0.5 for look in window[-LATE:])
        return "over-fitting" if by_heart else "getting worse"
    before = scores[:-size].min() if len(looks) > size else math.inf
    better = scores[-size:].min() < before - noise
    falls = Line.through(np.arange(float(size)), scores[-size:]).falls()
    return "improving" if falls or better else "flat"


def _noise(window: History) -> float:
    """Noise of one look: its standard error on average, or the scatter of the looks where nothing better is known."""
    known = [look["error"] for look in window if look.get("error", 0.0) > 0]
    if known:
        return float(np.mean(known))
    return Line.through(np.arange(float(len(window))), _column(window, "score")).scatter


def _tail(looks: History, found: Trend) -> History:
    """The looks that a forecast continues."""
    begin = max(found.nimg / 4, found.since if found.over else 0.0)
    return looks[-max(WINDOW, sum(look["nimg"] >= begin for look in looks)) :]


def _column(looks: History, name: str) -> Numbers:
    return np.array([look[name] for look in looks], np.float64)
