"""Lattice: a fine grid that lies over all pictures, as strided and transposed convolutions leave it.

Such layers paint the pixels of each 2×2, 4×4 or 8×8 block with weights of their own, so that the grid has power at
multiples of N/2, N/4 and N/8 alone, and has it in every picture at the same place (Odena et al. 2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.spec import register
from limner.metrics.sight import PERIOD, Sight
from limner.metrics.visible import VisibleFault

LEVEL = (2 / 255) ** 2
"""Variance of a grid of one grey level, which nobody sees."""


@register
@dataclass(frozen=True)
class Lattice(VisibleFault):
    """A grid over all pictures: power that they share at multiples of N/8, over that of real ones beside them."""

    label: ClassVar[str] = "lattice"
    fault: ClassVar[str] = "a fine grid lies over the pictures"

    def compare(self, real: Sight, fake: Sight) -> float:
        """Mean over the 63 frequencies f and the channels of (B + C_fake) / (B + C_real).

        C(f) is the squared mean over pictures of the Fourier coefficient, B(f) the mean power of real pictures at
        neighbouring frequencies.
        """
        beside = real.around.double().mean(0) + LEVEL * PERIOD**2
        return float(((beside + shared(fake)) / (beside + shared(real))).flatten(1)[:, 1:].mean())


def shared(sight: Sight) -> Float[Tensor, "c 8 8"]:
    """The squared mean Fourier coefficient, without bias: of pairs of different pictures, their product."""
    spectra = torch.fft.fft2(sight.blocks.double())
    n, alone = len(spectra), spectra.abs().square().sum(0)
    return ((spectra.sum(0).abs().square() - alone) / (n * (n - 1))).clamp_min(0)
