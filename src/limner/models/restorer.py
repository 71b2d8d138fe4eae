"""A translator for restoring: it adds to the picture what is missing, and takes pictures of every size."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.base import Labels, Pictures, Translator
from limner.models.layers import Conv, Residual, Transposed

Maps = Float[Tensor, "n _ _ _"]


@register
class RestoringTranslator(Translator):
    """A picture x → x + f(x), f a small residual U-Net on the picture folded to half its size; any size is taken.

    Learning the difference is DnCNN's (Zhang et al. 2017), folding FFDNet's (Zhang et al. 2018). Where a picture is 0,
    which no 8-bit value is, it was not measured: that is one more channel.

    image: shape of the pictures it was made for; others may be larger or smaller
    width: channels at half size
    widest: most channels of any stage
    depth: further halvings
    blocks: residual blocks of each stage, on the way down and again on the way up
    """

    any_size: ClassVar[bool] = True

    def __init__(self, image: Image, width: int = 32, widest: int = 96, depth: int = 2, blocks: int = 2) -> None:
        super().__init__()
        self.image, self.side = image, 2 ** (depth + 1)
        channels = [min(width * 2**k, widest) for k in range(depth + 1)]
        self.head = Conv(4 * (image.channels + 1), width)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, 2) for a, b in pairwise(channels))
        self.ups = nn.ModuleList(Transposed(b, a, 2) for a, b in pairwise(channels))
        self.before = nn.ModuleList(_blocks(c, blocks) for c in channels)
        self.after = nn.ModuleList(_blocks(c, blocks) for c in channels[:-1])
        self.tail = Conv(width, 4 * image.channels, gain=0.1)

    def forward(self, x: Pictures, label: Labels | None = None) -> Pictures:
        height, width = x.shape[2:]
        missing = (x == 0).all(1, keepdim=True).to(x.dtype)
        around = (0, -width % self.side, 0, -height % self.side)
        h = self.head(F.pixel_unshuffle(F.pad(torch.cat([x, missing], 1), around, mode="replicate"), 2))
        change = F.pixel_shuffle(self.tail(self._across(h)), 2)[:, :, :height, :width]
        y = x + change.to(x.dtype)
        # clipped, but not blind to what is outside
        return y + (y.clamp(-1, 1) - y).detach()

    def _across(self, h: Maps) -> Maps:
        """Down and up again, each stage added to its equal."""
        beside: list[Maps] = []
        for before, down in zip(self.before[:-1], self.downs, strict=True):
            beside.append(before(h))
            h = down(beside[-1])
        h = self.before[-1](h)
        for after, up, left in zip(reversed(self.after), reversed(self.ups), reversed(beside), strict=True):
            h = after(up(h) + left)
        return h


def _blocks(channels: int, n: int) -> nn.Sequential:
    return nn.Sequential(*(Residual(channels) for _ in range(n)))
