"""Restoring by a translator that was trained on the damage."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.errors import UserError
from limner.models.base import Pictures, Translator
from limner.restoring.cases import Answer, Case, Tick, part
from limner.restoring.tiles import Tiles, apply

VIEWS = (1, 2, 4, 8)


class ByTranslator:
    """A restorer, shown the measurement as a picture.

    net: the translator
    tile: side of the tiles that large pictures are cut into
    views: 1, 2, 4 or 8: the mean of its answers to the picture turned and mirrored so often (Timofte et al. 2016,
        "enhanced prediction"), for damage that has no direction
    """

    at_once = 1

    def __init__(self, net: Translator, tile: int = 512, views: int = 1) -> None:
        if views not in VIEWS:
            raise UserError(f"views={views}: a picture can be turned and mirrored in 1, 2, 4 or 8 ways")
        self.net, self.tiles, self.channels, self.views = net, Tiles(tile), net.image.channels, views

    def check(self, case: Case) -> None:
        """It takes any picture."""

    def __call__(self, cases: Sequence[Case], tick: Tick | None = None) -> list[Answer]:
        return [self._restored(case, part(tick, k, 1, len(cases))) for k, case in enumerate(cases)]

    def _restored(self, case: Case, tick: Tick) -> Answer:
        seen = case.seen.to(next(self.net.parameters()).device)
        ways = range(0, 8, 8 // self.views)
        made = [
            turned_back(apply(self.net, turned(seen, way), self.tiles, part(tick, k, 1, len(ways))), way)
            for k, way in enumerate(ways)
        ]
        return Answer(torch.stack(made).mean(0).to(case.seen.device))


def turned(x: Pictures, way: int) -> Float[Tensor, "n c _ _"]:
    """One of the eight ways to turn and mirror a picture; 0 leaves it as it is, 4 turns it upside down."""
    x = x.flip(2, 3) if way & 4 else x
    x = x.flip(3) if way & 2 else x
    return x.transpose(2, 3) if way & 1 else x


def turned_back(x: Pictures, way: int) -> Float[Tensor, "n c _ _"]:
    """What undoes `turned`."""
    x = x.transpose(2, 3) if way & 1 else x
    x = x.flip(3) if way & 2 else x
    return x.flip(2, 3) if way & 4 else x
