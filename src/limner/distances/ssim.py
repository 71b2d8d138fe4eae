"""Structural similarity: means, contrasts and shapes compared in small windows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from limner.core.spec import register
from limner.distances.base import Distance, Pictures


@register
@dataclass(frozen=True)
class SSIM(Distance):
    """One minus the structural similarity, 0 to 2 (Wang et al. 2004, eq. 13): sees shapes where pixels see greys.

    window: side of the Gaussian window in pixels; small images take the largest odd one that fits
    sigma: standard deviation of that window in pixels
    """

    window: int = 11
    sigma: float = 1.5

    def __call__(self, x: Pictures, y: Pictures) -> Float[Tensor, " n"]:
        # brightness is compared as a ratio, so black must be 0
        light, shape = _compared((x.float() + 1) / 2, (y.float() + 1) / 2, self.window, self.sigma)
        return 1 - (light * shape).flatten(1).mean(1)


WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the scales, fine to coarse (Wang, Simoncelli & Bovik 2003, section 3.2)."""


@register
@dataclass(frozen=True)
class MultiScaleSSIM(Distance):
    """One minus the similarity of shapes at several scales, 0 to 1 (Wang, Simoncelli & Bovik 2003, eq. 7).

    Small pictures have as few scales as their size leaves room for the window in, with the weights of those scales.

    window: side of the Gaussian window in pixels; smaller ones leave small pictures more scales
    sigma: standard deviation of that window in pixels
    """

    window: int = 11
    sigma: float = 1.5

    def __call__(self, x: Pictures, y: Pictures) -> Float[Tensor, " n"]:
        x, y = (x.float() + 1) / 2, (y.float() + 1) / 2
        weights = WEIGHTS[: self.scales(min(x.shape[2:]))]
        alike = torch.ones(len(x), device=x.device)
        for scale, weight in enumerate(weights, 1):
            light, shape = _compared(x, y, self.window, self.sigma)
            here = light * shape if scale == len(weights) else shape
            # shapes that oppose each other have no fractional power
            alike = alike * here.flatten(1).mean(1).clamp_min(1e-6) ** (weight / sum(weights))
            x, y = (F.avg_pool2d(a, 2) if min(a.shape[2:]) > 1 else a for a in (x, y))
        return 1 - alike

    def scales(self, side: int) -> int:
        """How many scales pictures with this shorter side have."""
        return next((k for k in range(len(WEIGHTS), 1, -1) if side >> (k - 1) >= self.window), 1)


def _compared(x: Pictures, y: Pictures, window: int, sigma: float) -> tuple[Tensor, Tensor]:
    """How alike brightness is, and contrast with shape, in each window (Wang et al. 2004, eqs. 6, 9, 10)."""
    side = min(window, *x.shape[2:])
    kernel = _bell(side - (side + 1) % 2, sigma).to(x)
    means = [_blur(a, kernel) for a in (x, y, x * x, y * y, x * y)]
    mean_x, mean_y = means[0], means[1]
    var_x, var_y, both = means[2] - mean_x**2, means[3] - mean_y**2, means[4] - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    light = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return light, (2 * both + c2) / (var_x + var_y + c2)


def _bell(side: int, sigma: float) -> Float[Tensor, " k"]:
    """Gaussian weights that sum to one."""
    at = torch.arange(side) - side // 2
    weights = torch.exp(-(at**2) / (2 * sigma**2))
    return weights / weights.sum()


def _blur(x: Pictures, kernel: Float[Tensor, " k"]) -> Float[Tensor, "n c _ _"]:
    """Each channel's weighted means over all windows that lie inside."""
    c, k = x.shape[1], len(kernel)
    x = F.conv2d(x, kernel.view(1, 1, k, 1).expand(c, 1, k, 1), groups=c)
    return F.conv2d(x, kernel.view(1, 1, 1, k).expand(c, 1, 1, k), groups=c)


@register
@dataclass(frozen=True)
class Frequency(Distance):
    """Squared error of Fourier coefficients, weighted by frequency: a Sobolev norm, against blur.

    power: of the frequency, which is 0 for the mean and 1 for the finest stripes; at 0 it is the squared error
    """

    power: float = 1.0

    def __call__(self, x: Pictures, y: Pictures) -> Float[Tensor, " n"]:
        # two real numbers: bfloat16 has no transform
        error = torch.fft.fft2((x - y).float(), norm="ortho").abs().square()
        rows, columns = (torch.fft.fftfreq(side, device=x.device) for side in x.shape[2:])
        frequency = (rows[:, None] ** 2 + columns**2).sqrt() * math.sqrt(2)
        # the mean still counts, as much as the slowest wave
        slowest = math.sqrt(2) / max(x.shape[2:])
        return (error * frequency.clamp_min(slowest) ** self.power).flatten(1).mean(1)
