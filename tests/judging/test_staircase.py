"""The staircase: its rule step by step, and simulated raters whose true threshold it finds."""

from __future__ import annotations

import math
import random
from statistics import geometric_mean, median

import pytest
from scipy.stats import binomtest

from limner.judging.staircase import HIGH, LEVELS, LOW, START, TARGET, Stair, climb, of_level, threshold

STEEP = 10.0
"""Logistic slope per factor of ten in exposure."""


def chance(milliseconds: float, true: float) -> float:
    """p(right): half at nothing, 79.4 % at the true threshold, all at plenty."""
    offset = math.log((TARGET - 0.5) / (1 - TARGET))
    return 0.5 + 0.5 / (1 + math.exp(-offset - STEEP * math.log10(milliseconds / true)))


def rater(true: float, trials: int, rng: random.Random) -> list[bool]:
    """Answers of a rater with this threshold, each at the exposure that the answers before lead to."""
    stair, right = Stair(), []
    for _ in range(trials):
        right.append(rng.random() < chance(stair.milliseconds, true))
        stair = stair.after(right[-1])
    assert stair == climb(right)
    return right


def test_the_rule_step_by_step() -> None:
    assert climb([]).level == START and of_level(START) == pytest.approx(501, abs=1)
    assert climb([True] * 2).level == START
    assert climb([True] * 3).level == START - 2 and climb([True] * 6).level == START - 4
    assert climb([False]).level == START + 2
    turned = climb([True] * 3 + [False])
    assert turned.turns == (START - 2,) and turned.level == START - 1
    assert climb([True] * 3 + [False, True, True, False]).turns == (START - 2,)
    assert climb([True, True, False]).level == START + 2  # two right are forgotten
    assert climb([False] * 50).milliseconds == HIGH and climb([True] * 200).milliseconds == LOW
    assert of_level(LEVELS) == HIGH


def test_it_settles_at_79_percent() -> None:
    """One very long staircase: the share of right answers is Levitt's, as is the threshold."""
    right = rater(300, 4000, random.Random(0))
    assert pytest.approx(0.794, abs=1e-3) == TARGET
    assert sum(right[500:]) / 3500 == pytest.approx(TARGET, abs=0.015)
    found = threshold(right)
    assert found is not None and found.milliseconds == pytest.approx(300, rel=0.04)


@pytest.mark.parametrize("true", [180.0, 300.0, 600.0])
def test_it_finds_the_raters_threshold_in_100_trials(true: float) -> None:
    rng = random.Random(int(true))
    found = [threshold(rater(true, 100, rng)) for _ in range(100)]
    values = [f.milliseconds for f in found if f]
    assert len(values) == 100
    assert geometric_mean(values) == pytest.approx(true, rel=0.06)
    assert median(abs(math.log(v / true)) for v in values) < 0.1
    covered = sum(f.low <= true <= f.high for f in found if f)
    assert binomtest(covered, 100, 0.95).pvalue > 1e-3, covered


def test_it_says_when_the_threshold_is_out_of_reach() -> None:
    rng = random.Random(3)
    above = [threshold(rater(20_000, 100, rng)) for _ in range(20)]
    assert sum(f is not None and f.beyond == "above" for f in above) >= 17
    below = [threshold(rater(20, 150, rng)) for _ in range(10)]
    assert all(f is None or f.beyond == "below" for f in below)
    assert threshold([True] * 19) is None
