"""Images: every picture of a data set as one memory-mapped uint8 array, and an honest report beside it.

What was not used is in `troubles`, file by file; what was decided or left out is in `notes`, in plain words.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from limner.core.pixels import Image


@dataclass(frozen=True)
class Trouble:
    """A picture that was not used, and why."""

    file: str
    reason: str


@dataclass(frozen=True, eq=False)
class Images:
    """Decoded pictures of one shape.

    pixels: uint8 (n, h, w, c), read-only, c = 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA
    labels: int64 (n,), indices into `names`, -1 = unlabelled; None when the data has no labels
    names: class names; label i is `names[i]`
    fingerprint: hash of pixels, labels, names and shape
    source: the data as the user gave it
    troubles: what was not used
    notes: what was decided, in plain words
    files: path of each picture in the source; empty where pictures are not files
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64] | None
    names: tuple[str, ...]
    fingerprint: str
    source: str
    troubles: tuple[Trouble, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def image(self) -> Image:
        """The shape of one image."""
        from limner.core.pixels import Image  # imports torch, which reading pictures does not need

        _, height, width, channels = self.pixels.shape
        return Image(channels, height, width)

    def __len__(self) -> int:
        return len(self.pixels)


def duplicates(images: Images) -> list[tuple[int, ...]]:
    """Groups of two or more indices whose pixels are exactly equal, in order of first appearance."""
    groups: dict[bytes, list[int]] = {}
    for i, pixels in enumerate(images.pixels):
        groups.setdefault(hashlib.blake2b(pixels.tobytes(), digest_size=16).digest(), []).append(i)
    return [tuple(group) for group in groups.values() if len(group) > 1]
