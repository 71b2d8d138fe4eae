"""Compressed sensing: a few random sums of all pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.errors import UserError
from limner.core.rng import generator
from limner.core.spec import register
from limner.operators.base import Measured, Operator, Pictures

MOST = 2**28
"""Numbers of the largest matrix: 2 GB."""


@register
@dataclass(frozen=True)
class Project(Operator):
    """Random projections of a picture, m of them, by a matrix of independent N(0, 1/m) (Bora et al. 2017, section 6).

    m: how many
    seed: of the matrix
    """

    m: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if self.m < 1:
            raise UserError(f"Project({self.m}): give the number of measurements, 1 or more")

    def measure(self, x: Pictures) -> Measured:
        return x.flatten(1) @ self.matrix(x[0].numel()).to(x).T

    def guess(self, y: Measured, like: Pictures) -> Pictures:
        """Aᵀy, which is right on average over matrices."""
        return self.adjoint(y, like)

    def matrix(self, size: int) -> Float[Tensor, "m size"]:
        """A, of float64."""
        if self.m * size > MOST:
            raise UserError(f"Project({self.m}) of {size:,} numbers is too large a matrix; give smaller pictures")
        return _matrix(self.m, size, self.seed)


@lru_cache(maxsize=4)
def _matrix(m: int, size: int, seed: int) -> Float[Tensor, "m size"]:
    rng = generator(seed, 0, f"projection {m} {size}")
    return torch.randn(m, size, generator=rng, dtype=torch.float64) / math.sqrt(m)
