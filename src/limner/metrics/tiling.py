"""Tiling: pictures that repeat themselves after 8 or 16 pixels, as where a coarse grid paints each cell alike.

Fine detail of a picture is compared with itself, shifted. What it has in common with all other pictures is a lattice
(see `Lattice`) and is left out, so that what remains is a picture's own motif, again and again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.spec import register
from limner.metrics.sight import LAGS, PERIOD, Sight, fine
from limner.metrics.visible import VisibleFault

REPEATS = {8: (5, 6, 10, 11), 16: (13, 14, 18, 19)}
"""Shifts at which tiles fall on tiles, and shifts beside them at which they do not."""
MOST = 0.99


@register
@dataclass(frozen=True)
class Tiling(VisibleFault):
    """Pictures that repeat themselves: autocorrelation of fine detail at shifts of 8 and 16 pixels, against real."""

    label: ClassVar[str] = "tiling"
    fault: ClassVar[str] = "the pictures repeat the same motif every few pixels"

    def compare(self, real: Sight, fake: Sight) -> float:
        """(1 - r_real) / (1 - r_fake): all fine detail over what is not repeated; of both shifts the larger."""
        pairs = zip(repeated(real), repeated(fake), strict=True)
        return max((1 - a) / (1 - b) for a, b in pairs)


def repeated(sight: Sight) -> list[float]:
    """Autocorrelation at shifts of 8 and 16 pixels above that at shifts beside them, mean of down and across."""
    own = sight.detail.double().mean(0) - _shared(sight)
    r = own / own[:, :1].clamp_min(1e-12)
    found = [r[:, LAGS.index(lag)] - r[:, [LAGS.index(k) for k in beside]].mean(1) for lag, beside in REPEATS.items()]
    return [min(MOST, float(one.mean())) for one in found]


def _shared(sight: Sight) -> Float[Tensor, "2 lags"]:
    """Autocovariance of the fine detail of the grid that all pictures share; it has a period of 8 pixels."""
    blocks = fine(sight.blocks.double(), around=True)
    n, total = len(blocks), blocks.sum(0, keepdim=True)
    shifts = [lag % PERIOD for lag in LAGS]

    def products(x: Float[Tensor, "k c 8 8"]) -> Float[Tensor, "2 lags"]:
        return torch.stack([
            torch.stack([(x * x.roll(shift, axis)).mean((1, 2, 3)).sum() for shift in shifts]) for axis in (2, 3)
        ])  # fmt: skip

    return (products(total) - products(blocks)) / (n * (n - 1))
