"""A dense layer to a quarter-size grid of 256 channels, then convolutions with batch norm and dropout.

The network of many first tutorials: 7×7×256 for 28×28 digits.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.core.latent import Gaussian, Latent
from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.base import Critic, Encoder, Entry, Generator, Inference, Judgement, Labels, Pictures
from limner.models.layers import Dropout, Flat, Up, leak


def quarter(image: Image) -> list[tuple[int, int]]:
    """Quarter, half and full size, rounded up."""
    full = (image.height, image.width)
    half = (math.ceil(full[0] / 2), math.ceil(full[1] / 2))
    return [(math.ceil(half[0] / 2), math.ceil(half[1] / 2)), half, full]


@register
class DenseGenerator(Generator):
    """Dense layer to h/4 × w/4 × 4·width, then two doublings.

    image: shape of what it makes
    latent: prior of its codes
    classes: how many labels it is told, 0 for none
    width: channels at full size; 256 = 4 · 64 at the quarter size
    """

    def __init__(self, image: Image, latent: Latent = Gaussian(100), classes: int = 0, width: int = 64) -> None:
        super().__init__()
        self.image, self.latent, self.classes = image, latent, classes
        small, half, full = quarter(image)
        self.grid = (4 * width, *small)
        self.entry = Entry(latent, classes, math.prod(self.grid))
        self.body = nn.ModuleList([Up(4 * width, 2 * width, half), Up(2 * width, width, full)])
        self.norms = nn.ModuleList([nn.BatchNorm2d(c * width) for c in (4, 2, 1)])
        self.last = nn.Conv2d(width, image.channels, 3, padding=1)

    def forward(self, z: Float[Tensor, "n d"], label: Labels | None = None) -> Pictures:
        x = self.entry(z, label).view(-1, *self.grid).contiguous(memory_format=torch.channels_last)
        x = leak(self.norms[0](x))
        for up, norm in zip(self.body, self.norms[1:], strict=True):
            x = leak(norm(up(x)))
        return self.last(x).tanh()


class Trunk(nn.Sequential):
    """Image → vector: two strided 5×5 convolutions, each with dropout."""

    def __init__(self, image: Image, width: int, dropout: float) -> None:
        small = quarter(image)[0]
        super().__init__(
            nn.Conv2d(image.channels, width, 5, 2, 2),
            nn.LeakyReLU(0.2),
            Dropout(dropout),
            nn.Conv2d(width, 2 * width, 5, 2, 2),
            nn.LeakyReLU(0.2),
            Dropout(dropout),
            Flat(),
        )
        self.out = 2 * width * small[0] * small[1]


@register
class DenseCritic(Critic):
    """Two strided convolutions with dropout, then a dense layer; labels by projection.

    image: shape of what it judges
    classes: how many labels it is told, 0 for none
    width: channels of the first convolution
    dropout: share of numbers dropped in training, 0 to 1
    """

    def __init__(self, image: Image, classes: int = 0, width: int = 64, dropout: float = 0.3) -> None:
        super().__init__()
        self.image, self.classes = image, classes
        self.body = Trunk(image, width, dropout)
        self.head = Judgement(self.body.out, classes)

    def features(self, x: Pictures) -> Float[Tensor, "n d"]:
        return self.body(x)


@register
class DenseEncoder(Encoder):
    """The critic's convolutions, ending in a Gaussian over codes.

    image: shape of what it reads
    latent: prior of the codes
    classes: how many labels it is told, 0 for none
    width: channels of the first convolution
    dropout: share of numbers dropped in training, 0 to 1
    """

    def __init__(
        self,
        image: Image,
        latent: Latent = Gaussian(100),
        classes: int = 0,
        width: int = 64,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.image, self.latent, self.classes = image, latent, classes
        self.body = Trunk(image, width, dropout)
        self.head = Inference(self.body.out, latent, classes)
