"""Plain networks of dense layers, as in the first GAN (Goodfellow et al. 2014): any image, or points."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from limner.core.latent import Gaussian, Latent
from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.base import Critic, Encoder, Entry, Generator, Inference, Judgement, Labels, Pictures
from limner.models.layers import Dropout, leak


def dense(into: int, width: int, depth: int, dropout: float = 0.0) -> nn.Sequential:
    """`depth` dense layers of `width`, each followed by a leaky rectifier and dropout."""
    layers: list[nn.Module] = []
    for k in range(depth):
        layers += [nn.Linear(into if k == 0 else width, width), nn.LeakyReLU(0.2), Dropout(dropout)]
    return nn.Sequential(*layers)


def start(net: nn.Module) -> None:
    """Dense weights that keep the variance through leaky rectifiers (He et al. 2015): deep stacks learn at once."""
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, 0.2)


@register
class PlainGenerator(Generator):
    """Dense layers from code to pixels.

    image: shape of what it makes
    latent: prior of its codes
    classes: how many labels it is told, 0 for none
    width: numbers in a hidden layer
    depth: hidden layers
    output: `tanh` for images, `linear` for points that may lie outside [-1, 1]
    """

    def __init__(
        self,
        image: Image,
        latent: Latent = Gaussian(64),
        classes: int = 0,
        width: int = 256,
        depth: int = 3,
        output: Literal["tanh", "linear"] = "tanh",
    ) -> None:
        super().__init__()
        self.image, self.latent, self.classes = image, latent, classes
        self.entry = Entry(latent, classes, width)
        self.body = dense(width, width, depth - 1)
        self.last = nn.Linear(width, image.size)
        self.bounded = output == "tanh"
        start(self)

    def forward(self, z: Float[Tensor, "n d"], label: Labels | None = None) -> Pictures:
        x = self.last(self.body(leak(self.entry(z, label))))
        x = x.view(-1, self.image.channels, self.image.height, self.image.width)
        return x.tanh() if self.bounded else x


@register
class PlainCritic(Critic):
    """Dense layers from pixels to a logit.

    image: shape of what it judges
    classes: how many labels it is told, 0 for none
    width: numbers in a hidden layer
    depth: hidden layers
    dropout: share of hidden numbers dropped in training, 0 to 1
    """

    def __init__(self, image: Image, classes: int = 0, width: int = 256, depth: int = 3, dropout: float = 0.0) -> None:
        super().__init__()
        self.image, self.classes = image, classes
        self.body = dense(image.size, width, depth, dropout)
        self.head = Judgement(width, classes)
        start(self)

    def features(self, x: Pictures) -> Float[Tensor, "n d"]:
        return self.body(x.flatten(1))


@register
class PlainEncoder(Encoder):
    """Dense layers from pixels to a Gaussian over codes.

    image: shape of what it reads
    latent: prior of the codes
    classes: how many labels it is told, 0 for none
    width: numbers in a hidden layer
    depth: hidden layers
    """

    def __init__(
        self, image: Image, latent: Latent = Gaussian(64), classes: int = 0, width: int = 256, depth: int = 3
    ) -> None:
        super().__init__()
        self.image, self.latent, self.classes = image, latent, classes
        self.body = nn.Sequential(nn.Flatten(), dense(image.size, width, depth))
        self.head = Inference(width, latent, classes)
        start(self)
