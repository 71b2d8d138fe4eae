"""DiffAugment: colour, translation and cut-out, always on (Zhao et al. 2020)."""

from __future__ import annotations

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
class DiffAugment(Augment):
    """The same kinds of random change for real and generated images (Zhao et al. 2020, section 3).

    colour: whether brightness, saturation and contrast change
    shift: largest translation, as a share of the side
    cutout: side of the grey square, as a share of the side
    """

    colour: bool = True
    shift: float = 0.125
    cutout: float = 0.5

    def __call__(self, x: Pictures, at: Moment) -> Pictures:
        if self.colour:
            colours, alpha = split(x)
            x = torch.cat([contrast(saturation(brightness(colours, at), at), at), alpha], 1)
        if self.shift:
            x = shifted(x, at.uniform(2), self.shift)
        return cut_out(x, at.uniform(2), self.cutout) if self.cutout else x


def brightness(x: Pictures, at: Moment) -> Pictures:
    """Plus U(-0.5, 0.5), per image."""
    return x + (at.uniform(1, 1, 1) - 0.5)


def saturation(x: Pictures, at: Moment) -> Pictures:
    """Distance from grey times U(0, 2), per image; nothing to do on grey images."""
    if x.shape[1] < 3:
        return x
    mean = x.mean(1, keepdim=True)
    return (x - mean) * (2 * at.uniform(1, 1, 1)) + mean


def contrast(x: Pictures, at: Moment) -> Pictures:
    """Distance from the image's mean times U(0.5, 1.5), per image."""
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * (at.uniform(1, 1, 1) + 0.5) + mean


def shifted(x: Pictures, u: Float[Tensor, "n two"], share: float) -> Pictures:
    """Each image moved by whole pixels, up to `share` of its sides, zeros moving in."""
    n, _, h, w = x.shape
    down, right = int(h * share + 0.5), int(w * share + 0.5)
    rows = _places(u[:, 0], down, h)
    columns = _places(u[:, 1], right, w)
    padded = F.pad(x, (right, right, down, down))
    index = torch.arange(n, device=x.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def cut_out(x: Pictures, u: Float[Tensor, "n two"], share: float) -> Pictures:
    """A grey rectangle of `share` of each side, its centre anywhere in the image."""
    _, _, h, w = x.shape
    hidden_rows = _near(u[:, 0], h, share)
    hidden_columns = _near(u[:, 1], w, share)
    hidden = hidden_rows[:, None, :, None] & hidden_columns[:, None, None, :]
    return x * ~hidden


def _places(u: Tensor, reach: int, side: int) -> Tensor:
    """(n, side) positions in an image padded by `reach`, for a shift drawn by u from -reach to reach."""
    start = (u * (2 * reach + 1)).floor().long().clamp(max=2 * reach)
    return start[:, None] + torch.arange(side, device=u.device)


def _near(u: Tensor, side: int, share: float) -> Tensor:
    """(n, side) whether a position is within half of `share` of a centre drawn by u."""
    centre = (u * side)[:, None]
    return (torch.arange(side, device=u.device) + 0.5 - centre).abs() < side * share / 2
