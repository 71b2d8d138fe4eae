"""Missing pixels: a file, a box, a half, or at random."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool
from numpy.typing import NDArray

from limner.core.errors import UserError
from limner.core.rng import generator
from limner.core.spec import register
from limner.operators.base import Keep, Measured, Operator, Pictures, Unknown, known

MIDDLE = (0.25, 0.25, 0.75, 0.75)


@register
@dataclass(frozen=True)
class Mask(Operator):
    """Pixels that are missing: they become 0, mid-grey, a value that no 8-bit picture has. Parts add up.

    file: a picture of the same size, white where pixels are missing
    box: top, left, bottom and right of a missing box, as shares of the sides; the middle where nothing is named
    random: share of the pixels that are missing, anywhere
    half: a side that is missing
    seed: of the random pixels
    """

    file: str = ""
    box: tuple[float, ...] = ()
    random: float | Unknown = 0.0
    half: Literal["", "left", "right", "top", "bottom"] = ""
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.box) not in (0, 4) or not all(0 <= side <= 1 for side in self.box):
            raise UserError(f"Mask(box={list(self.box)}): give top, left, bottom, right from 0 to 1")
        if not 0 <= known(self.random) <= 1:
            raise UserError(f"Mask(random={self.random}): give the share of missing pixels, from 0 to 1")

    def measure(self, x: Pictures) -> Measured:
        return x * self.kept(x)

    def guess(self, y: Measured, like: Pictures) -> Pictures:
        """The picture with 0 where it is missing, whatever a file shows there."""
        return super().guess(y, like) * self.kept(like)

    def kept(self, like: Pictures) -> Keep:
        height, width = like.shape[2:]
        missing = torch.from_numpy(self._missing(height, width))
        if self.random:
            rng = generator(self.seed, 0, "mask")
            missing = missing | (torch.rand(height, width, generator=rng) < known(self.random))
        return (~missing).to(like)[None, None]

    def missing(self, like: Pictures) -> Keep:
        return 1 - self.kept(like)

    def drawn(self, rng: torch.Generator) -> Mask:
        seed = int(torch.randint(2**31, (), generator=rng, device=rng.device))
        return replace(super().drawn(rng), seed=seed)

    def _missing(self, height: int, width: int) -> Bool[np.ndarray, "h w"]:
        """Everything but the random pixels."""
        missing = np.zeros((height, width), bool)
        nothing = not (self.file or self.random or self.half)
        if box := self.box or (MIDDLE if nothing else ()):
            top, left, bottom, right = (round(s * side) for s, side in zip(box, (height, width) * 2, strict=True))
            missing[top:bottom, left:right] = True
        if self.half in ("top", "bottom"):
            missing[slice(height // 2) if self.half == "top" else slice(height - height // 2, None)] = True
        if self.half in ("left", "right"):
            missing[:, slice(width // 2) if self.half == "left" else slice(width - width // 2, None)] = True
        if self.file:
            drawn = read_grey(self.file) > 127
            if drawn.shape != missing.shape:
                sizes = "×".join(map(str, drawn.shape)), f"{height}×{width}"
                raise UserError(f"mask {self.file} is {sizes[0]} pixels and the picture {sizes[1]}; give one as large")
            missing |= drawn
        return missing


def read_grey(path: str) -> NDArray[np.uint8]:
    """A picture as grey levels, uint8 (h, w). Raises UserError when it is none."""
    try:
        return _read_grey(path, os.stat(path).st_mtime_ns)
    except (OSError, SyntaxError, ValueError) as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else "not a picture that can be read"
        raise UserError(f"{path}: {reason}; give a PNG") from None


@lru_cache(maxsize=8)
def _read_grey(path: str, stamp: int) -> NDArray[np.uint8]:
    from PIL import Image as Pillow

    with Pillow.open(path) as picture:
        return np.asarray(picture.convert("L"))
