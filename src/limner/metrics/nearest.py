"""Nearest-neighbour test: is the real image nearest to a generated one in the training set more often than by chance?

Of N training and m held-out images, all alike to a generator that learned the distribution, the nearest is a training
image with chance N / (N + m). What is above that is the share of images that were copied.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from limner.core.spec import register
from limner.metrics.memory import Case, Measured, Memory, nearest


@register
@dataclass(frozen=True)
class NearestInTraining(Memory):
    """Share of generated images that have a training image nearest, above chance: 0 is chance, 1 is copies."""

    label: ClassVar[str] = "nearest in training, above chance"
    chance: ClassVar[float | None] = 0.0
    bounds: ClassVar[tuple[float, float]] = (-math.inf, 1.0)

    def measure(self, case: Case) -> Measured:
        """(share - p) / (1 - p), p = N / (N + m) the chance; equal distances count p.

        Its error is from the spread over generated images, and over how many each held-out one is nearest to.
        """
        n, m = len(case.fake), len(case.held_out)
        chance = len(case.train) / (len(case.train) + m)
        held, which = nearest(case.fake, case.held_out)
        lost = held < case.fake_near.distance
        won = (~lost).double() - (1 - chance) * (held == case.fake_near.distance).double()
        share = min(max(float(lost.double().mean()), 1 / n), 1 - 1 / n)
        each = torch.bincount(which[lost], minlength=m).double()
        # the number of images that choose one by chance alone is in the first term already
        uneven = m * max(0.0, float(each.var()) - float(each.mean())) / n**2
        error = math.sqrt(share * (1 - share) / n + uneven)
        return Measured((float(won.mean()) - chance) / (1 - chance), error / (1 - chance))
