"""A staircase of exposures: three right answers in a row make it shorter, a wrong one longer.

Where the two balance, p³ = 1/2: it settles at the exposure at which a rater is right in 79.4 % (Levitt 1971,
Transformed up-down methods in psychoacoustics). Levels are a constant factor apart, from 100 to 1000 ms as in
HYPE_time (Zhou et al. 2019), beginning near 500 ms with double steps up to the first turn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import accumulate

import numpy as np

LOW, HIGH = 100.0, 1000.0
LEVELS = 20
"""Steps from LOW to HIGH, a factor of 1.12 each."""
START = 14
RUN = 3
TARGET = 0.5 ** (1 / RUN)
"""Share of right answers at which the staircase settles: 0.794."""
OFFSET = math.log((TARGET - 0.5) / (1 - TARGET))
"""Where a logistic curve from 1/2 to 1 passes TARGET."""
FEWEST = 20
"""Answers below which nothing is said of a threshold."""


@dataclass(frozen=True)
class Stair:
    """Where a staircase stands.

    level: from 0, the shortest exposure, to LEVELS, the longest
    run: right answers since the level last moved
    way: how it last moved: 1 longer, -1 shorter, 0 not yet
    turns: the levels at which it turned
    """

    level: int = START
    run: int = 0
    way: int = 0
    turns: tuple[int, ...] = ()

    @property
    def milliseconds(self) -> float:
        """The exposure at this level, a whole number."""
        return float(round(of_level(self.level)))

    def after(self, right: bool) -> Stair:
        """Where it stands after one more answer."""
        run = self.run + 1 if right else 0
        if right and run < RUN:
            return replace(self, run=run)
        way = -1 if right else 1
        turns = (*self.turns, self.level) if self.way and way != self.way else self.turns
        level = self.level + way * (1 if turns else 2)
        return Stair(min(max(level, 0), LEVELS), 0, way, turns)


@dataclass(frozen=True)
class Threshold:
    """The exposure at which a rater is right in 79.4 % of the trials.

    milliseconds: the posterior median, within what was shown
    low: lower end of the 95 % credible interval
    high: upper end
    n: answers that it rests on
    beyond: `above` where even the longest exposure was too short, `below` where the shortest was enough, else empty
    """

    milliseconds: float
    low: float
    high: float
    n: int
    beyond: str = ""


def of_level(level: float) -> float:
    """Milliseconds of a level, which may lie between two."""
    return LOW * (HIGH / LOW) ** (level / LEVELS)


def climb(right: Sequence[bool]) -> Stair:
    """Where the staircase stands after these answers."""
    return reduce(Stair.after, right, Stair())


def threshold(right: Sequence[bool]) -> Threshold | None:
    """The threshold of a rater who gave these answers; None for fewer than FEWEST.

    A logistic curve in the logarithm of the exposure, from 1/2 at none to 1, is fitted by Bayes' rule on a grid of
    thresholds and slopes, both log-uniform. The mean of the turns, Levitt's estimate, is as good but has no interval
    that holds: turns depend on each other.
    """
    if len(right) < FEWEST:
        return None
    exposures = [stair.milliseconds for stair in accumulate(right, Stair.after, initial=Stair())][:-1]
    at = np.geomspace(LOW / 4, HIGH * 4, 161)
    slope = np.geomspace(2, 40, 16)[:, None]
    shown, which = np.unique(exposures, return_inverse=True)
    n = np.bincount(which)
    good = np.bincount(which, weights=np.asarray(right, float))
    fit = np.zeros((len(slope), len(at)))
    for milliseconds, all_, correct in zip(shown, n, good, strict=True):
        wrong = 0.5 / (1 + np.exp(OFFSET + slope * np.log10(milliseconds / at)))
        fit += correct * np.log1p(-wrong) + (all_ - correct) * np.log(wrong)
    share = np.exp(fit - fit.max()).sum(0).cumsum()
    low, middle, high = np.exp(np.interp([0.025, 0.5, 0.975], share / share[-1], np.log(at))).tolist()
    beyond = "above" if middle > HIGH else "below" if middle < LOW else ""
    return Threshold(min(max(middle, LOW), HIGH), low, high, len(right), beyond)
