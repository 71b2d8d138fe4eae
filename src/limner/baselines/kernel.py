"""A kernel density estimate: images that were seen, with as much grain as held-out images ask for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from limner.baselines.base import Baseline, Learnt, Vectors
from limner.core.errors import UserError
from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.base import Model
from limner.models.classical import KernelDensityGenerator


@register
@dataclass(frozen=True)
class KernelDensity(Baseline):
    """Gaussian kernels on images that are kept; the bandwidth is the one that makes other images most probable.

    count: images that are kept
    bandwidth: standard deviation of a kernel in the [-1, 1] range, none to choose it
    """

    count: int = 1000
    bandwidth: float | None = None

    def nets(self, image: Image, classes: int) -> dict[str, Model]:
        return {"generator": KernelDensityGenerator(image, classes, self.count)}

    def learn(self, x: Vectors, seed: int) -> Learnt:
        if len(x) <= self.count:
            raise UserError(f"count={self.count} needs more than {self.count} pictures, and there are {len(x)}")
        order = np.random.default_rng(seed).permutation(len(x))
        kept, others = x[order[: self.count]], x[order[self.count :]][:500]
        return {"points": kept, "bandwidth": self.bandwidth or best_bandwidth(kept, others)}


def best_bandwidth(kept: Vectors, others: Vectors) -> float:
    """The bandwidth under which the other images are most probable, among powers of 1.1."""
    squared = torch.cdist(torch.from_numpy(others), torch.from_numpy(kept)).square()
    widths = 0.01 * 1.1 ** torch.arange(60, dtype=torch.float64)
    size = kept.shape[1]
    heights = [(-squared / (2 * h**2)).logsumexp(1).mean() - size * h.log() for h in widths]
    return float(widths[int(torch.stack(heights).argmax())])
