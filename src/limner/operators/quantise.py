"""Few levels of brightness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from limner.core.errors import UserError
from limner.core.spec import register
from limner.operators.base import Measured, Operator, Pictures
from limner.operators.jpeg import straight_through


@register
@dataclass(frozen=True)
class Quantise(Operator):
    """Each number rounded to the nearest of a few levels from black to white; the gradient is straight through.

    levels: how many; 256 is what an 8-bit file does
    """

    levels: int = 8
    linear: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise UserError(f"Quantise({self.levels}): give 2 levels or more")

    def measure(self, x: Pictures) -> Measured:
        last = self.levels - 1
        return straight_through(x, ((x.clamp(-1, 1) + 1) / 2 * last).round() / last * 2 - 1)
