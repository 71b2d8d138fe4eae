"""Levels: which numbers mean black and white, so that any number format becomes uint8.

8-bit values stay as they are; 16-bit values are divided by 257; floats may run over 0..1, -1..1 or 0..255.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Levels:
    """Values from `black` to `white`."""

    black: float = 0.0
    white: float = 255.0

    def to_bytes(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """uint8 of the same shape, rounded to the nearest level."""
        if (self.black, self.white) == (0, 255) and values.dtype == np.uint8:
            return np.asarray(values)
        scaled = (values.astype(np.float64) - self.black) * (255 / (self.white - self.black))
        return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)

    def __str__(self) -> str:
        return f"{self.black:g}..{self.white:g}"


def levels_of(values: NDArray[Any]) -> Levels:
    """The levels that an array's type and range tell.

    Raises ValueError, in plain words, when they tell none.
    """
    if values.dtype == np.uint8 or not values.size:
        return Levels()
    if values.dtype == np.bool_:
        return Levels(0, 1)
    if values.dtype.kind not in "iuf":
        raise ValueError(f"its type is {values.dtype}, not numbers")
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("some values are not finite")
    known = [(0, 255), (0, 65535)] if values.dtype.kind in "iu" else [(0, 1), (-1, 1), (0, 255)]
    for black, white in known:
        if black <= low and high <= white:
            return Levels(black, white)
    raise ValueError(
        f"its values run from {low:g} to {high:g}; scale them to one of {', '.join(str(Levels(*k)) for k in known)}"
    )
