"""Rates, intervals and agreement against published worked examples and against brute force."""

from __future__ import annotations

import math
import random
from itertools import permutations

import pytest
from scipy.stats import binom, binomtest

from limner.judging.statistics import (
    agreement,
    cohen,
    fleiss,
    krippendorff,
    over_raters,
    rate,
    sensitivity,
    sensitivity_of_pairs,
)

FLEISS_1971 = """0 0 0 0 14  0 2 6 4 2  0 0 3 5 6  0 3 9 2 0  2 2 8 1 1
7 7 0 0 0  3 2 6 3 0  2 5 3 2 2  6 5 2 1 0  0 2 2 3 7"""
"""Ten subjects, five categories, fourteen raters: the example of the article on Fleiss' kappa, κ = 0.210."""
KRIPPENDORFF_2011 = """1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 ."""
"""Computing Krippendorff's alpha-reliability, example C: four observers, twelve units, gaps, α = 0.743."""


def test_cohens_own_example() -> None:
    """Cohen (1960), table 1: 200 cases in three categories; .70 seen, .41 by chance."""
    table = [[88, 14, 18], [10, 40, 10], [2, 6, 12]]
    pairs = [(i, j) for i, row in enumerate(table) for j, k in enumerate(row) for _ in range(k)]
    assert cohen(*zip(*pairs, strict=True)) == pytest.approx((0.70 - 0.41) / (1 - 0.41), abs=1e-12)
    assert cohen([1, 0, 1], [1, 0, 1]) == 1
    assert math.isnan(cohen([1, 1], [1, 1]))


def test_fleiss_published_example() -> None:
    counts = [int(k) for k in FLEISS_1971.split()]
    items = [[c for c in range(5) for _ in range(counts[5 * row + c])] for row in range(10)]
    assert fleiss(items) == pytest.approx(0.210, abs=5e-4)
    with pytest.raises(ValueError, match="same number"):
        fleiss([[1, 0], [1, 0, 1]])


def test_krippendorffs_published_examples() -> None:
    rows = [line.split() for line in KRIPPENDORFF_2011.splitlines()]
    items = [[said for said in column if said != "."] for column in zip(*rows, strict=True)]
    assert krippendorff(items) == pytest.approx(0.743, abs=5e-4)
    # example A of the same paper: two observers, ten units, binary, no gaps
    pair = zip("0100000010", "1110010000", strict=True)
    assert krippendorff([list(unit) for unit in pair]) == pytest.approx(0.095, abs=5e-4)


def test_agreement_by_brute_force() -> None:
    """α as a double sum over pairs within and across items; the share of equal pairs counted one by one."""
    rng = random.Random(1)
    answers = {r: {i: rng.random() < 0.3 + 0.4 * (i % 2) for i in range(12) if rng.random() < 0.8} for r in range(4)}
    found = agreement(answers)
    assert found is not None and found.cohen is None
    rows = [[said[i] for said in answers.values() if i in said] for i in range(12)]
    rows = [row for row in rows if len(row) > 1]
    flat = [v for row in rows for v in row]
    seen = sum(sum(a != b for a, b in permutations(row, 2)) / (len(row) - 1) for row in rows) / len(flat)
    expected = sum(a != b for a, b in permutations(flat, 2)) / (len(flat) * (len(flat) - 1))
    assert found.krippendorff == pytest.approx(1 - seen / expected, abs=1e-12)
    equal = [a == b for row in rows for a, b in permutations(row, 2)]
    assert found.share == pytest.approx(sum(equal) / len(equal), abs=1e-12)
    assert found.items == len(rows) and found.raters == 4


def test_agreement_of_two_raters_and_of_none() -> None:
    one, two = [1, 1, 0, 0, 1, 0], [1, 0, 0, 0, 1, 1]
    found = agreement({1: dict(enumerate(one)), 2: dict(enumerate(two)), 3: {}})
    assert found is not None and found.raters == 2
    assert found.cohen == pytest.approx(cohen(one, two)) and found.share == pytest.approx(4 / 6)
    assert found.fleiss == pytest.approx(fleiss(list(zip(one, two, strict=True))))
    assert agreement({1: {0: 1}, 2: {1: 1}}) is None and agreement({}) is None


def test_wilson_is_the_published_interval_and_covers() -> None:
    """81 of 263: Newcombe (1998), table I, method 3; then the exact coverage for every p on a grid, n = 100."""
    found = rate(81, 263)
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert rate(0, 20).low == 0 and rate(20, 20).high == pytest.approx(1, abs=1e-12)
    assert math.isnan(rate(0, 0).rate) and rate(0, 0).reach == 0.5
    n = 100
    ends = [rate(k, n) for k in range(n + 1)]
    cover = [
        sum(binom.pmf(k, n, p) for k, e in enumerate(ends) if e.low <= p <= e.high)
        for p in (0.01 * step for step in range(2, 99))
    ]
    assert min(cover) > 0.92 and sum(cover) / len(cover) == pytest.approx(0.95, abs=0.005)


def test_interval_over_raters_covers_when_raters_differ() -> None:
    """Raters' own rates are drawn from a wide Beta; the interval of the answers alone is too narrow for them."""
    rng = random.Random(0)
    times, hit, naive = 400, 0, 0
    for _ in range(times):
        rates = []
        for _ in range(8):
            p, n = rng.betavariate(6, 14), rng.choice([40, 60])
            rates.append(rate(sum(rng.random() < p for _ in range(n)), n))
        low, high = over_raters(rates) or (1.0, 0.0)
        hit += low <= 0.3 <= high
        pooled = rate(sum(r.wrong for r in rates), sum(r.n for r in rates))
        naive += pooled.low <= 0.3 <= pooled.high
    assert binomtest(hit, times, 0.95).pvalue > 1e-3, hit
    assert naive < 0.85 * times
    assert over_raters(rates[:2]) is None


def test_sensitivity_is_blind_to_bias() -> None:
    """d′ of a rater who says `fake` in all cases, in half of them, never: 0; of one who knows: large and finite."""
    assert sensitivity(50, 50, 50, 50) == sensitivity(0, 50, 0, 50) == sensitivity(25, 50, 25, 50) == 0
    assert 4 < sensitivity(50, 50, 0, 50) < 6
    # z(.84) - z(.16): one standard deviation either way
    assert sensitivity(8413, 10000, 1587, 10000) == pytest.approx(2, abs=2e-3)
    assert sensitivity_of_pairs(25, 50) == 0
    assert sensitivity_of_pairs(9214, 10000) == pytest.approx(2, abs=2e-3)  # Φ(2/√2) = .9214
