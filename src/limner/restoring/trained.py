"""Restoring by a translator that was trained on the damage."""

from __future__ import annotations

from collections.abc import Sequence

from limner.models.base import Translator
from limner.restoring.cases import Answer, Case
from limner.restoring.tiles import Tiles, apply


class ByTranslator:
    """A restorer, shown the measurement as a picture.

    net: the translator
    tile: side of the tiles that large pictures are cut into
    """

    def __init__(self, net: Translator, tile: int = 512) -> None:
        self.net, self.tiles, self.channels = net, Tiles(tile), net.image.channels

    def __call__(self, cases: Sequence[Case]) -> list[Answer]:
        return [self._restored(case) for case in cases]

    def _restored(self, case: Case) -> Answer:
        home = next(self.net.parameters()).device
        return Answer(apply(self.net, case.seen.to(home), self.tiles).to(case.seen.device))
