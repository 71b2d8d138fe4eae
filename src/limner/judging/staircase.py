"""A staircase of exposures: three right answers in a row make it shorter, a wrong one longer.

Where the two balance, p³ = 1/2: it settles at the exposure at which a rater is right in 79.4 % (Levitt 1971,
Transformed up-down methods in psychoacoustics). Levels are a constant factor apart, from 100 to 1000 ms as in
HYPE_time (Zhou et al. 2019), beginning near 500 ms with double steps up to the first turn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LOW, HIGH = 100.0, 1000.0
LEVELS = 20
"""Steps from LOW to HIGH, a factor of 1.12 each."""
START = 14
RUN = 3
TARGET = 0.5 ** (1 / RUN)
"""Share of right answers at which the staircase settles: 0.794."""
SKIPPED = 2
"""First turns that still show where it began."""


@dataclass(frozen=True)
class Stair:
    """Where a staircase stands: its level, and the levels at which it turned."""

    level: int
    turns: tuple[int, ...]

    @property
    def milliseconds(self) -> float:
        """The exposure at this level, a whole number."""
        return float(round(of_level(self.level)))


@dataclass(frozen=True)
class Threshold:
    """The exposure at which a rater is right in 79.4 % of the trials.

    milliseconds: the mean of the turns, geometric
    low: lower end of its 95 % interval
    high: upper end; both are the threshold's own value where there are too few turns to tell
    turns: how many turns it rests on
    beyond: `above` where even the longest exposure was too short, `below` where the shortest was enough, else empty
    """

    milliseconds: float
    low: float
    high: float
    turns: int
    beyond: str = ""


def of_level(level: float) -> float:
    """Milliseconds of a level, which may lie between two."""
    return LOW * (HIGH / LOW) ** (level / LEVELS)


def climb(right: Sequence[bool]) -> Stair:
    """Where the staircase stands after these answers."""
    level, run, way = START, 0, 0
    turns: list[int] = []
    for answer in right:
        run = run + 1 if answer else 0
        if answer and run < RUN:
            continue
        run, before, way = 0, way, -1 if answer else 1
        if before and way != before:
            turns.append(level)
        level = min(max(level + way * (1 if turns else 2), 0), LEVELS)
    return Stair(level, tuple(turns))


def threshold(right: Sequence[bool]) -> Threshold | None:
    """The threshold of a rater who gave these answers, from an even number of turns; None before there are four."""
    turns = climb(right).turns[SKIPPED:]
    turns = turns[len(turns) % 2 :]
    if len(turns) < 2:
        return None
    middles = [(a + b) / 2 for a, b in zip(turns[::2], turns[1::2], strict=True)]
    mean = sum(middles) / len(middles)
    reach = _reach(middles, mean)
    beyond = "above" if mean >= LEVELS - 1 else "below" if mean <= 1 else ""
    return Threshold(of_level(mean), of_level(mean - reach), of_level(mean + reach), len(turns), beyond)


def _reach(middles: Sequence[float], mean: float) -> float:
    """Half the width of Student's 95 % interval of the mean; each middle of a run counts as one measurement."""
    if len(middles) < 2:
        return 0.0
    from scipy.stats import t

    variance = sum((m - mean) ** 2 for m in middles) / (len(middles) - 1)
    return float(t.ppf(0.975, len(middles) - 1)) * math.sqrt(variance / len(middles))
