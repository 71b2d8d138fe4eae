"""ADA: augmentations with a probability that follows how much the critic over-fits (Karras et al. 2020)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from limner.augments.base import Augment, split
from limner.core.moment import Moment
from limner.core.spec import register

Pictures = Float[Tensor, "n c h w"]


@register
@dataclass(frozen=True)
class ADA(Augment):
    """Geometry and colour, each applied with probability p; p steers the critic's sign (Karras et al. 2020, section 3).

    target: mean sign of the critic's logits on real images that p is steered to
    speed: images in which p can go from 0 to 1
    flip: whether images may be mirrored; not for digits and letters
    rotate: whether images may be turned; not for digits and letters
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
        x = self._geometry(x, at)
        colours, alpha = split(x)
        return torch.cat([self._colour(colours, at), alpha], 1)

    def _geometry(self, x: Pictures, at: Moment) -> Pictures:
        """Mirror, shift, scale, rotation and stretch as one bilinear resampling, edges reflected."""
        n, aspect = len(x), x.shape[3] / x.shape[2]
        matrix = torch.eye(3, device=x.device).expand(n, 3, 3)
        if self.flip:
            # Less than every second one: otherwise generated images may as well all be mirrored (section 2.2).
            matrix = matrix @ _scale(1 - 2 * _when(at, at.strength / 2), torch.ones(n, device=x.device))
        shift = (at.uniform(2) - 0.5) * 0.5 * _when(at, at.strength)[:, None]
        matrix = matrix @ _translate(shift[:, 0], shift[:, 1])
        size = torch.exp2(0.2 * at.normal()) ** _when(at, at.strength)
        matrix = matrix @ _scale(size, size)
        if self.rotate:
            matrix = matrix @ _rotate(2 * math.pi * (at.uniform() - 0.5) * _when(at, at.strength), aspect)
        stretch = torch.exp2(0.2 * at.normal()) ** _when(at, at.strength)
        matrix = matrix @ _scale(stretch, 1 / stretch)
        places = F.affine_grid(matrix[:, :2], list(x.shape), align_corners=False)
        return F.grid_sample(x, places.to(x.dtype), padding_mode="reflection", align_corners=False)

    def _colour(self, x: Pictures, at: Moment) -> Pictures:
        """Brightness, contrast, and on colour images saturation."""
        lift = 0.2 * at.normal(1, 1, 1) * _when(at, at.strength)[:, None, None, None]
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


def _rotate(angle: Tensor, aspect: float) -> Tensor:
    """A turn in pixels, where the sides of an image are both called 2 and really are as `aspect` to 1."""
    cosine, sine = angle.cos(), angle.sin()
    return _matrix([[cosine, -sine / aspect, 0], [sine * aspect, cosine, 0], [0, 0, 1]], angle)


def _matrix(rows: list[list[Tensor | float]], like: Tensor) -> Tensor:
    """(n, 3, 3) of entries that are (n,) tensors or numbers."""
    entries = [e if isinstance(e, Tensor) else torch.full_like(like, e) for row in rows for e in row]
    return torch.stack(entries, 1).view(-1, 3, 3)
