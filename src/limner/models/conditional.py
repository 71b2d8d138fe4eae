"""Any family told its labels in another way: beside the code or times it, as further channels of the picture.

Generators take labels by an embedding, beside the code or in their norms, and critics by projection. These two stand
around a network of any family and choose; what is told are class numbers or, for several answers at once and for
ages, numbers in [0, 1].
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from limner.core.latent import Gaussian, Latent
from limner.core.pixels import Image
from limner.core.spec import Spec, build, check_name, register
from limner.models.base import Classes, Critic, Generator, Judgement, Labels, Pictures


@register
class ConditionalGenerator(Generator):
    """A generator of any family, told labels in a way of choice.

    image: shape of what it makes
    latent: prior of its codes
    classes: how many labels it is told, 0 for none
    by: `concatenation` of 0s and a 1 to the code, `product` of the code and a learned vector, or the `inner` one's way
    inner: the network itself, such as LightGenerator(width=64), without image, latent and classes
    """

    def __init__(
        self,
        image: Image,
        latent: Latent = Gaussian(64),
        classes: int = 0,
        by: Literal["concatenation", "product", "inner"] = "inner",
        inner: str | Spec = "LightGenerator",
    ) -> None:
        super().__init__()
        self.image, self.latent, self.classes = image, latent, classes
        self.by = by if classes else "nothing"
        wider = Gaussian(latent.dim + (classes if self.by == "concatenation" else 0))
        told = classes if self.by == "inner" else 0
        self.inner = build(named(inner), Generator, image=image, latent=wider, classes=told)
        self.factors = Classes(classes, latent.dim) if self.by == "product" else None

    def forward(self, z: Float[Tensor, "n d"], label: Labels | None = None) -> Pictures:
        if self.by == "concatenation":
            return self.inner(torch.cat([z, weights(label, z, self.classes).to(z)], 1))
        if self.factors is not None:
            return self.inner(z * self.factors(label, len(z)))
        return self.inner(z, label if self.by == "inner" else None)


@register
class ConditionalCritic(Critic):
    """A critic of any family, told labels in a way of choice.

    image: shape of what it judges
    classes: how many labels it is told, 0 for none
    by: `concatenation` of a plane a class to the picture, `embedding` as one learned plane, `projection` on features
    inner: the network itself, such as LightCritic(width=64), without image and classes
    """

    def __init__(
        self,
        image: Image,
        classes: int = 0,
        by: Literal["concatenation", "embedding", "projection"] = "projection",
        inner: str | Spec = "LightCritic",
    ) -> None:
        super().__init__()
        self.image, self.classes = image, classes
        self.by = by if classes else "nothing"
        planes = {"concatenation": classes, "embedding": 1}.get(self.by, 0)
        wider = dataclasses.replace(image, channels=image.channels + planes)
        self.inner = build(named(inner), Critic, image=wider, classes=classes if self.by == "projection" else 0)
        self.plane = Classes(classes, image.height * image.width) if self.by == "embedding" else None

    @property
    def head(self) -> Judgement:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The inner network's."""
        return self.inner.head

    def forward(self, x: Pictures, label: Labels | None = None) -> Float[Tensor, " n"]:
        return self.inner(self._beside(x, label), label if self.by == "projection" else None)

    def features(self, x: Pictures) -> Float[Tensor, "n d"]:
        return self.inner.features(self._beside(x, None))

    def _beside(self, x: Pictures, label: Labels | None) -> Float[Tensor, "n k h w"]:
        """The picture with what is told as further channels."""
        if self.by == "concatenation":
            planes = weights(label, x, self.classes)[:, :, None, None].expand(-1, -1, *x.shape[2:])
        elif self.plane is not None:
            planes = self.plane(label, len(x)).view(-1, 1, *x.shape[2:])
        else:
            return x
        return torch.cat([x, planes.to(x)], 1)


def weights(label: Labels | None, of: Float[Tensor, "n ..."], classes: int) -> Float[Tensor, "n k"]:
    """What is told of rows as k numbers: 1 for the class and 0 for the others, all 0 where it is not known."""
    if label is None:
        return of.new_zeros(len(of), classes)
    if label.is_floating_point():
        return label.nan_to_num()
    return F.one_hot(label + 1, classes + 1)[:, 1:].float()


def named(inner: str | Spec) -> dict[str, Any]:
    """The spec of a network given by its name, as a typed call, or as a spec."""
    return check_name(inner) if isinstance(inner, str) else dict(inner)
