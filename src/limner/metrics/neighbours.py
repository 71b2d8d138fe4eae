"""Precision, recall, density and coverage: who lies in whose neighbourhood.

A point's neighbourhood is the ball up to its k-th nearest neighbour in its own set (Kynkäänniemi et al. 2019,
Naeem et al. 2020). Distances are float64 and made in blocks, so that memory does not grow with n².
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.errors import UserError
from limner.core.shares import wilson
from limner.core.spec import register
from limner.metrics.base import Features, Metric, double, rows_per_block


@dataclass(frozen=True)
class Neighbours(Metric):
    """A score by balls around points."""

    better: ClassVar[str] = "higher"

    k: int = 3


@dataclass(frozen=True)
class Share(Neighbours):
    """A share of points, 0 to 1."""

    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def interval(self, real: Features, fake: Features, value: float) -> tuple[float, float]:
        """Wilson's interval for the number of independent points that has the measured error, so that a share of
        1 gets an interval too. The error of halves is scaled by what p (1 - p) says of their other level.
        """
        scores = self.halves(real, fake)
        n = min(len(real), len(fake))
        level = sum(a + b for a, b in scores) / (2 * len(scores))
        variance = sum((a - b) ** 2 for a, b in scores) / (4 * len(scores))
        variance *= _spread(value, n) / _spread(level, n)
        return wilson(value, min(n, _spread(value, n) / max(variance, 1e-12)), self.quantile)


@register
@dataclass(frozen=True)
class Precision(Share):
    """Share of the generated images inside the union of the real balls: how many look real (Kynkäänniemi et al. 2019).

    k: neighbours that set a ball's radius
    """

    label: ClassVar[str] = "precision"

    def __call__(self, real: Features, fake: Features, held_out: Features | None = None) -> float:
        """0 to 1; the real set needs more than k rows."""
        return _share_inside(fake, real, self.k)


@register
@dataclass(frozen=True)
class Recall(Share):
    """Share of the real images inside the union of the generated balls: how much variety is reached.

    k: neighbours that set a ball's radius
    """

    label: ClassVar[str] = "recall"

    def __call__(self, real: Features, fake: Features, held_out: Features | None = None) -> float:
        """0 to 1; the generated set needs more than k rows."""
        return _share_inside(real, fake, self.k)


@register
@dataclass(frozen=True)
class Density(Neighbours):
    """Real balls around a generated image, over k, on average; 1 for equal sets (Naeem et al. 2020).

    k: neighbours that set a ball's radius
    """

    label: ClassVar[str] = "density"
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    k: int = 5

    def __call__(self, real: Features, fake: Features, held_out: Features | None = None) -> float:
        """0 or more; the real set needs more than k rows."""
        balls = _radii(real, self.k)
        return sum(int((d <= balls).sum()) for d in squared_distances(fake, real)) / (self.k * len(fake))

    def error(self, real: Features, fake: Features) -> float:
        """Standard error from halves, in proportion to the density, which grows with n where the sets differ."""
        scores = self.halves(real, fake)
        level = sum(a + b for a, b in scores) / (2 * len(scores))
        relative = self(real, fake) / level if level else 1.0
        return relative * math.sqrt(sum((a - b) ** 2 for a, b in scores) / (4 * len(scores)))


@register
@dataclass(frozen=True)
class Coverage(Share):
    """Share of the real balls with a generated image inside; real against real gives about 1 - 2⁻ᵏ (Naeem et al. 2020).

    k: neighbours that set a ball's radius
    """

    label: ClassVar[str] = "coverage"
    k: int = 5

    def __call__(self, real: Features, fake: Features, held_out: Features | None = None) -> float:
        """0 to 1; the real set needs more than k rows."""
        nearest = torch.cat([d.amin(1) for d in squared_distances(real, fake)])
        return float((nearest <= _radii(real, self.k)).double().mean())


def expected_coverage(n: int, m: int, k: int) -> float:
    """Coverage of n real images by m others of the same distribution (Naeem et al. 2020, equation 9).

    1 - ∏ (n - i) / (n + m - i) over i = 1 … k: the chance that not all of the k nearest of the others are real.
    """
    return 1 - math.prod((n - i) / (n + m - i) for i in range(1, k + 1))


def _spread(share: float, n: int) -> float:
    """p (1 - p), and what one point in n gives where p is 0 or 1."""
    return max(share * (1 - share), 1 / n)


def _share_inside(points: Features, ground: Features, k: int) -> float:
    balls = _radii(ground, k)
    return sum(int((d <= balls).any(1).sum()) for d in squared_distances(points, ground)) / len(points)


def _radii(x: Features, k: int) -> Float[Tensor, " n"]:
    """Squared distance of every row to its k-th nearest other row."""
    if len(x) <= k:
        raise UserError(f"{len(x)} images are too few for neighbourhoods of {k}; ask for more with -n")
    return torch.cat([d.topk(k, dim=1, largest=False).values[:, -1] for d in squared_distances(x)])


def squared_distances(a: Features, b: Features | None = None) -> Iterator[Float[Tensor, "rows columns"]]:
    """Squared distances of blocks of rows of a to all of b; without b to all of a, but infinite to itself.

    By the scalar product; what rounding leaves of the distance of equal points is set to 0.
    """
    within = b is None
    a, b = double(a), double(a if b is None else b)
    centre = b.mean(0)
    a, b = a - centre, b - centre
    norm_a, norm_b = a.square().sum(1), b.square().sum(1)
    # below this a distance is what rounding left of 0
    nothing = 1e-13 * (norm_a + norm_b.max())[:, None]
    step = rows_per_block(4 * len(b))
    for start in range(0, len(a), step):
        rows = slice(start, start + step)
        d = torch.addmm(norm_b, a[rows], b.T, alpha=-2).add_(norm_a[rows, None])
        d.masked_fill_(d < nothing[rows], 0.0)
        if within:
            d.diagonal(start).fill_(math.inf)
        yield d
