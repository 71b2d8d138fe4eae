"""JPEG as a measurement."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limner.core.errors import UserError
from limner.core.pixels import picture, to_bytes, to_float
from limner.core.spec import register
from limner.operators.base import Measured, Operator, Pictures, Unknown, known


@register
@dataclass(frozen=True)
class Jpeg(Operator):
    """The picture after a real JPEG file of it, written by Pillow; alpha is left alone.

    Its gradient is straight through, that of the identity (Bengio et al. 2013): JPEG itself is flat almost everywhere.

    quality: of the file, 1 to 95
    """

    quality: float | Unknown = 20.0
    linear: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 1 <= known(self.quality) <= 95:
            raise UserError(f"Jpeg({self.quality}): give a quality from 1 to 95, for example Jpeg(20)")

    def measure(self, x: Pictures) -> Measured:
        colours = 3 if x.shape[1] >= 3 else 1
        files = [through_file(one, round(known(self.quality))) for one in to_bytes(x[:, :colours])]
        seen = to_float(np.stack(files) if files else np.empty((0, *x.shape[2:], colours), np.uint8), x.device)
        return straight_through(x, torch.cat([seen.to(x.dtype), x[:, colours:].detach()], 1))


def through_file(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """uint8 (h, w, c), encoded and decoded again."""
    from PIL import Image as Pillow

    file = BytesIO()
    picture(pixels).save(file, "JPEG", quality=quality)
    with Pillow.open(file) as seen:
        return np.array(seen).reshape(pixels.shape)


def straight_through(x: Tensor, y: Tensor) -> Tensor:
    """y, with the gradient of x."""
    return y.detach() + (x - x.detach())
