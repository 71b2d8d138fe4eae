"""Turned, moved and scaled: what classifiers of pictures are commonly trained with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from limner.augments.base import Augment
from limner.core.moment import Moment
from limner.core.spec import register

Pictures = Float[Tensor, "n c h w"]


@register
@dataclass(frozen=True)
class Affine(Augment):
    """Each picture turned, moved, scaled and slanted by numbers of its own; beyond the edge it goes on as it ends.

    turn: largest turn, in degrees, either way
    shift: largest movement, as a share of the side, either way
    scale: largest change of size, as a share of it, either way
    mirror: whether half of them are mirrored left to right
    slant: largest sideways step of a row against the row above it, in pixels, either way
    """

    turn: float = 10.0
    shift: float = 0.1
    scale: float = 0.1
    mirror: bool = False
    slant: float = 0.0

    def __call__(self, x: Pictures, at: Moment) -> Pictures:
        u = at.uniform(6 if self.slant else 5).to(x) * 2 - 1
        angle, size = u[:, 0] * math.radians(self.turn), 1 + u[:, 1] * self.scale
        # of the grid that is looked up, so larger means smaller; sides are 2 there. Turned in pixels, not in shares
        tall = x.shape[2] / x.shape[3]
        cos, sin = size * angle.cos(), size * angle.sin()
        side = torch.where(u[:, 4] < 0, -1.0, 1.0) if self.mirror else torch.ones_like(cos)
        step = self.slant * u[:, 5] if self.slant else 0.0
        across, down = [side * cos, (step * cos - sin) * tall], [side * sin / tall, step * sin + cos]
        rows = [*across, 2 * self.shift * u[:, 2], *down, 2 * self.shift * u[:, 3]]
        places = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(x.shape), align_corners=False)
        return F.grid_sample(x, places, padding_mode="border", align_corners=False)
