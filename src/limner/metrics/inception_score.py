"""Inception score (Salimans et al. 2016): are images surely of a class, and of all classes?

exp E KL(p(class | image) ‖ p(class)), by a classifier's answers about generated images alone: it does not see whether
they are varied within a class, nor whether they were copied. Between 1 and the number of classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.spec import register
from limner.metrics.base import Features, Metric, Reading, Sets


def inception_score(answers: Float[Tensor, "n k"]) -> float:
    """The score of p(class) row by row."""
    p = answers.double()
    divergence = torch.special.xlogy(p, p).sum(1) - torch.special.xlogy(p, p.mean(0)).sum(1)
    return float(divergence.mean().exp())


@register
@dataclass(frozen=True)
class InceptionScore(Metric):
    """Inception score of the extractor's own classifier; real images' own score stands beside it.

    splits: mean over so many parts, as published scores take it; its bias is that of n / splits images
    shuffle: seed of the order that parts are cut from, or -1 for the order given; 2020 is torch-fidelity's
    """

    better: ClassVar[str] = "higher"
    label: ClassVar[str] = "Inception score"
    bounds: ClassVar[tuple[float, float]] = (1.0, math.inf)
    wants: ClassVar[tuple[str, ...]] = ("answers",)

    splits: int = 10
    shuffle: int = 2020

    def lacks(self, sets: Sets) -> str:
        """Needs ten images a part, and half as many again for the interval."""
        few = len(sets.fake) < 20 * self.splits
        return f"{len(sets.fake):,} images are too few for {self.splits} parts; take InceptionScore(1)" if few else ""

    def score(self, sets: Sets) -> Reading:
        """The score of answers instead of features."""
        return self.reading(self, sets)

    @staticmethod
    def reading(metric: Metric, sets: Sets) -> Reading:
        """What a score of answers reads."""
        real, fake, *floor = (side.answers for side in (sets.real, sets.fake, *sets.floor))
        assert real is not None and fake is not None and floor[0] is not None and floor[1] is not None
        value = metric(real, fake)
        low, high = metric.interval(real, fake, value)
        return Reading(value, low, high, len(fake), metric(floor[0], floor[1]), len(floor[1]))

    def __call__(self, real: Features, fake: Features, held_out: Features | None = None) -> float:
        """The score of p(class) in the rows of `fake`, 1 to the number of classes."""
        if self.shuffle >= 0:
            fake = fake[_numpy_order(len(fake), self.shuffle)]
        n = len(fake)
        bounds = [i * n // self.splits for i in range(self.splits + 1)]
        scores = [inception_score(fake[a:b]) for a, b in pairwise(bounds)]
        return sum(scores) / len(scores)


def _numpy_order(n: int, seed: int) -> list[int]:
    """The permutation that torch-fidelity cuts its parts from."""
    import numpy as np

    return np.random.RandomState(seed).permutation(n).tolist()
