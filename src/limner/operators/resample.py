"""Fewer pixels: a picture reduced by a factor, and the interpolation that undoes it roughly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.errors import UserError
from limner.core.spec import register
from limner.operators.base import Measured, Operator, Pictures

Kernel = Literal["cubic", "box"]


@register
@dataclass(frozen=True)
class Downsample(Operator):
    """A picture reduced; a last row or column that is not whole is averaged over what there is of it.

    factor: how many times smaller each side becomes, rounded up
    kernel: cubic, as in Pillow and the literature on super-resolution, or box, the mean of each block, as in a sensor
    """

    factor: int = 4
    kernel: Kernel = "cubic"

    def __post_init__(self) -> None:
        if self.factor < 1:
            raise UserError(f"Downsample({self.factor}): give a whole number, 1 or more")

    def measure(self, x: Pictures) -> Measured:
        height, width = (-(-side // self.factor) for side in x.shape[2:])
        return resized(x, (height, width), self.factor, self.kernel)

    def guess(self, y: Measured, like: Pictures) -> Pictures:
        """Enlarged by bicubic interpolation."""
        return resized(y, (like.shape[2], like.shape[3]), 1 / self.factor, "cubic")

    def shape(self, height: int, width: int) -> tuple[int, int]:
        return height * self.factor, width * self.factor


def resized(x: Pictures, size: tuple[int, int], factor: float, kernel: Kernel) -> Pictures:
    """Pictures at another size; pixel i of the result lies over pixel factor·(i + ½) - ½."""
    rows, columns = (
        weights(into, out, factor, kernel).to(x) for into, out in zip((x.shape[2], x.shape[3]), size, strict=True)
    )
    return rows @ x @ columns.T


@lru_cache(maxsize=32)
def weights(into: int, out: int, factor: float, kernel: Kernel) -> Float[Tensor, "out into"]:
    """How much of each pixel of a row each pixel of the resized row takes; they sum to 1 (Keys 1981, a = -½)."""
    middle = (torch.arange(out, dtype=torch.float64) + 0.5) * factor
    at = torch.arange(into, dtype=torch.float64) + 0.5
    away = (at - middle[:, None]).abs() / max(factor, 1.0)
    near = 1.5 * away**3 - 2.5 * away**2 + 1
    far = -0.5 * away**3 + 2.5 * away**2 - 4 * away + 2
    cubic = torch.where(away < 1, near, torch.where(away < 2, far, 0.0))
    weight = cubic if kernel == "cubic" else (away < 0.5).double()
    return weight / weight.sum(1, keepdim=True)
