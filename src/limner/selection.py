"""Which pictures a run is trained on, with which labels, and which are held out."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from limner.core.errors import UserError
from limner.data.images import Images
from limner.data.labels import repeated, thinned
from limner.run import Run

LEAST = 4
"""Pictures below which there is nothing to train on, or nothing to compare with."""


def set_aside(images: Images, held_out: Images | None, seed: int) -> tuple[NDArray[np.int64], Images]:
    """Which images are trained on, and images that are not: a tenth, at most 2,000, unless some are given."""
    if len(images if held_out is None else held_out) < LEAST:
        few = images if held_out is None else held_out
        raise UserError(f"{few.source} has {len(few)} usable pictures; that is too few, give at least {LEAST}")
    order = np.random.default_rng([seed, 10]).permutation(len(images)).astype(np.int64)
    if held_out is not None:
        return np.sort(order), held_out
    n = min(2000, max(LEAST // 2, len(images) // 10))
    return np.sort(order[n:]), rows_of(images, np.sort(order[:n]))


def fewer(among: NDArray[np.int64], run: Run) -> NDArray[np.int64]:
    """As many images as the run is to be trained on; those of a smaller number are among those of a larger."""
    order = np.random.default_rng([run.seed, 11]).permutation(len(among))
    return among if run.pictures is None else np.sort(among[order[: run.pictures]])


def relabelled(images: Images, among: NDArray[np.int64], run: Run) -> tuple[Images, NDArray[np.int64]]:
    """The images with as many labels as the run keeps, and which of them an epoch shows, labelled ones repeatedly."""
    if images.labels is None:
        return images, among
    if run.labels is not None:
        labels = thinned(images.labels, among, run.labels, len(images.names), run.seed)
        images = dataclasses.replace(images, labels=labels)
    assert images.labels is not None
    return images, among if run.labelled is None else repeated(among, images.labels, run.labelled)


def rows_of(images: Images, rows: NDArray[np.int64], most: int = 2000) -> Images:
    """Up to `most` of these images, evenly spaced, in memory."""
    rows = rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)]
    labels = None if images.labels is None else images.labels[rows]
    numbers = None if images.numbers is None else images.numbers[rows]
    pixels = np.ascontiguousarray(images.pixels[rows])
    return dataclasses.replace(images, pixels=pixels, labels=labels, numbers=numbers, files=())
