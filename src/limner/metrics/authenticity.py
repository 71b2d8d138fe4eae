"""Authenticity (Alaa et al. 2022, "How faithful is your synthetic data?"): how many images are not copies.

An image is authentic where it lies farther from its nearest training image than that one from its own nearest
training image. New real images are authentic about half of the time; the control says how often on the data at hand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from limner.core.shares import wilson
from limner.core.spec import register
from limner.metrics.memory import Case, Measured, Memory
from limner.metrics.neighbours import squared_distances


@register
@dataclass(frozen=True)
class Authenticity(Memory):
    """Share of generated images farther from the training set than its own images are from each other."""

    better: ClassVar[str] = "higher"
    label: ClassVar[str] = "authenticity"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def measure(self, case: Case) -> Measured:
        """0 to 1 (section 3.3)."""
        chosen, which = case.fake_near.which.unique(return_inverse=True)
        own = torch.empty(len(chosen), dtype=torch.float64, device=chosen.device)
        start = 0
        for d in squared_distances(case.train[chosen], case.train):
            itself = chosen[start : start + len(d), None]
            own[start : start + len(d)] = d.scatter_(1, itself, math.inf).amin(1)
            start += len(d)
        n, share = len(case.fake), float((case.fake_near.distance > own[which]).double().mean())
        # as if one more of either kind had been seen, so that a share of 0 or 1 has an error too
        near = (share * n + 1) / (n + 2)
        return Measured(share, math.sqrt(near * (1 - near) / n))

    def reach(self, found: Measured, n: int) -> tuple[float, float]:
        """Wilson's interval."""
        return wilson(found.value, n, self.quantile)
