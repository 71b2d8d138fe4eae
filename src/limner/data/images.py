"""Images: every picture of a data set as one memory-mapped uint8 array, and an honest report beside it.

What was not used is in `troubles`, file by file; what was decided or left out is in `notes`, in plain words.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
    names: class names; label i is `names[i]`. Where labels are numbers, the name of each
    fingerprint: hash of pixels, labels, names and shape
    source: the data as the user gave it
    troubles: what was not used
    notes: what was decided, in plain words
    files: path of each picture in the source; empty where pictures are not files
    numbers: float32 (n, k) in [0, 1], nan = unknown, where labels are numbers; None elsewhere
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64] | None
    names: tuple[str, ...]
    fingerprint: str
    source: str
    troubles: tuple[Trouble, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    numbers: NDArray[np.float32] | None = None

    @property
    def told(self) -> NDArray[np.int64] | NDArray[np.float32] | None:
        """What networks may be told of each picture: its class or its numbers."""
        return self.labels if self.numbers is None else self.numbers

    @property
    def image(self) -> Image:
        """The shape of one image."""
        from limner.core.pixels import Image  # imports torch, which reading pictures does not need

        _, height, width, channels = self.pixels.shape
        return Image(channels, height, width)

    def counts(self, most: int = 256) -> tuple[Any, ...]:
        """How many pictures each class has; where labels are numbers, up to `most` of their rows, evenly spaced.

        It is what samples are told when nothing is asked for. None stands for an unknown number.
        """
        if self.numbers is not None:
            rows = self.numbers[np.linspace(0, len(self) - 1, min(most, len(self))).astype(np.int64)]
            return tuple([None if np.isnan(v) else round(v, 6) for v in row] for row in rows.tolist())
        labels = np.empty(0, np.int64) if self.labels is None else self.labels
        return tuple(int((labels == k).sum()) for k in range(0 if self.labels is None else len(self.names)))

    def __len__(self) -> int:
        return len(self.pixels)


def duplicates(images: Images) -> list[tuple[int, ...]]:
    """Groups of two or more indices whose pixels are exactly equal, in order of first appearance."""
    groups: dict[bytes, list[int]] = {}
    for i, pixels in enumerate(images.pixels):
        groups.setdefault(hashlib.blake2b(pixels.tobytes(), digest_size=16).digest(), []).append(i)
    return [tuple(group) for group in groups.values() if len(group) > 1]
