"""Kernel distance: unbiased squared maximum mean discrepancy with a cubic kernel (Bińkowski et al. 2018, "KID").

k(x, y) = (x·y / d + 1)³. Unbiased at every n, so equal sets score 0 on average and single scores may be negative.
All rows are used at once, in blocks; `subsets` repeats the averaging over random subsets of the original code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.errors import UserError
from limner.core.shares import NORMAL_95
from limner.core.spec import register
from limner.metrics.base import Features, Metric, double, rows_per_block


@register
@dataclass(frozen=True)
class KernelDistance(Metric):
    """Unbiased squared MMD with the kernel (x·y / d + 1)³; called KID only on FID's own Inception features.

    subsets: 0 uses every row once; 100 averages that many random subsets, as torch-fidelity does
    size: rows of a subset
    seed: of the subsets
    """

    label: ClassVar[str] = "kernel distance"
    quantile: ClassVar[float] = NORMAL_95

    subsets: int = 0
    size: int = 1000
    seed: int = 2020

    def __call__(self, real: Features, fake: Features, held_out: Features | None = None) -> float:
        """The squared discrepancy; each set needs two rows."""
        if self.subsets == 0:
            return _discrepancy(_Pair.of(real), _Pair.of(fake), _Pair.of(real, fake))
        if self.size > min(len(real), len(fake)):
            raise UserError(f"subsets of {self.size} do not fit {min(len(real), len(fake))} images; lower the size")
        rng = np.random.RandomState(self.seed)
        scores: list[float] = []
        for _ in range(self.subsets):
            y = fake[torch.from_numpy(rng.choice(len(fake), self.size, replace=False))]
            x = real[torch.from_numpy(rng.choice(len(real), self.size, replace=False))]
            scores.append(_discrepancy(_Pair.of(x), _Pair.of(y), _Pair.of(x, y)))
        return float(np.mean(scores))

    def error(self, real: Features, fake: Features) -> float:
        """Standard error of the full-sample estimate from Hoeffding's decomposition, both orders.

        First order: how much one row moves the score. Second order: what pairs add, all there is when the sets
        are alike. Both are freed of their own sampling noise (Sutherland et al. 2017, appendix).
        """
        xx, yy, xy, yx = _Pair.of(real), _Pair.of(fake), _Pair.of(real, fake), _Pair.of(fake, real)
        first = 4 / len(real) * _first_order(xx, xy) + 4 / len(fake) * _first_order(yy, yx)
        second = (
            2 * xx.pure_variance(xx) / len(real) ** 2
            + 2 * yy.pure_variance(yy) / len(fake) ** 2
            + 4 * xy.pure_variance(yx) / (len(real) * len(fake))
        )
        return math.sqrt(max(0.0, first) + max(0.0, second))


@dataclass(frozen=True)
class _Pair:
    """Row by row, the mean kernel value and the variance of it, over the `columns` other points (itself left out)."""

    mean: Float[Tensor, " n"]
    variance: Float[Tensor, " n"]
    columns: int

    @classmethod
    def of(cls, a: Features, b: Features | None = None) -> _Pair:
        within = b is None
        a, b = double(a), double(a if b is None else b)
        if min(len(a), len(b)) < 2:
            raise UserError("a kernel distance needs 2 images of each kind; ask for more with -n")
        columns = len(b) - within
        totals: list[Tensor] = []
        squares: list[Tensor] = []
        step = rows_per_block(len(b))
        for start in range(0, len(a), step):
            k = (a[start : start + step] @ b.T).div_(a.shape[1]).add_(1).pow_(3)
            if within:
                k.diagonal(start).zero_()
            totals.append(k.sum(1))
            squares.append(k.square_().sum(1))
        mean, square = torch.cat(totals) / columns, torch.cat(squares) / columns
        return cls(mean, (square - mean.square()) * columns / max(1, columns - 1), columns)

    def pure_variance(self, other: _Pair) -> float:
        """Variance of k(x, y) that neither x nor y explains alone; `other` is the transposed pair."""
        return float(self.variance.mean() - (other.mean.var() - other.variance.mean() / other.columns))


def _discrepancy(xx: _Pair, yy: _Pair, xy: _Pair) -> float:
    return float(xx.mean.mean() + yy.mean.mean() - 2 * xy.mean.mean())


def _first_order(within: _Pair, across: _Pair) -> float:
    """Variance over x of E k(x, x') - E k(x, y), less what estimating both expectations adds to it."""
    noise = within.variance / within.columns + across.variance / across.columns
    return float((within.mean - across.mean).var() - noise.mean())
