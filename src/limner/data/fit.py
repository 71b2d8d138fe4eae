"""Pictures of another size than a model's: cropped, padded or cut into tiles, and put together again.

crop: the largest centred part of the right shape, reduced
pad: all of it, reduced to fit; what is missing around it repeats its edge
tile: at its own size, in overlapping pieces, which are blended where they are joined
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray
from PIL import Image as Pillow

from limner.data.decode import centre
from limner.data.whole import Whole

Fit = Literal["crop", "pad", "tile"]
Size = tuple[int, int]
Pixels = UInt8[np.ndarray, "n h w c"]
OVERLAP = 4
"""Neighbouring tiles share one part in so many of their side."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """One picture as a model takes it.

    whole: it, at the size that it will be written with
    pieces: of the model's size
    places: top and left of each piece in the picture; negative where the piece is wider than it
    """

    whole: Whole
    pieces: Pixels
    places: tuple[tuple[int, int], ...]

    def joined(self, pieces: Pixels) -> UInt8[np.ndarray, "high wide c"]:
        """Pieces, as many as there are, as one picture: blended where they overlap, cut where they stick out."""
        height, width = self.whole.colours.shape[:2]
        side = pieces.shape[1:3]
        weight = np.outer(_ramp(side[0]), _ramp(side[1]))[:, :, None]
        total, weights = np.zeros((height, width, pieces.shape[3])), np.zeros((height, width, 1))
        for piece, place in zip(pieces, self.places, strict=True):
            into, of = _overlaps(place, side, (height, width))
            total[into] += weight[of] * piece[of]
            weights[into] += weight[of]
        return (total / weights).round().astype(np.uint8)


def fit(whole: Whole, size: Size, channels: int, how: Fit = "crop") -> Fitted:
    """A picture as pieces of a size, (height, width), and channels; transparency is treated as the colours are."""
    whole = _coloured(whole, channels)
    if how != "tile":
        whole = _resized(whole, size, how)
    height, width = whole.colours.shape[:2]
    rows, columns = (_starts(length, side) for length, side in zip((height, width), size, strict=True))
    if how == "pad":  # in the middle
        rows, columns = [-((size[0] - height) // 2)], [-((size[1] - width) // 2)]
    places = tuple((top, left) for top in rows for left in columns)
    colours = whole.colours if channels in (1, 3) else _with_alpha(whole)
    return Fitted(whole, np.stack([_piece(colours, place, size) for place in places]), places)


def _resized(whole: Whole, size: Size, how: Fit) -> Whole:
    height, width = whole.colours.shape[:2]
    if (height, width) == size:
        return whole
    box, wanted = centre(height, width, size), size
    if how == "pad":
        scale = min(size[0] / height, size[1] / width)
        box = 0, 0, width, height
        wanted = max(1, round(height * scale)), max(1, round(width * scale))

    def small(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        seen, shape = Pillow.fromarray(pixels), (wanted[1], wanted[0])
        return np.asarray(seen.resize(shape, Pillow.Resampling.LANCZOS, box, reducing_gap=3.0))

    colours = whole.colours[:, :, 0] if whole.colours.shape[2] == 1 else whole.colours
    alpha = None if whole.alpha is None else small(whole.alpha)
    return replace(whole, colours=small(colours).reshape(*wanted, -1), alpha=alpha)


def _coloured(whole: Whole, channels: int) -> Whole:
    """Grey or colour, as many as the model's without transparency."""
    colours, wanted = whole.colours, 1 if channels < 3 else 3
    if colours.shape[2] == wanted:
        return whole
    if wanted == 3:
        return replace(whole, colours=colours.repeat(3, axis=2))
    grey = np.asarray(Pillow.fromarray(colours).convert("L"))[:, :, None]
    return replace(whole, colours=grey)


def _with_alpha(whole: Whole) -> NDArray[np.uint8]:
    alpha = np.full(whole.colours.shape[:2], 255, np.uint8) if whole.alpha is None else whole.alpha
    return np.concatenate([whole.colours, alpha[:, :, None]], 2)


def _starts(length: int, side: int) -> list[int]:
    """Where pieces begin along a side: evenly spaced, the first at its beginning and the last at its end."""
    if length <= side:
        return [0]
    count = 1 + -(-(length - side) // (side - side // OVERLAP))
    return [round(k * (length - side) / (count - 1)) for k in range(count)]


def _piece(colours: NDArray[np.uint8], place: tuple[int, int], size: Size) -> NDArray[np.uint8]:
    """Edges are repeated where a piece is wider than the picture."""
    rows, columns = (
        np.clip(np.arange(start, start + side), 0, length - 1)
        for start, side, length in zip(place, size, colours.shape[:2], strict=True)
    )
    return colours[rows[:, None], columns]


def _overlaps(place: tuple[int, int], side: Size, size: Size) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The rows and columns of the picture that a piece covers, and those of the piece."""
    ends = [(max(0, a), min(a + s, length)) for a, s, length in zip(place, side, size, strict=True)]
    into = (slice(*ends[0]), slice(*ends[1]))
    of = slice(ends[0][0] - place[0], ends[0][1] - place[0]), slice(ends[1][0] - place[1], ends[1][1] - place[1])
    return into, of


def _ramp(side: int) -> NDArray[np.float64]:
    """Weights along a piece: rising over the overlap, then level, then falling."""
    at = np.arange(1.0, side + 1)
    return np.minimum(np.minimum(at, at[::-1]), max(1, side // OVERLAP))
