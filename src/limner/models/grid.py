"""Codecs: a picture becomes whole numbers on a grid and is made again from them (Ballé et al. 2017).

Both networks begin as JPEG's transform, a discrete cosine transform of blocks and colours, and learn what to add to it:
from the first step on they compress, and training is spent on what cosines cannot say.
"""

from __future__ import annotations

import math
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limner.core.grid import Quantised, Rounded
from limner.core.latent import Latent
from limner.core.pixels import Image
from limner.core.posterior import Posterior
from limner.core.spec import register
from limner.models.base import Classes, Encoder, Generator, Labels, Pictures
from limner.models.layers import Conv, Maps, Residual

GAIN = 3.5
"""Steps from -1 to 1/6 of a cosine coefficient at the beginning; learned, a number for each."""


@register
class GridEncoder(Encoder):
    """Blocks' cosine coefficients, and what residual blocks on the grid of them add, as whole numbers.

    image: shape of what it reads
    classes: how many labels it is told, 0 for none
    halvings: a block is 2^halvings pixels wide and high
    width: channels of the residual blocks
    blocks: how many of those
    """

    def __init__(self, image: Image, classes: int = 0, halvings: int = 3, width: int = 128, blocks: int = 1) -> None:
        super().__init__()
        self.image, self.classes, self.halvings = image, classes, halvings
        self.latent: Latent = grid_of(image, halvings)
        count = grid_of(image, halvings).channels
        self.transform = nn.Parameter(cosines(image.channels, 2**halvings))
        self.gain = nn.Parameter(torch.full((count,), math.log(GAIN)))
        self.body = Refinement(count, width, blocks, classes)

    def forward(self, x: Pictures, label: Labels | None = None) -> Posterior:
        height, width = x.shape[2:]
        around = (0, -width % 2**self.halvings, 0, -height % 2**self.halvings)
        blocks = F.pixel_unshuffle(F.pad(x, around, mode="replicate"), 2**self.halvings)
        c = F.conv2d(blocks, self.transform[:, :, None, None])
        y = self.gain.exp()[:, None, None] * (c + self.body(c, label))
        return Rounded.of(y.float().flatten(1))


@register
class GridGenerator(Generator):
    """Cosine coefficients, to which residual blocks on the grid add, back to blocks of pixels, cut to [-1, 1].

    Gradients pass the cut as if it were not there.

    image: shape of what it makes
    classes: how many labels it is told, 0 for none
    halvings: a block is 2^halvings pixels wide and high
    width: channels of the residual blocks
    blocks: how many of those
    """

    def __init__(self, image: Image, classes: int = 0, halvings: int = 3, width: int = 128, blocks: int = 3) -> None:
        super().__init__()
        self.image, self.classes, self.halvings = image, classes, halvings
        self.grid = grid_of(image, halvings)
        self.latent: Latent = self.grid
        self.transform = nn.Parameter(cosines(image.channels, 2**halvings))
        self.gain = nn.Parameter(torch.full((self.grid.channels,), -math.log(GAIN)))
        self.body = Refinement(self.grid.channels, width, blocks, classes)

    def forward(self, z: Float[Tensor, "n d"], label: Labels | None = None) -> Pictures:
        z = z.view(-1, self.grid.channels, self.grid.height, self.grid.width)
        c = z.contiguous(memory_format=torch.channels_last) * self.gain.exp()[:, None, None]
        blocks = F.conv2d(c + self.body(c, label), self.transform.T[:, :, None, None])
        x = F.pixel_shuffle(blocks, 2**self.halvings)[:, :, : self.image.height, : self.image.width]
        return x + (x.clamp(-1, 1) - x).detach()


class Refinement(nn.Module):
    """Coefficients → what to add to them: nothing at the beginning."""

    def __init__(self, count: int, width: int, blocks: int, classes: int) -> None:
        super().__init__()
        self.first = Conv(count, width)
        self.label = Classes(classes, width, scale=0.0) if classes else None
        self.blocks = nn.Sequential(*(Residual(width) for _ in range(blocks)))
        self.last = Conv(width, count, gain=0.0)

    def forward(self, c: Maps, label: Labels | None) -> Maps:
        """(n, c, h, w) → (n, c, h, w)."""
        h = self.first(c)
        if self.label is not None:
            h = h + self.label(label, len(h)).to(h.dtype)[:, :, None, None]
        return self.last(self.blocks(h))


def grid_of(image: Image, halvings: int) -> Quantised:
    """As many numbers as the padded picture has, a place for each block."""
    side = 2**halvings
    return Quantised(image.channels * side**2, math.ceil(image.height / side), math.ceil(image.width / side))


def cosines(channels: int, side: int) -> Float[Tensor, "d d"]:
    """The orthonormal cosine transform over channels, rows and columns of a block, coarse waves first.

    Over three colours it is brightness and two differences of colour, which are put two waves later.
    """
    matrix = reduce(torch.kron, [cosine(channels), cosine(side), cosine(side)])
    colour, row, column = torch.cartesian_prod(*map(torch.arange, (channels, side, side))).T
    return matrix[torch.argsort(row + column + 2 * (colour > 0), stable=True)].float()


def cosine(n: int) -> Float[Tensor, "n n"]:
    """The orthonormal discrete cosine transform, a row for each wave (Ahmed, Natarajan & Rao 1974)."""
    k = torch.arange(n, dtype=torch.float64)
    rows = math.sqrt(2 / n) * torch.cos(math.pi / n * (k + 0.5) * k[:, None])
    rows[0] /= math.sqrt(2)
    return rows
