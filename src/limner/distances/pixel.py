"""Distances pixel by pixel, as means over an image's numbers, so that sizes and channels do not matter."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from limner.core.spec import register
from limner.distances.base import Distance, Pictures


@register
@dataclass(frozen=True)
class Squared(Distance):
    """Mean squared error."""

    def __call__(self, x: Pictures, y: Pictures) -> Float[Tensor, " n"]:
        return (x - y).float().square().flatten(1).mean(1)


@register
@dataclass(frozen=True)
class Absolute(Distance):
    """Mean absolute error: less drawn to blur than the squared one."""

    def __call__(self, x: Pictures, y: Pictures) -> Float[Tensor, " n"]:
        return (x - y).float().abs().flatten(1).mean(1)


@register
@dataclass(frozen=True)
class Huber(Distance):
    """Squared up to `delta`, absolute beyond (Huber 1964).

    delta: where the two meet, in the [-1, 1] range
    """

    delta: float = 0.1

    def __call__(self, x: Pictures, y: Pictures) -> Float[Tensor, " n"]:
        return F.huber_loss(x.float(), y.float(), reduction="none", delta=self.delta).flatten(1).mean(1) / self.delta
