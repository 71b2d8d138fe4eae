"""Colour lost."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from limner.core.spec import register
from limner.operators.base import Keep, Measured, Operator, Pictures

LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue (ITU-R BT.601), as in JPEG and Pillow."""


@register
@dataclass(frozen=True)
class Grey(Operator):
    """The brightness of a colour picture; alpha stays, and what is grey already stays as it is."""

    def measure(self, x: Pictures) -> Measured:
        if x.shape[1] < 3:
            return x
        brightness = (x[:, :3] * torch.tensor(LUMA, dtype=torch.float64).to(x)[:, None, None]).sum(1, keepdim=True)
        return torch.cat([brightness, x[:, 3:]], 1)

    def guess(self, y: Measured, like: Pictures) -> Pictures:
        """The brightness as all three colours."""
        if like.shape[1] < 3:
            return y
        return torch.cat([y[:, :1].expand(-1, 3, -1, -1), y[:, 1:]], 1)

    def kept(self, like: Pictures) -> Keep:
        return super().kept(like) + (like.shape[1] < 3)
