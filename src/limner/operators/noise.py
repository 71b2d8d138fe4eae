"""Noise of a sensor, on what would have been measured without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from limner.core.errors import UserError
from limner.core.spec import register
from limner.operators.base import Keep, Measured, Operator, Pictures, Unknown, known


@register
@dataclass(frozen=True)
class Noise(Operator):
    """The picture itself, with noise on it.

    level: standard deviation in the [-1, 1] range (25 of 255 is 0.196); of poisson at white, or a share of pixels
    kind: gaussian; poisson, as of counted photons; or salt-and-pepper, that share of pixels black or white
    """

    level: float | Unknown = 0.1
    kind: Literal["gaussian", "poisson", "salt-and-pepper"] = "gaussian"

    def __post_init__(self) -> None:
        if known(self.level) < 0 or (self.kind == "salt-and-pepper" and known(self.level) > 1):
            raise UserError(f"Noise({self.level}, {self.kind}): give a level from 0 to 1, for example Noise(0.1)")

    def measure(self, x: Pictures) -> Measured:
        return x

    def noise(self, y: Measured, rng: torch.Generator) -> Measured:
        level = known(self.level)
        if level == 0:
            return y
        if self.kind == "gaussian":
            return y + level * torch.randn(y.shape, generator=rng, device=y.device, dtype=y.dtype)
        if self.kind == "poisson":
            photons = 4 / level**2
            counts = torch.poisson((y.detach() + 1).clamp_min(0) / 2 * photons, generator=rng)
            return 2 * counts / photons - 1
        struck = torch.rand((y.shape[0], 1, *y.shape[2:]), generator=rng, device=y.device)
        return y.masked_fill(struck < level, -1.0).masked_fill(struck < level / 2, 1.0)

    @property
    def deviation(self) -> float:
        level = known(self.level)
        return 2 * level**0.5 if self.kind == "salt-and-pepper" else level

    def kept(self, like: Pictures) -> Keep:
        return super().kept(like) + (known(self.level) == 0)
