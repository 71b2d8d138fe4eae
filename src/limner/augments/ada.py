"""ADA: augmentations with a probability that follows how much the critic over-fits (Karras et al. 2020)."""

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
class ADA(Augment):
    """Geometry and colour, each applied with probability p; p steers the critic's sign (Karras et al. 2020, section 3).

    target: mean sign of the critic's logits on real images that p is steered to
    speed: images in which p can go from 0 to 1
    flip: whether images may be mirrored
    rotate: whether images may be turned; leave out for digits and letters
    """

    target: float = 0.6
    speed: float = 100_000.0
    flip: bool = True
    rotate: bool = True
    start = 0.0

    def adjust(self, strength: float, sign: float, seen: int) -> float:
        step = seen / self.speed * (1 if sign > self.target else -1)
        return min(max(strength + step, 0.0), 1.0)

    def __call__(self, x: Pictures, at: Moment) -> Pictures:
        if at.strength <= 0:
            return x
        return self._colour(self._geometry(x, at), at)

    def _geometry(self, x: Pictures, at: Moment) -> Pictures:
        """Mirror, whole shift, scale, rotation and stretch as one bilinear resampling, edges reflected."""
        n = len(x)
        matrix = torch.eye(3, device=x.device).expand(n, 3, 3)
        if self.flip:
            matrix = matrix @ _scale(1 - 2 * _when(at, 0.5), torch.ones(n, device=x.device))
        shift = (at.uniform(2) - 0.5) * 0.5 * _when(at, at.strength)[:, None]
        matrix = matrix @ _translate(shift[:, 0], shift[:, 1])
        size = torch.exp2(0.2 * at.normal()) ** _when(at, at.strength)
        matrix = matrix @ _scale(size, size)
        if self.rotate:
            matrix = matrix @ _rotate(2 * math.pi * (at.uniform() - 0.5) * _when(at, at.strength))
        stretch = torch.exp2(0.2 * at.normal()) ** _when(at, at.strength)
        matrix = matrix @ _scale(stretch, 1 / stretch)
        places = F.affine_grid(matrix[:, :2], list(x.shape), align_corners=False)
        return F.grid_sample(x, places.to(x.dtype), padding_mode="reflection", align_corners=False)

    def _colour(self, x: Pictures, at: Moment) -> Pictures:
        """Brightness, contrast, and on colour images saturation."""
        lift = 0.4 * at.normal(1, 1, 1) * _when(at, at.strength)[:, None, None, None]
        gain = torch.exp2(0.5 * at.normal(1, 1, 1)) ** _when(at, at.strength)[:, None, None, None]
        x = (x + lift) * gain
        if x.shape[1] < 3:
            return x
        grey = x.mean(1, keepdim=True)
        vividness = torch.exp2(at.normal(1, 1, 1)) ** _when(at, at.strength)[:, None, None, None]
        return grey + (x - grey) * vividness


def _when(at: Moment, p: float) -> Tensor:
    """(n,) of 1 with probability p, else 0."""
    return (at.uniform() < p).float()


def _scale(x: Tensor, y: Tensor) -> Tensor:
    return _matrix([[x, 0, 0], [0, y, 0], [0, 0, 1]], x)


def _translate(x: Tensor, y: Tensor) -> Tensor:
    return _matrix([[1, 0, x], [0, 1, y], [0, 0, 1]], x)


def _rotate(angle: Tensor) -> Tensor:
    return _matrix([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0], [0, 0, 1]], angle)


def _matrix(rows: list[list[Tensor | float]], like: Tensor) -> Tensor:
    """(n, 3, 3) of entries that are (n,) tensors or numbers."""
    entries = [e if isinstance(e, Tensor) else torch.full_like(like, e) for row in rows for e in row]
    return torch.stack(entries, 1).view(-1, 3, 3)
