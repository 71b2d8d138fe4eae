"""Who is judged: a model, or pictures that some other tool made, behind one way to draw from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from limner.core.pixels import Bytes, Image
from limner.core.rng import generator
from limner.data.decode import Fit, refitted
from limner.data.images import Images
from limner.likeness import Likeness

Draw = Callable[[int, int], Bytes]
"""(first, count) → pictures number first … first + count - 1, uint8 (n, h, w, c)."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A model or a set of generated pictures.

    name: as it was given
    likeness: the model, None for pictures
    images: the pictures, None for a model
    folder: its run folder, where it has one
    """

    name: str
    likeness: Likeness | None = None
    images: Images | None = None
    folder: Path | None = None

    @property
    def image(self) -> Image:
        """The shape of what it makes."""
        if self.likeness is not None:
            return self.likeness.image
        assert self.images is not None
        return self.images.image

    @property
    def most(self) -> int | None:
        """Pictures that can be had of it; None where there is no end of them."""
        return None if self.images is None else len(self.images)

    def draw(self, n: int, seed: int, image: Image, fit: Fit = "crop") -> Draw:
        """n of its pictures in the given shape, as `evaluate` takes them: the same for the same seed."""
        of = self._sampled(n, seed) if self.likeness is not None else self._picked(n, seed)

        def pictures(first: int, count: int) -> Bytes:
            drawn = of(first, count)
            if self.image == image:
                return drawn
            return np.stack([refitted(one, (image.height, image.width), image.channels, fit) for one in drawn])

        return pictures

    def asked(self, n: int, seed: int) -> NDArray[np.int64] | None:
        """The classes that the first n of its pictures were told, (n,); None where it is told none."""
        if self.likeness is None or self.likeness.numbered:
            return None
        labels = self.likeness.labels(n, seed)
        return None if labels is None else labels.astype(np.int64)

    def rebuild(self, image: Image) -> Callable[[Bytes], Bytes] | None:
        """What makes pictures of this shape again, where it has an encoder for them."""
        model = self.likeness
        if model is None or model.encoder is None or model.encoder.latent != model.generator.latent:
            return None
        return model.reconstruct if self.image == image else None

    def _sampled(self, n: int, seed: int) -> Draw:
        likeness = self.likeness
        assert likeness is not None
        z, labels = likeness.codes(n, seed), likeness.labels(n, seed)

        def pictures(first: int, count: int) -> Bytes:
            rows = slice(first, first + count)
            return likeness.decode(z[rows], None if labels is None else labels[rows])

        return pictures

    def _picked(self, n: int, seed: int) -> Draw:
        """Without repetition, in no order: folders are often sorted by class."""
        assert self.images is not None
        pixels = self.images.pixels
        rows = torch.randperm(len(pixels), generator=generator(seed, 0, "generated")).numpy()[:n]
        return lambda first, count: pixels[rows[first : first + count]]


def equal_n(asked: int, real: Images, subjects: tuple[Subject, ...]) -> tuple[int, tuple[str, ...]]:
    """The n that all are scored at, and why it is smaller than asked."""
    ends = [(len(real), real.source)] + [(s.most, s.name) for s in subjects if s.most is not None]
    least, whose = min(ends)
    if least >= asked:
        return asked, ()
    every = " for all, because only equal n compare" if len(subjects) > 1 else ""
    return least, (f"{whose} has {least:,} pictures, so n is {least:,} and not {asked:,}{every}",)
