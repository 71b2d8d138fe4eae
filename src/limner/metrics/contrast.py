"""Contrast: pictures that are too flat, or too strong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from limner.core.spec import register
from limner.metrics.sight import Sight
from limner.metrics.visible import VisibleFault


@register
@dataclass(frozen=True)
class Contrast(VisibleFault):
    """Contrast that is off: standard deviation within pictures over that of real ones, or the inverse, if larger."""

    label: ClassVar[str] = "contrast"

    def compare(self, real: Sight, fake: Sight) -> float:
        """The ratio r of root mean variances, or 1 / r."""
        r = strength(real, fake)
        return max(r, 1 / r)

    def seen(self, real: Sight, fake: Sight) -> str:
        """Too flat, or too strong."""
        r = strength(real, fake)
        return f"too {'flat' if r < 1 else 'strong'}: {r:.2f} times the contrast of real pictures"


def strength(real: Sight, fake: Sight) -> float:
    """Contrast of generated pictures over that of real ones."""
    ours, theirs = (float(sight.spread.double().mean()) ** 0.5 for sight in (fake, real))
    return max(ours, 1e-6) / max(theirs, 1e-6)
