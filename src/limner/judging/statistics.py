"""Statistics of judgements: error rates with intervals, agreement between raters, discrimination free of bias."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

Ratings = Sequence[Sequence[Hashable]]
"""What each item was called, one entry a rater who judged it; items may have different numbers of entries."""


@dataclass(frozen=True)
class Rate:
    """A share of wrong answers with Wilson's 95 % interval, which takes the answers as independent.

    wrong: wrong answers
    n: all answers
    rate: wrong / n, nan where there are none
    low: lower end
    high: upper end
    """

    wrong: int
    n: int
    rate: float
    low: float
    high: float

    @property
    def reach(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Agreement:
    """How far raters agree beyond chance: 1 is always, 0 is by chance.

    raters: raters who share an item with another
    items: items that two or more of them judged
    share: part of the pairs of answers to the same item that are equal
    cohen: Cohen's κ (1960), of two raters only, else None
    fleiss: Fleiss' κ (1971), over the items that all of them judged; None where there are none
    krippendorff: Krippendorff's α (2011), nominal; any items, any raters
    """

    raters: int
    items: int
    share: float
    cohen: float | None
    fleiss: float | None
    krippendorff: float


@lru_cache(maxsize=4096)
def rate(wrong: int, n: int) -> Rate:
    """The rate of errors in n answers (Wilson 1927)."""
    if n == 0:
        return Rate(0, 0, math.nan, 0.0, 1.0)
    from scipy.stats import binomtest

    ends = binomtest(wrong, n).proportion_ci(0.95, "wilson")
    return Rate(wrong, n, wrong / n, float(ends.low), float(ends.high))


def over_raters(rates: Sequence[Rate]) -> tuple[float, float] | None:
    """95 % interval for the error rate of raters like these; None for fewer than three.

    Answers of one rater are alike, so raters are the sample: a ratio estimate over clusters (Cochran 1977, chapter 9),
    with Student's t of one degree of freedom fewer than raters.
    """
    given = [r for r in rates if r.n]
    total = sum(r.n for r in given)
    if len(given) < 3:
        return None
    from scipy.stats import t

    mean = sum(r.wrong for r in given) / total
    spread = sum((r.wrong - mean * r.n) ** 2 for r in given) * len(given) / (len(given) - 1)
    reach = float(t.ppf(0.975, len(given) - 1)) * math.sqrt(spread) / total
    return max(0.0, mean - reach), min(1.0, mean + reach)


def sensitivity(caught: int, fakes: int, alarms: int, reals: int) -> float:
    """d′ of saying `fake`: 0 is guessing, whatever one prefers to say (Green & Swets 1966).

    Counts get a half added and totals one, so that perfect raters stay finite (Hautus 1995).
    """
    z = NormalDist().inv_cdf
    return z((caught + 0.5) / (fakes + 1)) - z((alarms + 0.5) / (reals + 1))


def sensitivity_of_pairs(right: int, n: int) -> float:
    """d′ of choosing the real one of two: √2 z(share right), with the same correction."""
    return math.sqrt(2) * NormalDist().inv_cdf((right + 0.5) / (n + 1))


def cohen(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Cohen's κ of two raters who judged the same items; nan where both always say the same one thing."""
    n = len(first)
    one, two = Counter(first), Counter(second)
    seen = sum(a == b for a, b in zip(first, second, strict=True)) / n
    chance = sum(one[word] * two[word] for word in one) / n**2
    return _beyond(seen, chance)


def fleiss(ratings: Ratings) -> float:
    """Fleiss' κ of items that were each judged by the same number of raters, two or more."""
    sizes = {len(item) for item in ratings}
    if len(sizes) != 1 or min(sizes) < 2:
        raise ValueError("every item needs the same number of ratings, two or more")
    counted = Counter(word for item in ratings for word in item)
    chance = sum((k / counted.total()) ** 2 for k in counted.values())
    return _beyond(sum(map(_agreeing, ratings)) / len(ratings), chance)


def krippendorff(ratings: Ratings) -> float:
    """Krippendorff's α for names, any number of ratings an item: 1 - disagreement seen / expected."""
    shared = [item for item in ratings if len(item) > 1]
    counted = Counter(word for item in shared for word in item)
    n = counted.total()
    seen = sum((1 - _agreeing(item)) * len(item) for item in shared) / n if n else math.nan
    expected = 1 - sum(k * (k - 1) for k in counted.values()) / (n * (n - 1)) if n > 1 else 0.0
    return 1 - seen / expected if expected else math.nan


def agreement(answers: Mapping[int, Mapping[int, Hashable]]) -> Agreement | None:
    """Agreement of answers[rater][item]; None where no item was judged twice."""
    items = {item for said in answers.values() for item in said}
    rows = {item: [said[item] for said in answers.values() if item in said] for item in items}
    shared = [row for row in rows.values() if len(row) > 1]
    if not shared:
        return None
    twice = {item for item, row in rows.items() if len(row) > 1}
    raters = [said for said in answers.values() if twice & said.keys()]
    complete = [row for row in shared if len(row) == len(raters)]
    pairs = sum(len(row) * (len(row) - 1) for row in shared)
    equal = sum(_agreeing(row) * len(row) * (len(row) - 1) for row in shared)
    two = len(raters) == 2
    return Agreement(
        len(raters), len(shared), equal / pairs,
        cohen(*zip(*complete, strict=True)) if two else None,
        fleiss(complete) if complete else None,
        krippendorff(shared),
    )  # fmt: skip


def _agreeing(item: Sequence[Hashable]) -> float:
    """Share of the ordered pairs of ratings of one item that are equal."""
    n = len(item)
    return sum(k * (k - 1) for k in Counter(item).values()) / (n * (n - 1))


def _beyond(seen: float, chance: float) -> float:
    return (seen - chance) / (1 - chance) if chance < 1 else math.nan
