"""Faults that the eye sees at once and a Fréchet distance hardly: generated pictures against as many real ones.

Each score is 1.0 where both are alike and grows with the fault, so that "within 1.25 of real" can be read from it.
Lower than 1.0 is no fault: real pictures have more of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from limner.metrics.base import SPLITS, Metric, Reading, Sets
from limner.metrics.sight import SMALLEST, Sight

FAULTS = {"lattice": "Lattice", "tiling": "Tiling", "burnt": "Burnt", "contrast": "Contrast", "near-twins": "NearTwins"}
"""Label → the class of its score."""
ALIKE = 1.25
"""A score up to which generated pictures are like real ones."""


@dataclass(frozen=True)
class VisibleFault(Metric):
    """A fault that the eye sees at once: 1.0 where generated pictures are as real ones, more where they are worse."""

    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    wants: ClassVar[tuple[str, ...]] = ("sight",)
    of_features: ClassVar[bool] = False
    fault: ClassVar[str] = ""
    """What is wrong where the score is above ALIKE."""

    def compare(self, real: Sight, fake: Sight) -> float:
        """The score, 1.0 for equal sets; both hold the same number of pictures."""
        raise NotImplementedError

    def seen(self, real: Sight, fake: Sight) -> str:
        """What is wrong, in words."""
        return self.fault

    def lacks(self, sets: Sets) -> str:
        """Needs pictures of 16 pixels a side."""
        return "" if sets.real.sight else f"pictures are smaller than {SMALLEST} pixels a side"

    def score(self, sets: Sets) -> Reading:
        """The score, its interval by random halves, its floor, and in words whether pictures are like real ones."""
        real, fake, (one, other) = sets.real.sight, sets.fake.sight, (side.sight for side in sets.floor)
        assert real and fake and one and other
        value, away = self.compare(real, fake), self.quantile * self.noise(real, fake)
        verdict = "like real pictures" if value <= ALIKE else self.seen(real, fake)
        if value > ALIKE and value - away <= 1:
            verdict = f"{real.n:,} pictures are too few to tell it from real ones"
        return Reading(value, max(0.0, value - away), value + away, real.n, self.compare(one, other), one.n,
                       verdict=verdict, on="pixels, as they are")  # fmt: skip

    def noise(self, real: Sight, fake: Sight) -> float:
        """Standard error of the score over fresh pictures of both kinds, from random halves (see `Metric.error`)."""
        rng = torch.Generator().manual_seed(0)
        squared = 0.0
        for _ in range(SPLITS):
            (a, b), (c, d) = (torch.randperm(s.n, generator=rng).tensor_split(2) for s in (real, fake))
            squared += (self.compare(real.rows(a), fake.rows(c)) - self.compare(real.rows(b), fake.rows(d))) ** 2
        return math.sqrt(squared / (4 * SPLITS))
