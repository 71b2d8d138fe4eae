"""The conditional GAN: both players are told the label, so the generator makes what it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from limner.core.spec import register
from limner.objectives.gan import GAN


@register
@dataclass(frozen=True)
class ConditionalGAN(GAN):
    """A GAN that insists on labels: D(x, y) judges picture and label together (Mirza & Osindero 2014, eq. 2).

    `GAN` plays the same game where there are labels, and goes without where there are none.

    game: the adversarial loss
    penalties: further terms of the critic's turn
    """

    labelled: ClassVar[tuple[str, ...]] = ("generator", "critic")
