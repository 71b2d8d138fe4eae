"""Critics of codes: beside their pictures, or alone."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.latent import Gaussian, Latent
from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.base import CodeCritic, JointCritic, Judgement, Labels, Pictures
from limner.models.light import Trunk
from limner.models.plain import dense, start


@register
class PlainJointCritic(JointCritic):
    """Dense layers from pixels and code to a logit.

    image: shape of the picture
    latent: prior of the code
    classes: how many labels it is told, 0 for none
    width: numbers in a hidden layer
    depth: hidden layers
    dropout: share of hidden numbers dropped in training, 0 to 1
    """

    def __init__(
        self,
        image: Image,
        latent: Latent = Gaussian(64),
        classes: int = 0,
        width: int = 256,
        depth: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.image, self.latent, self.classes = image, latent, classes
        self.body = dense(image.size + latent.dim, width, depth, dropout)
        self.head = Judgement(width, classes)
        start(self)

    def features(self, x: Pictures, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        return self.body(torch.cat([x.flatten(1), z], 1))


@register
class LightJointCritic(JointCritic):
    """The light critic's halvings for the picture, a dense layer for the code, two dense layers for both.

    image: shape of the picture
    latent: prior of the code
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
        self.code = dense(latent.dim, features, 1)
        self.both = dense(2 * features, features, 2)
        self.head = Judgement(features, classes)
        start(self.code)
        start(self.both)

    def features(self, x: Pictures, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        return self.both(torch.cat([self.body(x), self.code(z)], 1))


@register
class PlainCodeCritic(CodeCritic):
    """Dense layers from code to a logit.

    latent: prior of the code
    classes: how many labels it is told, 0 for none
    width: numbers in a hidden layer
    depth: hidden layers
    """

    def __init__(self, latent: Latent = Gaussian(64), classes: int = 0, width: int = 256, depth: int = 2) -> None:
        super().__init__()
        self.latent, self.classes = latent, classes
        self.body = dense(latent.dim, width, depth)
        self.head = Judgement(width, classes)
        start(self)

    def forward(self, z: Float[Tensor, "n d"], label: Labels | None = None) -> Float[Tensor, " n"]:
        return self.head(self.body(z), label)
