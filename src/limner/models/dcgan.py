"""Deep convolutional networks with batch normalisation (Radford et al. 2016), for any size of image.

Each stage halves or doubles the resolution by one 4×4 convolution with stride 2.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.core.latent import Gaussian, Latent
from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.base import Critic, Encoder, Entry, Generator, Inference, Judgement, Labels, Pictures
from limner.models.layers import Flat, Transposed, pyramid, widths


class Grow(nn.Module):
    """Transposed 4×4 convolution with stride 2, cut to an exact size."""

    def __init__(self, into: int, out: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.conv = Transposed(into, out, 4)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x, self.size)


def shrink(into: int, out: int) -> nn.Conv2d:
    """4×4 convolution with stride 2 whose output is half the input, rounded up."""
    return nn.Conv2d(into, out, 4, 2, 1)


def start_as_published(net: nn.Module) -> None:
    """Weights from N(0, 0.02), norm scales from N(1, 0.02) (Radford et al. 2016, section 4)."""
    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)


class Trunk(nn.Sequential):
    """Image → vector: strided convolutions down to the coarsest size, batch norm on all but the first."""

    def __init__(self, image: Image, width: int, widest: int) -> None:
        sizes = pyramid(image)
        channels = [image.channels, *reversed(widths(len(sizes) - 1, width, widest))]
        layers: list[nn.Module] = []
        for k, (into, out) in enumerate(pairwise(channels)):
            height, width_ = sizes[-1 - k]
            layers.append(nn.ZeroPad2d((0, width_ % 2, 0, height % 2)))
            layers.append(shrink(into, out))
            if k:
                layers.append(nn.BatchNorm2d(out))
            layers.append(nn.LeakyReLU(0.2))
        super().__init__(*layers, Flat())
        self.out = channels[-1] * sizes[0][0] * sizes[0][1]


@register
class DCGANGenerator(Generator):
    """Transposed convolutions with batch norm and rectifiers.

    image: shape of what it makes
    latent: prior of its codes
    classes: how many labels it is told, 0 for none
    width: channels of the finest hidden stage
    widest: most channels of any stage
    """

    def __init__(
        self, image: Image, latent: Latent = Gaussian(100), classes: int = 0, width: int = 64, widest: int = 512
    ) -> None:
        super().__init__()
        self.image, self.latent, self.classes = image, latent, classes
        sizes = pyramid(image)
        channels = [*widths(len(sizes) - 1, width, widest), image.channels]
        self.grid = (channels[0], *sizes[0])
        self.entry = Entry(latent, classes, channels[0] * sizes[0][0] * sizes[0][1])
        layers: list[nn.Module] = []
        for into, out, size in zip(channels, channels[1:], sizes[1:], strict=False):
            layers += [nn.BatchNorm2d(into), nn.ReLU(), Grow(into, out, size)]
        self.body = nn.Sequential(*layers)
        start_as_published(self)

    def forward(self, z: Float[Tensor, "n d"], label: Labels | None = None) -> Pictures:
        x = self.entry(z, label).view(-1, *self.grid).contiguous(memory_format=torch.channels_last)
        return self.body(x).tanh()


@register
class DCGANCritic(Critic):
    """Strided convolutions with batch norm and leaky rectifiers; labels by projection.

    image: shape of what it judges
    classes: how many labels it is told, 0 for none
    width: channels of the finest hidden stage
    widest: most channels of any stage
    """

    def __init__(self, image: Image, classes: int = 0, width: int = 64, widest: int = 512) -> None:
        super().__init__()
        self.image, self.classes = image, classes
        self.body = Trunk(image, width, widest)
        self.head = Judgement(self.body.out, classes)
        start_as_published(self)

    def features(self, x: Pictures) -> Float[Tensor, "n d"]:
        return self.body(x)


@register
class DCGANEncoder(Encoder):
    """The critic's convolutions, ending in a Gaussian over codes.

    image: shape of what it reads
    latent: prior of the codes
    classes: how many labels it is told, 0 for none
    width: channels of the finest hidden stage
    widest: most channels of any stage
    """

    def __init__(
        self, image: Image, latent: Latent = Gaussian(100), classes: int = 0, width: int = 64, widest: int = 512
    ) -> None:
        super().__init__()
        self.image, self.latent, self.classes = image, latent, classes
        self.body = Trunk(image, width, widest)
        self.head = Inference(self.body.out, latent, classes)
