"""Norm-free residual networks for any size from 8 to 512 pixels.

Blocks start as the identity (Zhang et al. 2019), so neither batch statistics nor a warm-up is needed
and a gradient penalty may be taken through the critic. Labels enter by embedding in the generator
and by projection in the critic (Miyato & Koyama 2018).
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.core.latent import Gaussian, Latent
from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.base import Critic, Encoder, Entry, Generator, Inference, Judgement, Labels, Pictures
from limner.models.layers import Conv, Down, Flat, Residual, Up, leak, pyramid, widths


@register
class ResidualGenerator(Generator):
    """Dense layer to the coarsest grid, then residual blocks and doublings.

    image: shape of what it makes
    latent: prior of its codes
    classes: how many labels it is told, 0 for none
    width: channels at full size
    widest: most channels of any stage
    blocks: residual blocks a stage, the full size excepted: there they cost most and do least
    """

    def __init__(
        self,
        image: Image,
        latent: Latent = Gaussian(64),
        classes: int = 0,
        width: int = 32,
        widest: int = 256,
        blocks: int = 1,
    ) -> None:
        super().__init__()
        self.image, self.latent, self.classes = image, latent, classes
        sizes = pyramid(image)
        channels = widths(len(sizes), width, widest)
        self.grid = (channels[0], *sizes[0])
        self.entry = Entry(latent, classes, math.prod(self.grid))
        layers: list[nn.Module] = [Residual(channels[0]) for _ in range(blocks)]
        for into, out, size in zip(channels, channels[1:], sizes[1:], strict=False):
            inner = 0 if size == sizes[-1] else blocks
            layers += [Leak(), Up(into, out, size), *(Residual(out) for _ in range(inner))]
        self.body = nn.Sequential(*layers)
        self.last = Conv(channels[-1], image.channels, gain=0.5)

    def forward(self, z: Float[Tensor, "n d"], label: Labels | None = None) -> Pictures:
        x = self.entry(z, label).view(-1, *self.grid).contiguous(memory_format=torch.channels_last)
        return self.last(leak(self.body(x))).tanh()


class Leak(nn.Module):
    """The leaky rectifier as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return leak(x)


class Trunk(nn.Module):
    """Image → vector: residual blocks and halvings down to the coarsest grid, then a dense layer."""

    def __init__(self, image: Image, width: int, widest: int, blocks: int, out: int) -> None:
        super().__init__()
        sizes = pyramid(image)
        channels = list(reversed(widths(len(sizes), width, widest)))
        layers: list[nn.Module] = [Conv(image.channels, channels[0])]
        for into, wider in pairwise(channels):
            layers += [Leak(), Down(into, wider), *(Residual(wider) for _ in range(blocks))]
        self.body = nn.Sequential(*layers, Leak(), Flat())
        self.last = nn.Linear(channels[-1] * sizes[0][0] * sizes[0][1], out)
        self.out = out

    def forward(self, x: Pictures) -> Float[Tensor, "n d"]:
        return leak(self.last(self.body(x)))


@register
class ResidualCritic(Critic):
    """Residual blocks and halvings to a vector, then one linear logit; labels by projection.

    image: shape of what it judges
    classes: how many labels it is told, 0 for none
    width: channels at full size
    widest: most channels of any stage
    blocks: residual blocks a stage, the full size excepted: there they cost most and do least
    features: numbers the last layer reads
    """

    def __init__(
        self,
        image: Image,
        classes: int = 0,
        width: int = 32,
        widest: int = 256,
        blocks: int = 1,
        features: int = 256,
    ) -> None:
        super().__init__()
        self.image, self.classes = image, classes
        self.body = Trunk(image, width, widest, blocks, features)
        self.head = Judgement(features, classes)

    def features(self, x: Pictures) -> Float[Tensor, "n d"]:
        return self.body(x)


@register
class ResidualEncoder(Encoder):
    """The critic's trunk, ending in a Gaussian over codes.

    image: shape of what it reads
    latent: prior of the codes
    classes: how many labels it is told, 0 for none
    width: channels at full size
    widest: most channels of any stage
    blocks: residual blocks a stage, the full size excepted: there they cost most and do least
    features: numbers the last layer reads
    """

    def __init__(
        self,
        image: Image,
        latent: Latent = Gaussian(64),
        classes: int = 0,
        width: int = 32,
        widest: int = 256,
        blocks: int = 1,
        features: int = 256,
    ) -> None:
        super().__init__()
        self.image, self.latent, self.classes = image, latent, classes
        self.body = Trunk(image, width, widest, blocks, features)
        self.head = Inference(features, latent, classes)
