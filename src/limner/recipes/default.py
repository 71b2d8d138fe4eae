"""What `limner train` does when no recipe is named."""

from __future__ import annotations

from limner.core.spec import Spec
from limner.models.backbone import SMALLEST
from limner.recipes.base import Facts, recipe
from limner.recipes.light import light
from limner.recipes.photos import photos

COLOURS = 3


@recipe
def default(facts: Facts) -> Spec:
    """The recipe `photos` for pictures in RGB of 32 pixels or more on each side, the recipe `light` for all others.

    Chosen by distance at equal seconds (`benchmarks/quality.py`).
    """
    image = facts.image
    large = min(image.height, image.width) >= SMALLEST
    return photos(facts) if image.channels == COLOURS and large else light(facts)
