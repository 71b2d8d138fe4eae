"""Burnt: whites without drawing and blacks without drawing, as of an over-exposed photograph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from limner.core.spec import register
from limner.metrics.sight import Sight
from limner.metrics.visible import VisibleFault

SEEN = 0.01
"""Share of numbers at an end of the scale that is hardly seen; where real pictures have none, it keeps a trace of them
in generated ones from counting as infinitely many."""


@register
@dataclass(frozen=True)
class Burnt(VisibleFault):
    """Burnt-out tones: share of numbers beyond ±0.98 of the [-1, 1] range, against real; the worse end counts."""

    label: ClassVar[str] = "burnt"
    fault: ClassVar[str] = "whites or blacks are burnt out"

    def compare(self, real: Sight, fake: Sight) -> float:
        """(s_fake + 0.01) / (s_real + 0.01), of the dark and the bright end the larger."""
        ours, theirs = (sight.ends.double().mean(0) + SEEN for sight in (fake, real))
        return float((ours / theirs).max())
