"""What made-up pictures are worth: a classifier trained on them, on few real ones, and on both, judged on real ones.

Beside them stands the classical way to stretch few pictures: turned, moved and scaled copies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from limner.augments.base import Augment
from limner.core.errors import UserError
from limner.core.rng import derived
from limner.recognise.classifier import STEPS, learn, share_right
from limner.recognise.scores import Labelled, Score, drawn

NETWORK = "small network"
REAL, REAL_MOVED = "real", "real, moved"
MADE = "made"
BOTH, BOTH_MOVED = "real + made", "real + made, moved"
ARMS = (REAL, REAL_MOVED, BOTH, BOTH_MOVED)


@dataclass(frozen=True)
class Gain:
    """What one way of training names more than another, on the same draws of real pictures.

    over: what it is compared with
    real: real pictures of each class
    points: mean of the differences, as a share
    low: lower end of the 95 % interval of that mean, by Student's t
    high: upper end
    """

    over: str
    real: int
    points: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """In a word."""
        return "helps" if self.low > 0 else "harms" if self.high < 0 else "no difference that can be told from chance"


def level(counts: Sequence[int], per_class: int | None) -> tuple[int, ...]:
    """How many pictures to make of each class: so many of each, or what each lacks of the largest."""
    return tuple(max(counts) - n if per_class is None else per_class for n in counts)


def measure(
    real: Labelled,
    made: Labelled,
    test: Labelled,
    *,
    per_class: Sequence[int],
    draws: int,
    seed: int,
    augment: Augment,
    steps: int = STEPS,
) -> Iterator[tuple[Score, float]]:
    """Every way of training with so many real pictures of each class, and on made ones alone; (score, share done).

    All ways train the same network for the same number of steps, on the same draws. Raises UserError where there are
    too few real pictures.
    """
    classes = np.unique(real.labels)
    least = int(np.unique(real.labels, return_counts=True)[1].min())
    if short := [n for n in per_class if n > least]:
        raise UserError(f"--real {short[0]}: some class has only {least} real pictures; give {least} or fewer")
    count = int(np.concatenate([real.labels, made.labels, test.labels]).max()) + 1
    total, over = len(per_class) * len(ARMS) + 1, 1
    alone = [share_right(learn([made], count, derived(seed, k, "net"), None, steps), test) for k in range(draws)]
    yield Score(MADE, NETWORK, 0, tuple(alone), len(test)), over / total
    for size in per_class:
        picked = [drawn(real.labels, size * len(classes), seed, k) for k in range(draws)]
        some = [Labelled(real.pixels[rows], real.labels[rows]) for rows in picked]
        for arm in ARMS:
            moved = augment if arm in (REAL_MOVED, BOTH_MOVED) else None
            sources = [[few] if arm in (REAL, REAL_MOVED) else [few, made] for few in some]
            nets = (learn(each, count, derived(seed, k, "net"), moved, steps) for k, each in enumerate(sources))
            over += 1
            yield Score(arm, NETWORK, size, tuple(share_right(net, test) for net in nets), len(test)), over / total


def gains(scores: Sequence[Score]) -> list[Gain]:
    """Of made pictures beside real ones: without and with classical augmentation, for each number of real ones."""
    known = {(s.features, s.labels): s.right for s in scores}
    sizes = list(dict.fromkeys(s.labels for s in scores if s.labels))
    pairs = ((REAL, BOTH), (REAL_MOVED, BOTH_MOVED))
    return [_gain(plain, size, known[more, size], known[plain, size]) for size in sizes for plain, more in pairs]


def _gain(over: str, size: int, better: Sequence[float], plain: Sequence[float]) -> Gain:
    from scipy.stats import t

    apart = np.subtract(better, plain)
    mean, n = float(apart.mean()), len(apart)
    reach = float(t.ppf(0.975, n - 1)) * float(apart.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
    return Gain(over, size, mean, mean - reach, mean + reach)
