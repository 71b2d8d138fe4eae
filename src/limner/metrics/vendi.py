"""Vendi score: how many different images there are, as a number (Friedman and Dieng 2023).

The exponential of the entropy of the eigenvalues of K / n, where K holds the likeness of every pair, 1 for equal ones:
k groups of equal images that are not alike at all score exactly k, however many images each of k equal groups has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.errors import UserError
from limner.core.spec import register
from limner.metrics.base import Features, Metric, double


@register
@dataclass(frozen=True)
class VendiScore(Metric):
    """Effective number of different images; it sees variety only, so noise scores high: read it with precision.

    power: of the cosine of two images' features, which is their likeness; 1 counts directions, more count finer
    size: images that are compared in pairs at most, where power is above 1
    """

    better: ClassVar[str] = "higher"
    label: ClassVar[str] = "Vendi score"
    bounds: ClassVar[tuple[float, float]] = (1.0, float("inf"))

    power: int = 1
    size: int = 2000

    def __call__(self, real: Features, fake: Features, held_out: Features | None = None) -> float:
        """1 to n, of the generated alone."""
        if self.power < 1:
            raise UserError(f"VendiScore: power is {self.power}; it must be a whole number from 1")
        x = double(fake)
        x = x / x.norm(dim=1, keepdim=True).clamp_min(1e-12)
        if self.power > 1:
            kernel = _first(x, self.size)
            return vendi((kernel @ kernel.T) ** self.power)
        # XᵀX has the eigenvalues of XXᵀ that are not 0
        return vendi(x.T @ x if len(x) > x.shape[1] else x @ x.T, len(x))


def vendi(kernel: Float[Tensor, "m m"], n: int | None = None) -> float:
    """The score of a matrix of likenesses with ones on its diagonal, or of one with the same eigenvalues."""
    weights = torch.linalg.eigvalsh(kernel / (n or len(kernel))).clamp_min(0)
    return float((-torch.special.xlogy(weights, weights).sum()).exp())


def _first(x: Features, size: int) -> Features:
    """At most `size` rows, drawn."""
    if len(x) <= size:
        return x
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return x[order[:size].to(x.device)]
