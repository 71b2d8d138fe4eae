"""Translators, picture to picture of the same size: an encoder and a decoder back to back."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.base import Labels, Pictures, Translator
from limner.models.layers import Conv, Down, Residual, Size, Up, leak

Maps = Float[Tensor, "n _ _ _"]
START = 1.5
"""What a picture is multiplied by at first, under the hyperbolic tangent: close to the identity on [-1, 1]."""


def halvings(image: Image, depth: int) -> list[Size]:
    """Sizes from fine to coarse: each half of the one before, rounded up."""
    sizes = [(image.height, image.width)]
    for _ in range(depth):
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes


class Last(nn.Module):
    """Features and the picture itself → a picture; at first nearly the one given, so nothing is lost on the way round.

    From a random start two translators soon agree on blank pictures, which come back as they went.
    """

    def __init__(self, into: int, channels: int) -> None:
        super().__init__()
        self.mix = Conv(into + channels, channels, gain=0.1)
        with torch.no_grad():
            self.mix.weight[:, into:] = 0
            self.mix.weight[:, into:, 1, 1] = START * torch.eye(channels)

    def forward(self, h: Maps, x: Pictures) -> Pictures:
        """(n, into, h, w), (n, c, h, w) → (n, c, h, w) in [-1, 1]."""
        return self.mix(torch.cat([h, x.to(h.dtype)], 1)).tanh()


@register
class LightTranslator(Translator):
    """Halvings, residual blocks on a small grid, doublings, with instance norm; the picture lies beside the last layer.

    What a translation leaves in its place thus need not pass through the small grid (after Zhu et al. 2017, section
    7.1, and Ronneberger et al. 2015).

    image: shape of what it reads and makes
    width: channels of the first, half-size stage
    widest: most channels of any stage
    depth: halvings
    blocks: residual blocks on the smallest grid
    """

    def __init__(self, image: Image, width: int = 32, widest: int = 128, depth: int = 2, blocks: int = 4) -> None:
        super().__init__()
        self.image = image
        sizes = halvings(image, depth)
        channels = [image.channels, *(min(width * 2**k, widest) for k in range(depth))]
        out = [max(width // 2, image.channels), *channels[1:]]
        self.downs = nn.ModuleList(Down(a, b) for a, b in pairwise(channels))
        self.blocks = nn.Sequential(*(Residual(channels[-1]) for _ in range(blocks)))
        # of each picture and channel by itself: a blank map becomes one with structure again
        self.norms = nn.ModuleList(nn.GroupNorm(c, c) for c in (*channels[1:], *reversed(out[:-1])))
        ups = [Up(b, a, size) for (a, b), size in zip(pairwise(out), sizes, strict=False)]
        self.ups = nn.ModuleList(reversed(ups))
        self.last = Last(out[0], image.channels)

    def forward(self, x: Pictures, label: Labels | None = None) -> Pictures:
        h: Maps = x
        depth = len(self.downs)
        for down, norm in zip(self.downs, self.norms[:depth], strict=True):
            h = leak(norm(down(h)))
        h = self.blocks(h)
        for up, norm in zip(self.ups, self.norms[depth:], strict=True):
            h = leak(norm(up(h)))
        return self.last(h, x)


@register
class UNetTranslator(Translator):
    """Halvings and doublings, each stage beside its equal on the way down (Ronneberger et al. 2015; Isola et al. 2017).

    image: shape of what it reads and makes
    width: channels of the first, half-size stage
    widest: most channels of any stage
    depth: halvings
    """

    def __init__(self, image: Image, width: int = 32, widest: int = 256, depth: int = 3) -> None:
        super().__init__()
        self.image = image
        sizes = halvings(image, depth)
        channels = [image.channels, *(min(width * 2**k, widest) for k in range(depth))]
        out = [max(width // 2, image.channels), *channels[1:]]
        self.downs = nn.ModuleList(Down(a, b) for a, b in pairwise(channels))
        # the coarsest stage has nothing beside it
        into = [out[k] + (channels[k] if k < depth else 0) for k in range(depth + 1)]
        ups = [Up(into[k + 1], out[k], sizes[k]) for k in range(depth)]
        self.ups = nn.ModuleList(reversed(ups))
        self.last = Last(out[0], image.channels)

    def forward(self, x: Pictures, label: Labels | None = None) -> Pictures:
        beside: list[Maps] = []
        h: Maps = x
        for down in self.downs:
            beside.append(h)
            h = leak(down(h))
        for k, (up, left) in enumerate(zip(self.ups, reversed(beside), strict=True)):
            h = leak(up(h))
            h = torch.cat([h, left], 1) if k < len(beside) - 1 else h
        return self.last(h, x)
