"""Near-twins: samples that are nearer to another sample than real pictures are to one another.

A generator that has few ideas paints each of them again and again, slightly changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.spec import register
from limner.metrics.neighbours import squared_distances
from limner.metrics.sight import Sight
from limner.metrics.visible import VisibleFault

MOST = 2000
"""Pictures that are compared in pairs at most."""
SHARE = 0.1
"""Part of the pictures that is looked at: those with the nearest neighbours."""
SAME = 0.05
"""Distance of pictures that are the same for the eye, where 2 is the largest there is."""


@register
@dataclass(frozen=True)
class NearTwins(VisibleFault):
    """Samples that are nearly the same: how much nearer the nearest tenth lies to other ones than among real pictures.

    Pictures are compared at 8×8 pixels, whatever their brightness and contrast.
    """

    label: ClassVar[str] = "near-twins"
    fault: ClassVar[str] = "some samples are nearly the same"

    def compare(self, real: Sight, fake: Sight) -> float:
        """d_real / d_fake, geometric means over the tenth of the pictures that has the nearest neighbours."""
        n = min(real.n, fake.n, MOST)
        return nearest(real.thumb[:n]) / nearest(fake.thumb[:n])


def nearest(thumbs: Float[Tensor, "n d"]) -> float:
    """Geometric mean distance to the nearest other picture, over the tenth for which it is smallest."""
    squared = torch.cat([block.min(1).values for block in squared_distances(thumbs)])
    few = squared.sort().values[: max(1, round(SHARE * len(thumbs)))]
    return float(few.sqrt().clamp_min(SAME).log().mean().exp())
