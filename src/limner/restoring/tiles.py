"""A translator on pictures of any size and colouring: tile by tile, with soft seams; nothing is resized."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from limner.models.base import Pictures, Translator

ALIGNED = 8
"""Tiles begin at multiples of this, so that they meet the blocks of a JPEG as the whole picture would."""


@dataclass(frozen=True)
class Tiles:
    """How large pictures are cut.

    side: of a tile, in pixels; a network made for one size takes that size instead
    overlap: pixels that neighbours share, where they are blended
    """

    side: int = 512
    overlap: int = 64


@torch.no_grad()
def apply(
    net: Translator, x: Pictures, tiles: Tiles | None = None, tick: Callable[[float], None] | None = None
) -> Pictures:
    """What a translator makes of pictures of any size.

    A grey network treats each colour by itself; a colour network is shown grey pictures in its three channels.
    """
    tiles = tiles or Tiles()
    n, channels, height, width = x.shape
    if net.image.channels == 1 and channels > 1:
        return apply(net, x.reshape(n * channels, 1, height, width), tiles, tick).reshape(x.shape)
    if net.image.channels == 3 and channels == 1:
        return apply(net, x.expand(-1, 3, -1, -1).contiguous(), tiles, tick).mean(1, keepdim=True)
    free = net.any_size
    sides = (tiles.side, tiles.side) if free else (net.image.height, net.image.width)
    lacking = [0 if free else max(0, side - length) for side, length in zip(sides, (height, width), strict=True)]
    x = F.pad(x, (0, lacking[1], 0, lacking[0]), mode="replicate")
    return _tiled(net, x, sides, tiles.overlap, free, tick)[:, :, :height, :width]


def _tiled(
    net: Translator, x: Pictures, sides: tuple[int, int], overlap: int, free: bool, tick: Callable[[float], None] | None
) -> Pictures:
    """Tiles weighed by how far inside them a pixel is; a free network's last tile goes on to the end."""
    rows, columns = (
        cuts(length, side, min(overlap, side // 2), free) for length, side in zip(x.shape[2:], sides, strict=True)
    )
    if len(rows) == len(columns) == 1:
        return net(x)
    total, weights = torch.zeros_like(x), torch.zeros_like(x[:1, :1])
    for row, (top, bottom) in enumerate(rows):
        for column, (left, right) in enumerate(columns):
            if tick:
                tick((row * len(columns) + column) / (len(rows) * len(columns)))
            weight = ramp(bottom - top, overlap)[:, None] * ramp(right - left, overlap)
            weight = weight.to(x)
            total[:, :, top:bottom, left:right] += weight * net(x[:, :, top:bottom, left:right].contiguous())
            weights[:, :, top:bottom, left:right] += weight
    return total / weights


def cuts(length: int, side: int, overlap: int, free: bool) -> list[tuple[int, int]]:
    """Begin and end of each tile along a side of the picture; all are `side` long, a free network's last one longer."""
    if length <= side:
        return [(0, length)]
    step = max(1, side - overlap)
    step = max(ALIGNED, step // ALIGNED * ALIGNED) if free else step
    starts = list(range(0, length - side, step))
    last = length - side
    starts.append(last // ALIGNED * ALIGNED if free else last)
    starts = sorted(set(starts))
    return [(a, length if a == starts[-1] else a + side) for a in starts]


def ramp(side: int, overlap: int) -> Float[Tensor, " side"]:
    """Weights along a tile: rising over the overlap, then 1, then falling."""
    at = torch.arange(1, side + 1, dtype=torch.float32)
    return torch.minimum(at, at.flip(0)).clamp(max=max(1, overlap))
