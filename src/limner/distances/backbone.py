"""How differently a frozen network that was trained on ImageNet sees two pictures.

Computed as LPIPS is, with MobileNetV2 and equal weights in the place of a network and weights that were fitted to what
people say: it is not LPIPS, and its values do not compare with those of LPIPS.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.errors import UserError
from limner.core.spec import register
from limner.distances.base import Distance, Pictures
from limner.models.backbone import CHANNELS, SMALLEST, backbone, resized


@register
@dataclass(frozen=True)
class BackboneDistance(Distance):
    """Squared difference of MobileNetV2's features, each place brought to length 1; from 0 to 4. It is not LPIPS.

    As in Zhang et al. 2018 (eq. 1), with equal weights: the mean over places, and over the maps at a quarter of the
    picture's side, an eighth and so on. Differentiable once, so no gradient penalty can be taken of it. A model that
    was trained with it must not be judged by features of MobileNetV2.

    side: pixels of the shorter side at which pictures are seen, at least 32
    maps: how many of the four maps are compared, from the finest
    """

    side: int = 64
    maps: int = 4

    def __post_init__(self) -> None:
        if self.side < SMALLEST or not 1 <= self.maps <= len(CHANNELS):
            raise UserError(
                f"BackboneDistance(side={self.side}, maps={self.maps}): side must be {SMALLEST} or more, maps 1 to 4"
            )

    def __call__(self, x: Pictures, y: Pictures) -> Float[Tensor, " n"]:
        see = backbone(x)
        pairs = zip(*(see(resized(picture, self.side), self.maps) for picture in (x, y)), strict=True)
        differences = [(_unit(a) - _unit(b)).square().sum(1).flatten(1).mean(1) for a, b in pairs]
        return torch.stack(differences).mean(0)


def _unit(x: Float[Tensor, "n c _ _"]) -> Float[Tensor, "n c _ _"]:
    """Features brought to length 1 at each place."""
    x = x.float()
    return x / (x.square().sum(1, keepdim=True) + 1e-10).sqrt()
