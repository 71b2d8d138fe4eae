"""Linear networks: a linear autoencoder is PCA, and a linear VAE probabilistic PCA (Lucas et al. 2019)."""

from __future__ import annotations

import math
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from limner.core.latent import Gaussian, Latent
from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.base import Critic, Encoder, Entry, Generator, Inference, Judgement, Labels, Pictures


@register
class LinearGenerator(Generator):
    """Each pixel is a weighted sum of the code's numbers and a constant.

    image: shape of what it makes
    latent: prior of its codes
    classes: how many labels it is told, 0 for none
    output: `cut` to [-1, 1] for images, `linear` for what may lie outside
    """

    def __init__(
        self,
        image: Image,
        latent: Latent = Gaussian(64),
        classes: int = 0,
        output: Literal["cut", "linear"] = "cut",
    ) -> None:
        super().__init__()
        self.image, self.latent, self.classes = image, latent, classes
        self.entry = Entry(latent, classes, image.size)
        self.cut = output == "cut"
        nn.init.normal_(self.entry.dense.weight, std=0.2 / math.sqrt(latent.dim))

    def forward(self, z: Float[Tensor, "n d"], label: Labels | None = None) -> Pictures:
        x = self.entry(z, label).view(-1, self.image.channels, self.image.height, self.image.width)
        return x.clamp(-1, 1) if self.cut else x


@register
class LinearEncoder(Encoder):
    """Mean and log-variance of each number of the code are weighted sums of the pixels and a constant.

    image: shape of what it reads
    latent: prior of the codes
    classes: how many labels it is told, 0 for none
    """

    def __init__(self, image: Image, latent: Latent = Gaussian(64), classes: int = 0) -> None:
        super().__init__()
        self.image, self.latent, self.classes = image, latent, classes
        self.body = nn.Flatten()
        self.head = Inference(image.size, latent, classes)


@register
class LogisticCritic(Critic):
    """Logistic regression: a logit, and one a class, are weighted sums of the pixels.

    image: shape of what it judges
    classes: how many labels it is told or names, 0 for none
    """

    def __init__(self, image: Image, classes: int = 0) -> None:
        super().__init__()
        self.image, self.classes = image, classes
        self.head = Judgement(image.size, classes)

    def features(self, x: Pictures) -> Float[Tensor, "n d"]:
        return x.flatten(1)
