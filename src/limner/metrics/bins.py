"""Number of statistically different bins (Richardson and Weiss 2018, "NDB"): what is drawn too often or too rarely?

Real images are put into bins by k-means; a bin is different where the shares of real and generated images in it
differ by a two-proportion test. Two sets that are alike leave about `level` of the bins different.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.shares import wilson
from limner.core.spec import register
from limner.metrics.base import Features, Metric, Sets
from limner.metrics.clusters import k_means, nearest_centre

PER_BIN = 20
"""Half of the real images make the bins, so that ten of the others are in one on average."""


@register
@dataclass(frozen=True)
class DifferentBins(Metric):
    """Share of k-means bins where generated images are too many or too few (the paper's NDB / K).

    bins: K
    level: of the test, which is the share to expect of equal sets
    """

    label: ClassVar[str] = "different bins (share)"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    bins: int = 100
    level: float = 0.05

    def lacks(self, sets: Sets) -> str:
        """Needs twenty images a bin."""
        n, most = len(sets.real), len(sets.floor[0]) // PER_BIN
        few = f"{n:,} images are too few for {self.bins} bins, floor included; take DifferentBins({max(2, most)})"
        return few if most < self.bins else ""

    def __call__(self, real: Features, fake: Features, held_out: Features | None = None) -> float:
        """0 to 1. Bins are made of half of the real images and the other half is counted: those that made the bins
        fill them more evenly than others do."""
        order = torch.randperm(len(real), generator=torch.Generator().manual_seed(0)).to(real.device)
        half = len(real) // 2
        centres = k_means(real[order[:half]], self.bins)
        a, b = (_counts(x, centres) for x in (real[order[half:]], fake))
        return float((different(a, b).abs() > _quantile(self.level)).double().mean())

    def interval(self, real: Features, fake: Features, value: float) -> tuple[float, float]:
        """Wilson's, as if each bin were tested on images of its own."""
        return wilson(value, self.bins)


def different(a: Float[Tensor, " k"], b: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    """z of the two-proportion test with pooled variance, of each bin; positive where b has more."""
    n, m = a.sum(), b.sum()
    pooled = (a + b) / (n + m)
    error = (pooled * (1 - pooled) * (1 / n + 1 / m)).sqrt()
    return torch.where(error > 0, (b / m - a / n) / error.clamp_min(1e-300), 0.0)


def _counts(x: Features, centres: Float[Tensor, "k d"]) -> Float[Tensor, " k"]:
    return torch.bincount(nearest_centre(x, centres), minlength=len(centres)).double()


def _quantile(level: float) -> float:
    """Of a normal distribution, of which a share of `level` is farther out on either side."""
    return math.sqrt(2) * float(torch.erfinv(torch.tensor(1 - level, dtype=torch.float64)))
