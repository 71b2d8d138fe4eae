"""The small-data family: skip-layer excitation, and a critic that can rebuild what it sees (Liu et al. 2021, FastGAN).

A few hundred pictures are soon known by heart by a critic. One that must be able to rebuild a picture from its inner
maps has to describe all of it, not the one detail that gives a fake away. It works together with an augmentation.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from limner.core.latent import Gaussian, Latent
from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.base import Critic, Judgement, Labels, Pictures
from limner.models.layers import Conv, Maps, Shrink, flat, leak, pyramid, widths
from limner.models.light import LightGenerator

DECODED = 3
"""Doublings of the decoder for the whole picture."""
DETAIL = 2
"""Halvings before the maps that a quarter is rebuilt from."""


class Excitation(nn.Module):
    """Channels of a fine grid scaled by what a coarse one shows: pooled to 4×4, two convolutions, a gate (eq. 1).

    coarse: channels that are read
    fine: channels that are scaled
    """

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(coarse, fine, 4)
        self.second = nn.Conv2d(fine, fine, 1)

    def forward(self, x: Maps, coarse: Maps) -> Maps:
        """(n, fine, h, w), (n, coarse, h', w') → (n, fine, h, w)."""
        gate = self.second(leak(self.first(F.adaptive_avg_pool2d(coarse, 4)))).sigmoid()
        return x * (2 * gate)


@register
class SmallGenerator(LightGenerator):
    """The light generator with each fine stage gated by the stage `skip` before it (Liu et al. 2021, section 3.1).

    image: shape of what it makes
    latent: prior of its codes
    classes: how many labels it is told, 0 for none
    width: channels at full size
    widest: most channels of any stage
    skip: how many stages a gate reaches over; 2 is from 4×4 to 16×16
    """

    def __init__(
        self,
        image: Image,
        latent: Latent = Gaussian(64),
        classes: int = 0,
        width: int = 16,
        widest: int = 256,
        skip: int = 2,
    ) -> None:
        super().__init__(image, latent, classes, width, widest)
        self.skip = skip
        channels = widths(len(pyramid(image)), width, widest)
        self.gates = nn.ModuleList(Excitation(*pair) for pair in zip(channels, channels[skip:], strict=False))

    def forward(self, z: Float[Tensor, "n d"], label: Labels | None = None) -> Pictures:
        stages = [self.coarsest(z, label)]
        for k, (grow, norm) in enumerate(zip(self.grows, self.norms[1:], strict=True), 1):
            x = leak(norm(grow(stages[-1]), label))
            stages.append(self.gates[k - self.skip](x, stages[k - self.skip]) if k >= self.skip else x)
        return self.last(stages[-1]).tanh()


class Decoder(nn.Module):
    """Maps → a picture: doublings with few channels, for rebuilding only."""

    def __init__(self, into: int, doublings: int, channels: int, width: int) -> None:
        super().__init__()
        self.first = Conv(into, width, kernel=1)
        self.convs = nn.ModuleList(Conv(width, width) for _ in range(doublings))
        self.last = Conv(width, channels, kernel=1, gain=0.5)

    def forward(self, x: Maps) -> Maps:
        """(n, into, h, w) → (n, channels, h · 2^doublings, w · 2^doublings)."""
        x = leak(self.first(x))
        for conv in self.convs:
            x = leak(conv(F.interpolate(x, scale_factor=2, mode="nearest")))
        return self.last(x).tanh()


@register
class SmallCritic(Critic):
    """Halvings to one dense layer, and decoders that rebuild the picture from two of its grids (section 3.2).

    image: shape of what it judges
    classes: how many labels it is told, 0 for none
    width: channels of the first, half-size stage
    widest: most channels of any stage
    features: numbers the last layer reads
    decoder: channels of the decoders
    """

    def __init__(
        self,
        image: Image,
        classes: int = 0,
        width: int = 32,
        widest: int = 256,
        features: int = 256,
        decoder: int = 24,
    ) -> None:
        super().__init__()
        self.image, self.classes = image, classes
        sizes = pyramid(image)
        channels = [image.channels, *reversed(widths(len(sizes) - 1, width, widest))]
        self.shrinks = nn.ModuleList(Shrink(*s) for s in pairwise(channels))
        self.last = nn.Linear(channels[-1] * math.prod(sizes[0]), features)
        self.head = Judgement(features, classes)
        self.detail = min(DETAIL, len(self.shrinks))
        self.whole = Decoder(channels[-1], min(DECODED, len(self.shrinks)), image.channels, decoder)
        self.quarter = Decoder(channels[self.detail], self.detail, image.channels, decoder)

    def features(self, x: Pictures) -> Float[Tensor, "n d"]:
        return leak(self.last(flat(self.maps(x)[-1])))

    def maps(self, x: Pictures) -> list[Maps]:
        """What each stage sees, from fine to coarse."""
        stages = [x]
        for shrink in self.shrinks:
            stages.append(leak(shrink(stages[-1])))
        return stages[1:]

    def rebuild(self, x: Pictures, corner: Bool[Tensor, "n two"]) -> list[tuple[Maps, Maps]]:
        """(rebuilt, what it should be): the whole picture, reduced, and one quarter of it in full detail.

        corner: whether the quarter is the lower one, and whether it is the right one, for each image
        """
        maps = self.maps(x)
        coarse, fine = maps[-1], maps[self.detail - 1]
        rebuilt = self.whole(coarse)
        full = _padded(x, coarse.shape[2] * 2 ** len(maps), coarse.shape[3] * 2 ** len(maps))
        target = F.avg_pool2d(full, full.shape[2] // rebuilt.shape[2])
        scale = 2**self.detail
        detailed = _padded(x, fine.shape[2] * scale, fine.shape[3] * scale)
        half = (math.ceil(fine.shape[2] / 2), math.ceil(fine.shape[3] / 2))
        part = self.quarter(_quarter(fine, corner, half))
        return [(rebuilt, target), (part, _quarter(detailed, corner, (half[0] * scale, half[1] * scale)))]


def _padded(x: Maps, height: int, width: int) -> Maps:
    """Zeros below and on the right, as halving adds them."""
    return F.pad(x, (0, width - x.shape[3], 0, height - x.shape[2]))


def _quarter(x: Maps, corner: Bool[Tensor, "n two"], size: tuple[int, int]) -> Maps:
    """The corner of each map that is asked for."""
    lower, right = corner[:, 0, None, None, None], corner[:, 1, None, None, None]
    rows = torch.where(lower, x[:, :, -size[0] :], x[:, :, : size[0]])
    return torch.where(right, rows[:, :, :, -size[1] :], rows[:, :, :, : size[1]])
