"""Blur: the picture convolved with a bell, a straight motion, or a kernel from a file."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from limner.core.errors import UserError
from limner.core.spec import register
from limner.operators.base import Measured, Operator, Pictures, Unknown, known
from limner.operators.mask import read_grey

Kernel = Float[Tensor, "h w"]


@register
@dataclass(frozen=True)
class Blur(Operator):
    """A convolution; beyond the edge the picture goes on as it ends.

    sigma: standard deviation of a Gaussian bell, in pixels
    motion: length of a straight movement instead, in pixels; 0 for none
    angle: of that movement, in degrees from the right, counterclockwise
    file: a grey picture of the kernel instead; it is scaled to sum to one
    """

    sigma: float | Unknown = 1.5
    motion: float | Unknown = 0.0
    angle: float | Unknown = 0.0
    file: str = ""

    def __post_init__(self) -> None:
        if known(self.sigma) <= 0 or known(self.motion) < 0:
            raise UserError(f"Blur(sigma={self.sigma}, motion={self.motion}): give a width in pixels, above 0")

    def measure(self, x: Pictures) -> Measured:
        kernel = self.kernel().to(x)
        high, wide = kernel.shape
        channels = x.shape[1]
        # a convolution mirrors its kernel, conv2d does not
        weight = kernel.flip(0, 1).expand(channels, 1, high, wide)
        around = (wide - 1 - wide // 2, wide // 2, high - 1 - high // 2, high // 2)
        return F.conv2d(F.pad(x, around, mode="replicate"), weight, groups=channels)

    def kernel(self) -> Kernel:
        """What a single bright pixel becomes."""
        if self.file:
            kernel = torch.from_numpy(read_grey(self.file).copy()).double()
            if not kernel.any():
                raise UserError(f"{self.file} is black: a blur's kernel must be bright somewhere")
        elif self.motion:
            kernel = line(known(self.motion), known(self.angle))
        else:
            bell = gaussian(known(self.sigma))
            kernel = bell[:, None] * bell
        return kernel / kernel.sum()


def gaussian(sigma: float) -> Float[Tensor, " k"]:
    """A bell up to four standard deviations."""
    radius = max(1, math.ceil(4 * sigma))
    return torch.exp(-(torch.arange(-radius, radius + 1, dtype=torch.float64) ** 2) / (2 * sigma**2))


def line(length: float, angle: float, steps: int = 256) -> Kernel:
    """A straight line through the middle, each of its points shared among the four pixels around it."""
    radius = max(1, math.ceil(length / 2))
    along = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps - 0.5
    kernel = torch.zeros(2 * radius + 1, 2 * radius + 1, dtype=torch.float64)
    y = radius - along * length * math.sin(math.radians(angle))
    x = radius + along * length * math.cos(math.radians(angle))
    low_y, low_x = y.floor(), x.floor()
    for dy in (0, 1):
        for dx in (0, 1):
            weight = (1 - (y - low_y - dy).abs()) * (1 - (x - low_x - dx).abs())
            at = ((low_y + dy).long().clamp(0, 2 * radius), (low_x + dx).long().clamp(0, 2 * radius))
            kernel.index_put_(at, weight, accumulate=True)
    return kernel
