"""How likely the numbers of a grid are: Laplace variables whose scale follows the sizes of those told before.

Where pictures are busy, numbers are large: the scale of each is a weighted sum of the sizes of its causal neighbours
(an ARCH model, Engle 1982, in two dimensions), and its middle one of the same wave's neighbours. Trained in floating
point; used in whole numbers, so that decoding never hangs on how a machine rounds.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from limner.core import tables
from limner.core.grid import straight
from limner.core.latent import Latent
from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.base import CodePrior
from limner.models.grid import grid_of
from limner.models.layers import Maps

FIXED = 1 << 20
"""Weights in fixed point are multiples of 1 / FIXED."""
LARGEST = 1 << 12
"""Sizes are not counted beyond this."""
Whole = NDArray[np.int64]


@register
class GridPrior(CodePrior):
    """Scales from the sizes of the places to the left and above, and of coarser waves at the same place.

    image: shape of the pictures whose codes it knows
    halvings: a block is 2^halvings pixels wide and high
    """

    mask: Tensor
    past: Tensor

    def __init__(self, image: Image, halvings: int = 3) -> None:
        super().__init__()
        self.image, self.halvings = image, halvings
        self.grid = grid_of(image, halvings)
        self.latent: Latent = self.grid
        count = self.grid.channels
        self.groups = [slice(a, b) for a, b in zip(_cuts(count), _cuts(count)[1:], strict=False)]
        self.turns = self.grid.height * self.grid.width * len(self.groups)
        self.floor = nn.Parameter(torch.full((count,), 0.3))
        self.spread = nn.Parameter(_own(count))
        self.middle = nn.Parameter(torch.zeros(count, 1, 2, 3))
        # buffers, so that no step of a training copies them to a GPU; no part of a model file
        self.register_buffer("mask", self._mask(), persistent=False)
        self.register_buffer("past", _past(), persistent=False)

    def bits(self, noisy: Float[Tensor, "n d"], whole: Float[Tensor, "n d"], step: Tensor | float) -> Tensor:
        q, y = (z.view(-1, self.grid.channels, self.grid.height, self.grid.width) for z in (whole, noisy))
        floor = self.floor.abs()[:, None, None] / torch.as_tensor(step, device=q.device).view(-1, 1, 1, 1)
        wide = floor + _causal(q.abs(), self.spread.abs() * self.mask.to(q.dtype)).float()
        middle = _causal(q, self.middle * self.past.to(q.dtype), len(self.floor))
        return laplace_bits(y - straight(middle.float()), wide.clamp_min(2**tables.LOWEST)).flatten(1).sum(1)

    def _mask(self) -> Float[Tensor, "c c 2 3"]:
        """1 where a number may look: rows above, what is left of it, and groups before its own."""
        mask = torch.ones(self.grid.channels, self.grid.channels, 2, 3)
        mask[:, :, 1, 1:] = 0
        for group in self.groups:
            mask[group, : group.start, 1, 1] = 1
        return mask

    def places(self, turn: int) -> Whole:
        place, group = divmod(turn, len(self.groups))
        size = self.grid.height * self.grid.width
        return np.arange(self.grid.channels, dtype=np.int64)[self.groups[group]] * size + place

    @torch.no_grad()
    def said(self, turn: int, whole: Whole, step: Fraction) -> tuple[Whole, Whole]:
        place, number = divmod(turn, len(self.groups))
        group, near = self.groups[number], self._near(whole, place)
        floor, spread, middle = self._fixed(step)
        sizes = np.minimum(np.abs(near), LARGEST).reshape(len(whole), -1)
        # sums of whole numbers far below 2^53: exact in float64, whatever their order
        wide = floor[group] + (sizes.astype(np.float64) @ spread[group].T).astype(np.int64)
        middles = (near[:, group].reshape(len(whole), -1, 6) * middle[group]).sum(2)
        return (middles + FIXED // 2) // FIXED, tables.nearest(wide // (FIXED // tables.UNIT))

    def _near(self, whole: Whole, place: int) -> Whole:
        """(n, d) → (n, c, 6): the six places around one, 0 beyond the edge."""
        row, column = divmod(place, self.grid.width)
        grid = whole.reshape(-1, self.grid.channels, self.grid.height, self.grid.width)
        near = np.zeros((*grid.shape[:2], 2, 3), np.int64)
        top, left, right = min(row, 1), min(column, 1), min(self.grid.width - column, 2)
        near[:, :, 1 - top :, 1 - left : 1 + right] = grid[:, :, row - top : row + 1, column - left : column + right]
        return near.reshape(*grid.shape[:2], 6)

    def _fixed(self, step: Fraction) -> tuple[Whole, NDArray[np.float64], Whole]:
        """The weights in whole numbers, what must not be seen left out."""
        floor = np.rint(self.floor.abs().double().cpu().numpy() * FIXED).astype(np.int64)
        spread = (self.spread.abs() * self.mask).double().cpu().numpy()
        middle = (self.middle * self.past).double().cpu().numpy()
        return (
            floor * step.denominator // step.numerator,
            np.rint(spread.reshape(len(floor), -1) * FIXED),
            np.rint(middle.reshape(len(floor), 6) * FIXED).astype(np.int64),
        )


def laplace_bits(r: Maps, wide: Maps) -> Maps:
    """Bits of the mass that a Laplace variable of scale `wide` has within half a step of r."""
    away = r.abs()
    outside = torch.log1p(-(-1 / wide).exp()) - math.log(2) - (away - 0.5).clamp_min(0) / wide
    inside = away.clamp_max(0.5)
    within = torch.log1p(-(((inside - 0.5) / wide).exp() + ((-inside - 0.5) / wide).exp()) / 2 * (1 - 1e-6))
    return torch.where(away > 0.5, outside, within) / -math.log(2)


def _causal(x: Maps, kernel: Tensor, groups: int = 1) -> Maps:
    """A kernel over the row above and the places to the left."""
    return F.conv2d(F.pad(x, (1, 1, 1, 0)), kernel, groups=groups)


def _past() -> Float[Tensor, "1 1 2 3"]:
    """1 at the places above and to the left."""
    return torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])[None, None]


def _cuts(count: int) -> list[int]:
    """Where groups of waves begin and end, four times as many in each."""
    return [0, *sorted({max(1, count // 64), max(1, count // 16), max(1, count // 4), count})]


def _own(count: int) -> Float[Tensor, "c c 2 3"]:
    """To begin with, a number is about as large as the same wave's neighbours."""
    spread = torch.rand(count, count, 2, 3) * (0.1 / count)
    spread[range(count), range(count)] += torch.tensor([[0.05, 0.2, 0.05], [0.2, 0.0, 0.0]])
    return spread
