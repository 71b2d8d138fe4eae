"""What is nearly twice among pictures, and what does not belong there, as a frozen backbone sees them.

Pictures are points: MobileNetV2's features at each place of its last two maps, brought to length 1. Two pictures that
are far nearer to each other than pictures usually are to their nearest one show nearly the same; a picture that is far
from all others is an odd one out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from limner.core.pixels import to_float
from limner.data.images import Images
from limner.models.backbone import backbone, resized

MOST = 3_000
"""Pictures that are looked at: every one of so many, evenly spread over larger sets."""
SIDE, BLOCK = 64, 64
NEIGHBOURS = 5
NEAR = 0.5
"""Share of the usual distance to the nearest picture below which two are nearly the same."""
FAR = 3.0
"""Interquartile ranges above the upper quartile beyond which a picture is odd (Tukey 1977: far out)."""


@dataclass(frozen=True)
class Oddities:
    """near: pairs of indices, nearest first; odd: indices, oddest first; looked: how many pictures were looked at."""

    near: tuple[tuple[int, int], ...]
    odd: tuple[int, ...]
    looked: int


@torch.inference_mode()
def oddities(images: Images, most: int = MOST) -> Oddities:
    """Near-duplicates, mirrored ones too, and odd ones out, in about two milliseconds a picture of one core."""
    rows = np.unique(np.linspace(0, len(images) - 1, min(most, len(images))).astype(np.int64))
    if len(rows) <= NEIGHBOURS:
        return Oddities((), (), len(rows))
    points, mirrored = (torch.cat(list(_points(images, rows, flip))) for flip in (False, True))
    apart = torch.minimum(torch.cdist(points, points), torch.cdist(points, mirrored)).fill_diagonal_(torch.inf)
    apart = torch.minimum(apart, apart.T)
    nearest, other = apart.min(1)
    close = (nearest < NEAR * nearest.median()).nonzero().flatten().tolist()
    found = {(min(i, j), max(i, j)): float(nearest[i]) for i, j in ((i, int(other[i])) for i in close)}
    return Oddities(
        tuple((int(rows[i]), int(rows[j])) for i, j in sorted(found, key=lambda pair: found[pair])),
        tuple(int(rows[i]) for i in _far(apart.topk(NEIGHBOURS, largest=False).values.mean(1))),
        len(rows),
    )


def _points(images: Images, rows: NDArray[np.int64], flip: bool) -> Iterator[Float[Tensor, "_ d"]]:
    """Features of some pictures, block by block."""
    for start in range(0, len(rows), BLOCK):
        x = to_float(np.ascontiguousarray(images.pixels[rows[start : start + BLOCK]]), torch.device("cpu"))
        x = resized(x.flip(3) if flip else x, SIDE)
        yield torch.cat([F.normalize(m.float(), dim=1).flatten(1) for m in backbone(x)(x)[2:]], 1)


def _far(distance: Float[Tensor, " n"]) -> list[int]:
    """Which are far out, the farthest first."""
    low, high = distance.quantile(0.25), distance.quantile(0.75)
    far = (distance > high + FAR * (high - low)).nonzero().flatten()
    return far[distance[far].argsort(descending=True)].tolist()
