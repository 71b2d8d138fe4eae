"""What a score is: a function of features of real and generated images, and what features are.

A score without its error is half a score, so every metric also knows its standard error at the n it was
given. The general way compares halves of the sets: rows are left out, never repeated, because the duplicates
of a bootstrap bias Fréchet, kernel and nearest-neighbour scores alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

Features = Float[Tensor, "_ d"]
Images = Float[Tensor, "n _ _ _"]
NORMAL_95 = 1.960
SPLITS = 8
T_95 = 2.306
"""97.5 % quantile of Student's t with SPLITS degrees of freedom."""


class Extractor:
    """Images → features. Calling it is pure: the same image gives the same row in any batch."""

    name: str
    """Short and readable: `in-domain`, `random`, the weights file's stem."""

    @property
    def digest(self) -> str:
        """Hash of the weights and of the resize rule; scores with different digests do not compare."""
        raise NotImplementedError

    def __call__(self, x: Images) -> Features:
        """Features of images in [-1, 1], float32, without gradient, on the device of the images."""
        raise NotImplementedError


@dataclass(frozen=True)
class Metric:
    """A score of generated features against real ones."""

    better: ClassVar[str] = "lower"
    """`lower` or `higher`."""
    label: ClassVar[str] = ""
    """What a table calls it: `Fréchet distance`."""
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    """What the score cannot leave; intervals are cut there."""
    quantile: ClassVar[float] = T_95
    """Half the width of an interval, in standard errors."""

    def __call__(self, real: Features, fake: Features, held_out: Features | None = None) -> float:
        """The score, computed in float64; the rows are independent samples."""
        raise NotImplementedError

    def error(self, real: Features, fake: Features) -> float:
        """Standard error of the score over fresh draws of both sets, from random halves that share no row.

        Two halves differ by twice the variance at n / 2, which is twice the variance at n; the mean over SPLITS
        random ways to halve steadies it. The order of the rows decides the splits.
        """
        return math.sqrt(sum((a - b) ** 2 for a, b in self.halves(real, fake)) / (4 * SPLITS))

    def halves(self, real: Features, fake: Features) -> list[tuple[float, float]]:
        """The score of either half, for SPLITS random ways to halve both sets."""
        rng = torch.Generator().manual_seed(0)
        pairs = [(_halves(real, rng), _halves(fake, rng)) for _ in range(SPLITS)]
        return [(self(r[0], f[0]), self(r[1], f[1])) for r, f in pairs]

    def interval(self, real: Features, fake: Features, value: float) -> tuple[float, float]:
        """95 % interval, around the score `value`, for the mean of the score over fresh draws of this size."""
        reach = self.quantile * self.error(real, fake)
        low, high = self.bounds
        return max(low, value - reach), min(high, value + reach)


def double(features: Features) -> Features:
    """float64, where the arithmetic of scores is done."""
    return features.to(torch.float64)


def rows_per_block(columns: int) -> int:
    """How many rows of a float64 matrix this wide fit in 64 MB."""
    return max(1, 8_000_000 // max(1, columns))


def _halves(features: Features, rng: torch.Generator) -> tuple[Features, Features]:
    half = len(features) // 2
    order = torch.randperm(len(features), generator=rng).to(features.device)
    return features[order[:half]], features[order[half : 2 * half]]
