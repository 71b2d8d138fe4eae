"""Restorers trained directly: pictures are damaged, and the translator makes good the damage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.core.errors import UserError
from limner.core.moment import Moment
from limner.core.spec import register
from limner.data.pairs import Pair
from limner.distances.base import Distance
from limner.distances.pixel import Absolute
from limner.models.base import Pictures
from limner.objectives.base import Examples, Objective
from limner.objectives.translation import Terms, translator_of
from limner.operators.base import Operator, Unknown
from limner.operators.noise import Noise


@register
@dataclass(frozen=True)
class Restoration(Objective):
    """Distance of the restored picture to the picture, each damaged anew every time it is seen (Zhang et al. 2017).

    What of the damage is Unknown is drawn for each picture, so that one restorer is good for the whole range.

    damage: what happened to the pictures, such as Noise(0.1), Downsample(4) or Mask(random=0.5)
    distance: how a restored picture is compared with the true one
    crop: side in pixels of the part of each picture that is used, drawn at random; 0 for all of it
    turned: whether pictures are mirrored and turned at random
    """

    damage: Operator = Noise(Unknown(0.0, 0.4))
    distance: Distance = Absolute()
    crop: int = 64
    turned: bool = True
    players: ClassVar[dict[str, tuple[str, ...]]] = {"translator": ("translator",)}

    def __post_init__(self) -> None:
        if self.crop < 0:
            raise UserError(f"crop={self.crop}: give a side in pixels, for example -o objective.crop=64, or 0 for all")

    def loss(self, turn: str, nets: nn.ModuleDict, batch: Examples, at: Moment) -> Terms:
        # drawn where numbers can be read at once: what a GPU draws would have to be waited for
        rng = torch.Generator().manual_seed(at.rng.initial_seed())
        seeds = torch.randint(2**62, (at.total,), generator=rng)[at.rows]
        pair = self.pairs(batch.x, seeds.tolist())
        return {"distance": self.distance(translator_of(nets, "translator")(pair.x), pair.other)}

    def shown(self, batch: Examples, rng: torch.Generator) -> Pair:
        return self.pairs(batch.x, torch.randint(2**62, (len(batch.x),), generator=rng).tolist())

    @torch.no_grad()
    def pairs(self, x: Pictures, seeds: list[int]) -> Pair:
        """What is seen of each picture, and the picture. A row depends on its own seed alone."""
        rows = [self._pair(one[None], seed) for one, seed in zip(x, seeds, strict=True)]
        seen, whole = (
            torch.cat(side).contiguous(memory_format=torch.channels_last) for side in zip(*rows, strict=True)
        )
        return Pair(seen, whole, matched=True)

    def _pair(self, x: Pictures, seed: int) -> tuple[Tensor, Tensor]:
        rng = torch.Generator().manual_seed(seed)
        x = self._part(x, rng)
        damage = self.damage.drawn(rng)
        noise = rng if x.device.type == "cpu" else torch.Generator(x.device).manual_seed(seed)
        return damage.guess(damage(x, noise), x), x

    def _part(self, x: Pictures, rng: torch.Generator) -> Float[Tensor, "n c _ _"]:
        """A square of the picture, turned."""
        height, width = x.shape[2:]
        for dim, side in ((2, height), (3, width)):
            if 0 < self.crop < side:
                start = int(torch.randint(side - self.crop + 1, (), generator=rng, device=rng.device))
                x = x.narrow(dim, start, self.crop)
        if not self.turned:
            return x
        down, right, turn = torch.randint(2, (3,), generator=rng, device=rng.device).tolist()
        x = x.flip([dim for dim, flipped in ((2, down), (3, right)) if flipped])
        return x.transpose(2, 3) if turn and x.shape[2] == x.shape[3] else x
