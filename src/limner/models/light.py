"""Light convolutional networks for training in minutes on a CPU: no operation that can be done cheaper.

The generator doubles by folded convolutions under batch norm; the critic halves from its first layer on, so
nothing is computed at full size, and has no norm, so a gradient penalty can be taken through it.
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
from limner.models.layers import Conv, Down, Up, leak, pyramid, widths


@register
class LightGenerator(Generator):
    """Dense layer to the coarsest grid, then doublings, each with batch norm and a leaky rectifier.

    image: shape of what it makes
    latent: prior of its codes
    classes: how many labels it is told, 0 for none
    width: channels at full size
    widest: most channels of any stage
    """

    def __init__(
        self, image: Image, latent: Latent = Gaussian(64), classes: int = 0, width: int = 32, widest: int = 256
    ) -> None:
        super().__init__()
        self.image, self.latent, self.classes = image, latent, classes
        sizes = pyramid(image)
        channels = widths(len(sizes), width, widest)
        self.grid = (channels[0], *sizes[0])
        self.entry = Entry(latent, classes, math.prod(self.grid))
        self.ups = nn.ModuleList(Up(*s) for s in zip(channels, channels[1:], sizes[1:], strict=False))
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for c in channels)
        self.last = Conv(channels[-1], image.channels, gain=0.5)

    def forward(self, z: Float[Tensor, "n d"], label: Labels | None = None) -> Pictures:
        x = self.entry(z, label).view(-1, *self.grid).contiguous(memory_format=torch.channels_last)
        x = leak(self.norms[0](x))
        for up, norm in zip(self.ups, self.norms[1:], strict=False):
            x = leak(norm(up(x)))
        return self.last(x).tanh()


class Trunk(nn.Module):
    """Image → vector: halvings down to the coarsest grid, then one dense layer."""

    def __init__(self, image: Image, width: int, widest: int, out: int) -> None:
        super().__init__()
        sizes = pyramid(image)
        channels = [image.channels, *reversed(widths(len(sizes) - 1, width, widest))]
        self.downs = nn.ModuleList(Down(*s) for s in pairwise(channels))
        self.last = nn.Linear(channels[-1] * sizes[0][0] * sizes[0][1], out)

    def forward(self, x: Pictures) -> Float[Tensor, "n d"]:
        for down in self.downs:
            x = leak(down(x))
        return leak(self.last(x.flatten(1)))


@register
class LightCritic(Critic):
    """Halvings, each with a leaky rectifier, and one dense layer; labels by projection.

    image: shape of what it judges
    classes: how many labels it is told, 0 for none
    width: channels of the first, half-size stage
    widest: most channels of any stage
    features: numbers the last layer reads
    """

    def __init__(
        self, image: Image, classes: int = 0, width: int = 32, widest: int = 256, features: int = 256
    ) -> None:
        super().__init__()
        self.image, self.classes = image, classes
        self.body = Trunk(image, width, widest, features)
        self.head = Judgement(features, classes)

    def features(self, x: Pictures) -> Float[Tensor, "n d"]:
        return self.body(x)


@register
class LightEncoder(Encoder):
    """The critic's trunk, ending in a Gaussian over codes.

    image: shape of what it reads
    latent: prior of the codes
    classes: how many labels it is told, 0 for none
    width: channels of the first, half-size stage
    widest: most channels of any stage
    features: numbers the last layer reads
    """

    def __init__(
        self,
        image: Image,
        latent: Latent = Gaussian(64),
        classes: int = 0,
        width: int = 32,
        widest: int = 256,
        features: int = 256,
    ) -> None:
        super().__init__()
        self.image, self.latent, self.classes = image, latent, classes
        self.body = Trunk(image, width, widest, features)
        self.head = Inference(features, latent, classes)
