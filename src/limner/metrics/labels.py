"""Scores of generators that are told a class: is it what was asked for, are all classes reached, is it worth learning?

They read `labels`, what was asked for, and `answers`, what a classifier says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.shares import wilson
from limner.core.spec import register
from limner.metrics.base import SMALL, Metric, Reading, Seen, Sets
from limner.metrics.reader import answers, taught

READS = 0.5
"""Share of the real images that a classifier must name right for its word on generated ones to count."""


@register
@dataclass(frozen=True)
class LabelAccuracy(Metric):
    """Share of generated images that a classifier names as what was asked for; beside it, of real images."""

    better: ClassVar[str] = "higher"
    label: ClassVar[str] = "label accuracy"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    wants: ClassVar[tuple[str, ...]] = ("labels", "answers")

    def lacks(self, sets: Sets) -> str:
        """Needs a classifier of these very classes."""
        assert sets.real.answers is not None
        known = sets.real.answers.shape[1]
        if known != sets.classes:
            return f"these features know {known:,} classes and the data {sets.classes}; take --features in-domain"
        share, _ = _named(sets.real)
        few = f"these features name {share:.0%} of the real images right; take --features in-domain"
        return few if share < READS else ""

    def score(self, sets: Sets) -> Reading:
        """The share, with Wilson's interval."""
        (share, n), (floor, floor_n) = _named(sets.fake), _named(sets.real)
        return Reading(share, *wilson(share, n), n, floor, floor_n)


@register
@dataclass(frozen=True)
class ModeCoverage(Metric):
    """Share of the classes that are drawn at least a tenth as often as real images are of them.

    least: share of a class's real frequency that counts as drawn
    """

    better: ClassVar[str] = "higher"
    label: ClassVar[str] = "classes covered (share)"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    wants: ClassVar[tuple[str, ...]] = ("answers",)

    least: float = 0.1

    def lacks(self, sets: Sets) -> str:
        """Needs twenty images a class, or a class may be missed by chance."""
        assert sets.real.answers is not None
        n, k = sets.real.answers.shape
        return f"{n:,} images are too few for {k:,} classes, {20 * k:,} do" if n < 20 * k else ""

    def score(self, sets: Sets) -> Reading:
        """The share; the interval counts what is surely covered and what may be."""
        sides = [side.answers for side in (sets.real, sets.fake, *sets.floor)]
        real, fake, a, b = (side for side in sides if side is not None)
        low, value, high = self.covered(real, fake)
        return Reading(value, low, high, len(fake), self.covered(a, b)[1], len(b))

    def covered(self, real: Float[Tensor, "n k"], fake: Float[Tensor, "m k"]) -> tuple[float, float, float]:
        """Share of classes surely, probably and possibly drawn often enough, of those that real images are of."""
        asked, drawn = (torch.bincount(side.argmax(1), minlength=real.shape[1]) for side in (real, fake))
        there = asked > 0
        needed = (self.least * asked[there] / len(real)).tolist()
        shares = (drawn[there] / len(fake)).tolist()
        reach = [wilson(share, len(fake)) for share in shares]
        found = zip(needed, [r[0] for r in reach], shares, [r[1] for r in reach], strict=True)
        surely, probably, possibly = zip(*((low >= n, s >= n, high >= n) for n, low, s, high in found), strict=True)
        return sum(surely) / len(shares), sum(probably) / len(shares), sum(possibly) / len(shares)


@register
@dataclass(frozen=True)
class ClassificationAccuracy(Metric):
    """Accuracy on real images of a network taught on generated ones alone; the floor was taught on real ones.

    Classification accuracy score (Ravuri and Vinyals 2019, "CAS"): what a copy, a missing class or a wrong label all
    lower. A network is trained twice, on as many images.

    seen: images that a network is shown in training
    seed: of its first weights and batches
    """

    better: ClassVar[str] = "higher"
    label: ClassVar[str] = "classification accuracy (CAS)"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    wants: ClassVar[tuple[str, ...]] = ("images", "labels")
    of_features: ClassVar[bool] = False

    seen: int = 40_000
    seed: int = 0

    def lacks(self, sets: Sets) -> str:
        """Needs ten images a class to teach either network."""
        n, least = len(sets.floor[1]), 10 * max(2, sets.classes)
        return f"{n:,} images are too few to teach {sets.classes} classes, {least} do" if n < least else ""

    def score(self, sets: Sets) -> Reading:
        """Both accuracies, with Wilson's interval, on real images that neither network was taught on."""
        asked, known = sets.floor
        # as many generated as real ones are left to teach on
        made = sets.fake.rows(torch.arange(min(len(known), len(sets.fake))))
        (share, n), (floor, _) = (self._learned(taught_on, asked, sets.classes) for taught_on in (made, known))
        return Reading(share, *wilson(share, n), len(made), floor, len(known), on=SMALL)

    def _learned(self, known: Seen, asked: Seen, classes: int) -> tuple[float, int]:
        """Accuracy on `asked` of a network taught on `known`, and on how many images."""
        known, asked = labelled(known), labelled(asked)
        assert known.images is not None and known.labels is not None
        assert asked.images is not None and asked.labels is not None
        net = taught(known.images, known.labels, classes, seen=self.seen, seed=self.seed)
        right = answers(net, asked.images).argmax(1) == asked.labels
        return float(right.double().mean()), len(right)


def labelled(seen: Seen) -> Seen:
    """Those whose class is known."""
    assert seen.labels is not None
    return seen.rows(torch.nonzero(seen.labels >= 0)[:, 0])


def _named(seen: Seen) -> tuple[float, int]:
    """Share of images whose class a classifier names, and of how many."""
    seen = labelled(seen)
    assert seen.answers is not None and seen.labels is not None
    return float((seen.answers.argmax(1) == seen.labels).double().mean()), len(seen)
