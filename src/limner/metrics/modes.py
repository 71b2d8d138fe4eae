"""How much of a known mixture was found: modes covered, and the share of samples near one.

The protocol of VEEGAN (Srivastava et al. 2017) and PacGAN (Lin et al. 2018).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Modes(NamedTuple):
    """What the protocol of VEEGAN and PacGAN reports."""

    covered: int
    """Modes with at least one high-quality sample."""
    high_quality: float
    """Share of the samples within 3σ of their nearest centre, 0 to 1."""


def modes_covered(samples: Float[Tensor, "n d"], centres: Float[Tensor, "m d"], sigma: float) -> Modes:
    """Modes of a mixture of Gaussians N(centre, σ²) that the samples reach."""
    distance, nearest = torch.cdist(samples.double(), centres.double()).min(1)
    good = distance <= 3 * sigma
    return Modes(len(nearest[good].unique()), float(good.double().mean()))
