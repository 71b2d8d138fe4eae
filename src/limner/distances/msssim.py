"""Structural similarity at several scales: what is lost only in fine detail costs less than what is lost at large."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from limner.core.spec import register
from limner.distances.base import Distance, Pictures
from limner.distances.ssim import similarity

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the scales, finest first, as viewers set them (Wang, Simoncelli and Bovik 2003)."""


@register
@dataclass(frozen=True)
class MSSSIM(Distance):
    """One minus the multi-scale structural similarity, 0 to 1 (Wang, Simoncelli and Bovik 2003, eq. 7).

    Pictures take as many of the five scales as the window fits in, with the weights of those made to sum to one.

    window: side of the Gaussian window in pixels; pictures smaller than it take the largest odd one that fits
    sigma: standard deviation of that window in pixels
    """

    window: int = 11
    sigma: float = 1.5

    def __call__(self, x: Pictures, y: Pictures) -> Float[Tensor, " n"]:
        x, y = (x.float() + 1) / 2, (y.float() + 1) / 2
        weights = WEIGHTS[: self.scales(min(x.shape[2:]))]
        product = torch.ones(len(x), device=x.device)
        for scale, weight in enumerate(weights):
            light, shape = similarity(x, y, self.window, self.sigma)
            # brightness counts at the coarsest scale only
            seen = light * shape if scale == len(weights) - 1 else shape
            # a negative mean has no root
            likeness = seen.flatten(1).mean(1).clamp_min(1e-6)
            product = product * likeness ** (weight / sum(weights))
            if scale < len(weights) - 1:
                x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        return 1 - product

    def scales(self, side: int) -> int:
        """How many scales pictures with this shorter side have."""
        fitting = [s for s in range(1, len(WEIGHTS) + 1) if side // 2 ** (s - 1) >= self.window]
        return max(fitting, default=1)
