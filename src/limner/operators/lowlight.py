"""Too little light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from limner.core.errors import UserError
from limner.core.spec import register
from limner.operators.base import Measured, Operator, Pictures, Unknown, known

GAMMA = 2.2
"""Exponent from the numbers of a picture to light, about (sRGB, IEC 61966-2-1)."""


@register
@dataclass(frozen=True)
class LowLight(Operator):
    """Taken with a share of the light: every number above black times light^(1/2.2). Alpha stays.

    Noise is what makes it hard: Noise(0.02, poisson) @ LowLight(0.05). Affine in [-1, 1], so `adjoint` is that of its
    linear part.

    light: share of the light, above 0 to 1; Unknown is drawn for each picture
    """

    light: float | Unknown = 0.1
    linear: ClassVar[bool] = False

    def __post_init__(self) -> None:
        ends = (self.light.low, self.light.high) if isinstance(self.light, Unknown) else (self.light, self.light)
        if not 0 < ends[0] <= ends[1] <= 1:
            raise UserError(f"LowLight({known(self.light):g}): give a share of the light above 0, at most 1")

    def measure(self, x: Pictures) -> Measured:
        dimmed = (x + 1) * known(self.light) ** (1 / GAMMA) - 1
        return torch.cat([dimmed[:, :-1], x[:, -1:]], 1) if x.shape[1] in (2, 4) else dimmed
