"""Light convolutional networks for training in minutes on a CPU: few layers, and little at full size.

The generator doubles by strided convolutions; the critic halves from its first layer on and
has no norm, so a gradient penalty can be taken through it. A label scales and shifts what the generator's norms
give and never enters beside the code, where the networks could follow it alone and forget the code.
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
from limner.models.base import Classes, Critic, Encoder, Entry, Generator, Inference, Judgement, Labels, Pictures
from limner.models.layers import Conv, Grow, Maps, Shrink, flat, leak, pyramid, widths


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
        self, image: Image, latent: Latent = Gaussian(64), classes: int = 0, width: int = 16, widest: int = 256
    ) -> None:
        super().__init__()
        self.image, self.latent, self.classes = image, latent, classes
        grids = pyramid(image)
        channels = widths(len(grids), width, widest)
        self.grid = (channels[0], *grids[0])
        self.entry = Entry(latent, 0, math.prod(self.grid))
        self.grows = nn.ModuleList(Grow(*s) for s in zip(channels, channels[1:], grids[1:], strict=False))
        self.norms = nn.ModuleList(Norm(c, classes) for c in channels)
        # a 3×3 convolution at full size wipes away what strides leave behind
        self.last = Conv(channels[-1], image.channels, gain=0.5)

    def forward(self, z: Float[Tensor, "n d"], label: Labels | None = None) -> Pictures:
        x = self.coarsest(z, label)
        for grow, norm in zip(self.grows, self.norms[1:], strict=True):
            x = leak(norm(grow(x), label))
        return self.last(x).tanh()

    def coarsest(self, z: Float[Tensor, "n d"], label: Labels | None) -> Maps:
        """(n, d) → (n, c, h, w) of the smallest grid."""
        x = self.entry(z, None).view(-1, *self.grid).contiguous(memory_format=torch.channels_last)
        return leak(self.norms[0](x, label))


class Norm(nn.Module):
    """Batch norm whose scale and shift depend on the label (de Vries et al. 2017)."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.label = Classes(classes, 2 * channels, scale=0.8) if classes else None

    def forward(self, x: Maps, label: Labels | None) -> Maps:
        """(n, c, h, w) → (n, c, h, w)."""
        x = self.norm(x)
        if self.label is None:
            return x
        scale, shift = self.label(label, len(x)).to(x.dtype)[:, :, None, None].chunk(2, 1)
        return torch.addcmul(x + shift, x, scale)


class Trunk(nn.Module):
    """Image → vector: halvings down to the coarsest grid, then one dense layer."""

    def __init__(self, image: Image, width: int, widest: int, out: int) -> None:
        super().__init__()
        sizes = pyramid(image)
        channels = [image.channels, *reversed(widths(len(sizes) - 1, width, widest))]
        self.shrinks = nn.ModuleList(Shrink(*s) for s in pairwise(channels))
        self.last = nn.Linear(channels[-1] * sizes[0][0] * sizes[0][1], out)

    def forward(self, x: Pictures) -> Float[Tensor, "n d"]:
        for shrink in self.shrinks:
            x = leak(shrink(x))
        return leak(self.last(flat(x)))


@register
class LightCritic(Critic):
    """Halvings, each with a leaky rectifier, and one dense layer; labels by projection.

    image: shape of what it judges
    classes: how many labels it is told, 0 for none
    width: channels of the first, half-size stage
    widest: most channels of any stage
    features: numbers the last layer reads
    """

    def __init__(self, image: Image, classes: int = 0, width: int = 32, widest: int = 256, features: int = 256) -> None:
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
