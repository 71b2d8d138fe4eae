"""Two domains: what a user gives, arranged so that it is Images like any other, and batches with a picture of each.

Unmatched domains are Images with two labels. Matched ones are Images each of which is two pictures side by side, the
question left and the answer right: the form of the pix2pix data sets.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from limner.core.errors import UserError
from limner.core.rng import derived
from limner.data.batches import Batches
from limner.data.gather import of_arrays
from limner.data.images import Images, Trouble

Domains = Literal["one", "two", "matched"]
WANTED = {
    "two": "two folders of pictures: give DATA with two sub-folders, A/ and B/, or add --to OTHER",
    "matched": "pictures and their answers: give DATA with sub-folders A/ and B/ that hold files of the same names, "
    "or --to OTHER, or two pictures side by side in each file with a --size twice as wide as high, such as 64x128",
}


@dataclass(frozen=True)
class Pair:
    """Images in [-1, 1] of two domains, as many of each; `matched` where row i of one belongs to row i of the other."""

    x: Float[Tensor, "n c h w"]
    other: Float[Tensor, "n c h w"]
    matched: bool
    label: Int64[Tensor, " n"] | None = None

    def __len__(self) -> int:
        return len(self.x)


class Unmatched:
    """Batches of two domains, each visited in an order of its own; labels 0 and 1 tell them apart."""

    def __init__(
        self,
        images: Images,
        size: int,
        seed: int,
        device: torch.device | str = "cpu",
        among: NDArray[np.int64] | None = None,
    ) -> None:
        labels = images.labels
        assert labels is not None
        among = np.arange(len(images)) if among is None else among
        rows = [among[labels[among] == domain] for domain in (0, 1)]
        for name, some in zip(images.names, rows, strict=False):
            if not len(some):
                raise UserError(f"{images.source}: too few pictures of {name} to set some aside; give more of them")
        seeds = seed, derived(seed, 0, "other domain")
        self._sides = [Batches(images, size, s, device, r) for s, r in zip(seeds, rows, strict=True)]

    def at(self, nimg: int, rows: slice | None = None) -> Pair:
        """The batch that starts after `nimg` images of each domain were seen."""
        a, b = (side.at(nimg, rows) for side in self._sides)
        return Pair(a.x, b.x, matched=False)


class Matched:
    """Batches of pictures side by side, cut apart."""

    def __init__(
        self,
        images: Images,
        size: int,
        seed: int,
        device: torch.device | str = "cpu",
        among: NDArray[np.int64] | None = None,
    ) -> None:
        self._sheets = Batches(images, size, seed, device, among)

    def at(self, nimg: int, rows: slice | None = None) -> Pair:
        """The batch that starts after `nimg` pairs were seen."""
        sheet = self._sheets.at(nimg, rows).x
        left, right = (half.contiguous(memory_format=torch.channels_last) for half in sheet.chunk(2, dim=3))
        return Pair(left, right, matched=True)


BATCHES: dict[Domains, Callable[..., Batches | Unmatched | Matched]] = {
    "one": Batches,
    "two": Unmatched,
    "matched": Matched,
}
"""Where batches come from, by what they hold."""


def arrange(images: Images, domains: Domains, other: Images | None = None) -> Images:
    """A user's pictures, and those of --to, in the form that batches of these domains take.

    Joined pictures lie in memory. Raises UserError, which says what is needed, when they are not of that form.
    """
    if domains == "one":
        if other is not None:
            raise UserError(f"--to {other.source}: this recipe takes one folder of pictures; add --recipe cyclegan")
        return images
    sides = (images, other) if other is not None else _two_classes(images)
    if sides is None:
        if domains == "matched" and images.pixels.shape[2] == 2 * images.pixels.shape[1]:
            return replace(images, labels=None, names=())
        found = f"{len(images.names)} classes" if images.names else "one folder of pictures"
        raise UserError(f"{images.source} is {found}; this recipe needs {WANTED[domains]}")
    return _side_by_side(*sides) if domains == "matched" else _joined(images, *sides)


def _two_classes(images: Images) -> tuple[Images, Images] | None:
    """Sub-folders A/ and B/ of any names, or trainA/ and trainB/ beside others (the CycleGAN data sets)."""
    names = {name.lower(): label for label, name in enumerate(images.names)}
    pair = (0, 1) if len(names) == 2 else tuple(names.get(f"train{side}", -1) for side in "ab")
    labels = images.labels
    if labels is None or -1 in pair:
        return None
    first, second = (_some(images, np.flatnonzero(labels == label)) for label in pair)
    return first, second


def _some(images: Images, rows: NDArray[np.int64]) -> Images:
    """These images and no others, without labels; one block of the file stays a view of it."""
    consecutive = len(rows) and rows[-1] - rows[0] + 1 == len(rows)
    pixels = images.pixels[rows[0] : rows[-1] + 1] if consecutive else images.pixels[rows]
    files = tuple(images.files[row] for row in rows) if images.files else ()
    return replace(images, pixels=pixels, labels=None, names=(), files=files)


def _joined(images: Images, a: Images, b: Images) -> Images:
    """Two sets of pictures as one, with labels 0 and 1."""
    if len(images.names) == 2 and len(a) + len(b) == len(images):
        return images
    for side in (a, b):
        if len(side) < 4:
            raise UserError(f"{side.source}: one of the two domains has {len(side)} pictures; each needs 4 or more")
    labels = np.repeat(np.arange(2), [len(a), len(b)])
    names = ("A", "B") if a.source == b.source else (_stem(a.source), _stem(b.source))
    names = names if names[0] != names[1] else ("A", "B")
    whole = of_arrays(np.concatenate([a.pixels, b.pixels]), labels, names, images.source)
    return replace(whole, troubles=_troubles(a, b), notes=images.notes, files=a.files + b.files)


def _side_by_side(a: Images, b: Images) -> Images:
    """Pictures beside their answers; a note tells of those without one."""
    rows = _matches(a, b)
    if len(rows) < 2:
        raise UserError(
            f"{a.source}: {len(rows)} pictures have an answer of the same file name; give both the same name, "
            "such as A/001.png and B/001.png"
        )
    left, right = (side.pixels[rows[:, k]] for k, side in enumerate((a, b)))
    without = len(a) + len(b) - 2 * len(rows)
    notes = (
        *a.notes,
        *((f"{without} pictures have no counterpart of the same name and are not used",) * (without > 0)),
    )
    whole = of_arrays(np.concatenate([left, right], 2), source=a.source)
    return replace(whole, troubles=_troubles(a, b), notes=notes)


def _matches(a: Images, b: Images) -> NDArray[np.int64]:
    """(n, 2) rows that belong together: by name, or by place where pictures are not files."""
    if not (a.files and b.files):
        if len(a) != len(b):
            raise UserError(f"{a.source} has {len(a)} pictures and {b.source} has {len(b)}; matched ones are as many")
        return np.stack([np.arange(len(a))] * 2, 1)
    places = {key: row for row, key in enumerate(_keys(b.files))}
    found = [(row, places[key]) for row, key in enumerate(_keys(a.files)) if key in places]
    return np.array(found, np.int64).reshape(-1, 2)


def _keys(files: tuple[str, ...]) -> list[str]:
    """Paths below the folder that holds them all, without endings."""
    top = os.path.commonpath([str(PurePosixPath(file).parent) for file in files])
    return [str(PurePosixPath(file).relative_to(top).with_suffix("")) for file in files]


def _troubles(a: Images, b: Images) -> tuple[Trouble, ...]:
    return a.troubles if a.source == b.source else a.troubles + b.troubles


def _stem(source: str) -> str:
    return Path(source).stem or source
