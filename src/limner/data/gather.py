"""Gather: any source → one uint8 array and an honest report, decoded once and kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limner.core.errors import UserError
from limner.data.cache import Writer, cache_folder, drafted, fingerprint, load, place, usable, write_facts
from limner.data.decode import MODES, Fit, Header, Size, decode, quiet, refitted
from limner.data.images import Images, Trouble
from limner.data.items import Collection, Format, Stack
from limner.data.parallel import in_order
from limner.data.sources import choose, locate
from limner.data.survey import Progress, Shape, Survey, decide, headers, no_picture, remarks, survey

__all__ = ["Survey", "gather", "survey"]

BLOCK = 256


@dataclass(frozen=True, eq=False)
class Decoded:
    """One picture as uint8 (h, w, c), or why there is none."""

    pixels: NDArray[np.uint8] | None
    header: Header | Trouble


def gather(
    source: str,
    *,
    size: Size | None = None,
    channels: int | None = None,
    split: str = "train",
    cache: Path | None = None,
    progress: Progress | None = None,
    fit: Fit = "crop",
) -> Images:
    """Every usable picture of one split, cropped and reduced (or padded) to one shape.

    source: `digits`, a folder, a zip or tar, IDX files, .npy, .npz, parquet, or `hf:owner/name`
    size: (height, width); by default the pictures' own if they share one up to 128, else 64×64
    channels: 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA; by default as few as lose nothing
    cache: where decoded arrays are kept; by default `$LIMNER_CACHE` or `~/.cache/limner`
    fit: what becomes of a picture of another shape: `crop` to its centre, or `pad` all of it

    Raises UserError when there is no such data, split or key, or not one usable picture.
    """
    _check(size, channels)
    found = locate(source)
    options = (split, size, channels) if fit == "crop" else (split, size, channels, fit)
    folder = cache or cache_folder()
    kept = load(place(folder, found.path, found.stamp, options), source)
    if kept is not None:
        return kept
    folder, notes = usable(folder)
    opened = found.open()
    data = choose(found, opened, split)
    where = place(folder, found.path, found.stamp, options)
    data = replace(data, notes=data.notes + _missing(data, opened, split))
    with quiet():
        images = _build(data, where, source, size, channels, progress, fit)
    return replace(images, notes=images.notes + notes)


def of_arrays(
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64] | None = None,
    names: tuple[str, ...] = (),
    source: str = "array",
) -> Images:
    """Images of an array that is in memory, uint8 (n, h, w, c)."""
    return Images(pixels, labels, names, fingerprint(pixels, labels, names), source)


def _build(
    data: Collection, where: Path, source: str, size: Size | None, channels: int | None, progress: Progress | None,
    fit: Fit,
) -> Images:  # fmt: skip
    """Decode into a draft of `where`, then open what has become of it."""
    seen = headers(data) if size is None or channels is None else []
    if seen and not any(isinstance(header, Header) for header in seen):
        raise no_picture(source, data.troubles + tuple(h for h in seen if isinstance(h, Trouble)))
    shape = replace(decide(data, seen, size, channels), fit=fit)
    with drafted(where) as draft:
        with open(draft / "pixels.npy", "wb") as file:
            writer = Writer(file, (*shape.size, shape.channels))
            got = _decode_all(data, shape, writer, progress)
            troubles = data.troubles + tuple(header for header in got if isinstance(header, Trouble))
            if not writer.count:
                raise no_picture(source, troubles)
            kept = [isinstance(header, Header) for header in got]
            labels = None if data.labels is None else data.labels[kept]
            numbers = None if data.numbers is None else data.numbers[kept]
            seal = writer.close(labels if numbers is None else numbers, data.names)
        unlabelled = 0 if labels is None else int((labels < 0).sum())
        notes = data.notes + shape.notes + remarks([h for h in got if isinstance(h, Header)], shape, unlabelled)
        empty = np.empty((0, *shape.size, shape.channels), np.uint8)
        files = _files(data, got)
        write_facts(draft, Images(empty, labels, data.names, seal, source, troubles, notes, files, numbers))
    images = load(where, source)
    if images is None:
        raise UserError(f"{where}: the decoded pictures cannot be read back; set LIMNER_CACHE to another disk")
    return images


def _decode_all(data: Collection, shape: Shape, writer: Writer, progress: Progress | None) -> list[Header | Trouble]:
    """Write each picture that can be had; the header or the trouble of each, in order."""
    got: list[Header | Trouble] = []
    block: list[NDArray[np.uint8]] = []
    for decoded in _pictures(data, shape):
        got.append(decoded.header)
        if decoded.pixels is not None:
            block.append(decoded.pixels)
        if len(block) == BLOCK:
            writer.add(np.stack(block))
            block.clear()
        if progress and (len(got) % BLOCK == 0 or len(got) == len(data)):
            progress(len(got), len(data))
    if block:
        writer.add(np.stack(block))
    return got


def _pictures(data: Collection, shape: Shape) -> Iterator[Decoded]:
    if isinstance(data.pictures, Stack):
        yield from _of_stack(data, data.pictures, shape)
        return
    for result in in_order(partial(decode, size=shape.size, channels=shape.channels, fit=shape.fit), data.pictures):
        yield Decoded(None, result) if isinstance(result, Trouble) else Decoded(*result)


def _of_stack(data: Collection, stack: Stack, shape: Shape) -> Iterator[Decoded]:
    header = next(iter(headers(Collection(Stack(stack.values[:1], stack.levels)))))
    for start in range(0, len(data), BLOCK):
        block = stack.rows(start, start + BLOCK)
        same = block.shape[1:] == (*shape.size, shape.channels)
        for pixels in block:
            yield Decoded(pixels if same else refitted(pixels, shape.size, shape.channels, shape.fit), header)


def _files(data: Collection, got: list[Header | Trouble]) -> tuple[str, ...]:
    if isinstance(data.pictures, Stack):
        return ()
    return tuple(entry.path for entry, header in zip(data.pictures, got, strict=True) if isinstance(header, Header))


def _missing(data: Collection, opened: Format, split: str) -> tuple[str, ...]:
    notes = [] if data.names else ["there are no labels"]
    if split == "train" and not {"test", "val"} & set(opened.splits):
        notes.append("there is no test split")
    return tuple(notes)


def _check(size: Size | None, channels: int | None) -> None:
    if size is not None and min(size) < 1:
        raise UserError(f"--size {size[0]}x{size[1]}: height and width are 1 or more; type --size 64 or --size 96x64")
    if channels is not None and channels not in MODES:
        raise UserError(f"{channels} channels: there are 1 (grey), 2 (grey + alpha), 3 (colour), 4 (colour + alpha)")
