"""The size of pictures that a machine can do in a given time: the largest that is recognisable by its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from limner.core.pixels import Image
from limner.recipes.recognisable import images_needed

Size = tuple[int, int]
"""(height, width)"""
SQUARES = (32, 64, 128)
TRAINING = 0.9
"""Share of the time that is left for training: looks and saving take up to a tenth."""
SMALLER = 0.05
"""Share of the pictures that may be smaller than the size they are made, and so enlarged."""


@dataclass(frozen=True)
class Speed:
    """images_per_second: in training, at this shape, on the machine at hand"""

    image: Image
    images_per_second: float

    @property
    def images(self) -> int:
        """Images to be seen until pictures of this shape are recognisable."""
        return images_needed(self.image)

    @property
    def seconds(self) -> float:
        """How long that takes here."""
        return self.images / (self.images_per_second * TRAINING)


@dataclass(frozen=True)
class Choice:
    """speed: of the size that is chosen; larger: the next size, if it was tried; fits: whether the time is enough."""

    speed: Speed
    larger: Speed | None
    fits: bool


def candidates(sizes: Mapping[Size, int], largest: int) -> list[Size]:
    """The sizes worth trying for pictures of these sizes (→ how many of each), the smallest first.

    Squares of 32, 64 and 128 pixels, as far as the pictures are not enlarged, and the pictures' own size where all
    share one of at most `largest` pixels. It is the only one where they are smaller than all squares.
    """
    sides = np.repeat([min(size) for size in sizes], list(sizes.values()))
    side = int(np.quantile(sides, SMALLER, method="lower"))
    own = next(iter(sizes)) if len(sizes) == 1 and max(next(iter(sizes))) <= largest else None
    squares = [(s, s) for s in SQUARES if s < side or (s == side and own is None)]
    found = squares + ([own] if own else [])
    return found or [(min(SQUARES), min(SQUARES))]


def choose(sizes: Iterable[Size], measure: Callable[[Size], Speed], seconds: float) -> Choice:
    """The largest size, of some in ascending order, that is recognisable after so many seconds; else the smallest.

    Speeds are measured until one is too slow, so that no time is lost with larger ones.
    """
    first, *others = sizes
    best = measure(first)
    if best.seconds > seconds:
        return Choice(best, None, False)
    for size in others:
        speed = measure(size)
        if speed.seconds > seconds:
            return Choice(best, speed, True)
        best = speed
    return Choice(best, None, True)
