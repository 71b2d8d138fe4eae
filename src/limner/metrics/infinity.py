"""Scores extrapolated to infinitely many images (Chong and Forsyth 2020, "FID∞").

The bias of the Fréchet distance and of the Inception score falls as 1 / n, by an amount that differs from generator
to generator, so even equal n does not make them fair. A line through the score at several n, against 1 / n, meets
the axis where n is infinite. Every row is used at every n: the score at n / m is the mean over m parts that share no
row, which is steadier than the one random subset of the paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from limner.core.spec import register
from limner.metrics.base import Features, Metric, Reading, Sets
from limner.metrics.frechet import FrechetDistance
from limner.metrics.inception_score import InceptionScore, inception_score

PARTS = (1, 2, 3, 4, 5)
"""The sets are cut into so many parts."""
ENOUGH = 10
"""Images for each feature: with fewer the smallest parts have left the straight line (0.3 % of the bias is left)."""


def extrapolated(n: int, score: Callable[[slice], float]) -> float:
    """Where the least-squares line through the scores of parts of n rows, over 1 / rows, meets infinity."""
    inverse, values = zip(*((m / n, np.mean([score(part) for part in _parts(n, m)])) for m in PARTS), strict=True)
    return float(np.polyfit(inverse, values, 1)[1])


@register
@dataclass(frozen=True)
class FrechetInfinity(Metric):
    """Fréchet distance extrapolated to infinitely many images of both kinds: equal sets score 0 on average."""

    label: ClassVar[str] = "Fréchet distance, n → ∞"

    def lacks(self, sets: Sets) -> str:
        """Needs ten images a feature."""
        n, d = sets.real.features.shape
        few = f"{n:,} images are too few to extrapolate with {d:,} features, {2 * ENOUGH * d:,} do; read KernelDistance"
        # intervals come from halves
        return few if n < 2 * ENOUGH * d else ""

    def __call__(self, real: Features, fake: Features, held_out: Features | None = None) -> float:
        """Squared distance, in squared feature units; may be slightly negative near 0."""
        real, fake = _mixed(real), _mixed(fake)
        return extrapolated(min(len(real), len(fake)), lambda part: FrechetDistance()(real[part], fake[part]))


@register
@dataclass(frozen=True)
class InceptionInfinity(Metric):
    """Inception score extrapolated to infinitely many images.

    Like the score itself it looks at generated images only.
    """

    better: ClassVar[str] = "higher"
    label: ClassVar[str] = "Inception score, n → ∞"
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    wants: ClassVar[tuple[str, ...]] = ("answers",)

    def lacks(self, sets: Sets) -> str:
        """Needs ten images a class."""
        n, k = len(sets.fake), _classes(sets)
        return f"{n:,} images are too few to extrapolate with {k:,} classes" if n < 2 * ENOUGH * k else ""

    def score(self, sets: Sets) -> Reading:
        """The score of answers instead of features."""
        return InceptionScore.reading(self, sets)

    def __call__(self, real: Features, fake: Features, held_out: Features | None = None) -> float:
        """The score of p(class) in the rows of `fake`."""
        mixed = _mixed(fake)
        return extrapolated(len(fake), lambda part: inception_score(mixed[part]))


def _parts(n: int, m: int) -> list[slice]:
    """m parts of equal size that share no row."""
    size = n // m
    return [slice(i * size, (i + 1) * size) for i in range(m)]


def _mixed(features: Features) -> Features:
    """Rows in random order: those of a file may lie class by class."""
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(0))
    return features[order.to(features.device)]


def _classes(sets: Sets) -> int:
    return 0 if sets.fake.answers is None else sets.fake.answers.shape[1]
