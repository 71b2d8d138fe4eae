"""Survey: what is in the data, from headers alone, and the size and channels that would be made of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from limner.core.errors import UserError
from limner.data.decode import MODES, Fit, Header, Size, peek, quiet, transparent
from limner.data.images import Trouble
from limner.data.items import Collection, Entry, Stack
from limner.data.parallel import in_order
from limner.data.sources import choose, locate

DEFAULT_SIZE = (64, 64)
LARGEST_KEPT = 128
Progress = Callable[[int, int], None]
"""Called with (done, total)."""


@dataclass(frozen=True)
class Survey:
    """A data set before decoding.

    count: usable pictures, by their headers
    sizes: (height, width) → pictures, most frequent first
    modes: Pillow's mode (`L`, `RGB`, `RGBA`, `P`, `I;16`, …) → pictures
    classes: class name → pictures
    size, channels: what `gather` makes of it unless told otherwise
    """

    source: str
    split: str
    splits: tuple[str, ...]
    count: int
    sizes: dict[Size, int]
    modes: dict[str, int]
    classes: dict[str, int]
    unlabelled: int
    size: Size
    channels: int
    troubles: tuple[Trouble, ...]
    notes: tuple[str, ...]
    numeric: bool = False
    """Whether labels are numbers, named by `classes`, and not classes."""


@dataclass(frozen=True)
class Shape:
    """The decision how pictures are to come out, and its reason in words."""

    size: Size
    channels: int
    notes: tuple[str, ...] = ()
    fit: Fit = "crop"


def survey(source: str, split: str | None = None) -> Survey:
    """Look at every header of one split (`train`, or everything where there are no splits).

    Raises UserError when there is no such data or split, or no usable picture.
    """
    found = locate(source)
    opened = found.open()
    data = choose(found, opened, split or "train")
    with quiet():
        seen = headers(data)
        usable = [h for h in seen if isinstance(h, Header)]
        troubles = data.troubles + tuple(t for t in seen if isinstance(t, Trouble))
        if not usable:
            raise no_picture(source, troubles)
        shape = decide(data, seen, None, None)
    counts = _label_counts(data, seen)
    return Survey(
        source,
        split or "train",
        opened.splits,
        len(usable),
        dict(Counter((h.height, h.width) for h in usable).most_common()),
        dict(Counter(h.mode for h in usable).most_common()),
        {name: counts[i] for i, name in enumerate(data.names)},
        counts[-1],
        shape.size,
        shape.channels,
        troubles,
        data.notes + shape.notes + remarks(usable, shape, counts[-1]),
        data.numbers is not None,
    )


def headers(data: Collection, progress: Progress | None = None) -> list[Header | Trouble]:
    """The header of each picture, in order."""
    if isinstance(data.pictures, Stack):
        return [_stack_header(data.pictures)] * len(data)
    found: list[Header | Trouble] = []
    for header in in_order(peek, data.pictures):
        found.append(header)
        if progress and len(found) % 100 == 0:
            progress(len(found), len(data))
    return found


def decide(data: Collection, seen: Sequence[Header | Trouble], size: Size | None, channels: int | None) -> Shape:
    """The given size and channels, or those that follow from the pictures."""
    usable = [h for h in seen if isinstance(h, Header)]
    notes: list[str] = []
    if size is None:
        size, note = _size_of({(h.height, h.width) for h in usable})
        notes.append(note)
    if channels is None:
        channels, note = _channels_of(data, seen)
        notes.append(note)
    return Shape(size, channels, tuple(notes))


def remarks(usable: Sequence[Header], shape: Shape, unlabelled: int) -> tuple[str, ...]:
    """What happens to pictures on the way, in plain words."""
    total = len(usable)
    height, width = shape.size
    common = math.gcd(height, width)
    cropped = sum(abs(h.height * width - h.width * height) > max(h.height, h.width) for h in usable)
    enlarged = sum(h.height < height or h.width < width for h in usable) if shape.fit == "crop" else 0
    flattened = sum(h.alpha for h in usable) if shape.channels in (1, 3) else 0
    greyed = sum(not h.grey for h in usable) if shape.channels in (1, 2) else 0
    padded = sum((h.height, h.width) != shape.size for h in usable)
    said = (
        (padded, f"padded to {height}×{width}")
        if shape.fit == "pad"
        else (cropped, f"cropped in the centre to {width // common}:{height // common}"),
        (enlarged, f"smaller than {height}×{width} and enlarged"),
        (greyed, "in colour and turned grey"),
        (flattened, "with transparency and put on white"),
        (sum(h.animated for h in usable), "animated; only the first frame is used"),
        (sum(h.mode.startswith("I") for h in usable), "16-bit and scaled to 8 bits"),
        (unlabelled, "without a label"),
    )
    return tuple(f"{count} of {total} pictures are {words}" for count, words in said if count)


def no_picture(source: str, troubles: Sequence[Trouble]) -> UserError:
    """Files, but not one usable picture."""
    first = f"; the first, {troubles[0].file}: {troubles[0].reason}" if troubles else ""
    return UserError(f"{source}: no usable picture in {len(troubles)} files{first}; give a folder of PNG or JPEG files")


def _label_counts(data: Collection, seen: Sequence[Header | Trouble]) -> Counter[int]:
    if data.labels is None:
        return Counter()
    return Counter(int(label) for label, h in zip(data.labels, seen, strict=True) if isinstance(h, Header))


def _size_of(sizes: set[Size]) -> tuple[Size, str]:
    if len(sizes) == 1:
        height, width = next(iter(sizes))
        if max(height, width) <= LARGEST_KEPT:
            return (height, width), f"all pictures are {height}×{width}"
        return DEFAULT_SIZE, f"all pictures are {height}×{width}; made 64×64 (--size gives another)"
    return DEFAULT_SIZE, f"pictures have {len(sizes)} sizes; made 64×64 (--size gives another)"


def _channels_of(data: Collection, seen: Sequence[Header | Trouble]) -> tuple[int, str]:
    usable = [h for h in seen if isinstance(h, Header)]
    colour = sum(not h.grey for h in usable)
    channels = 3 if colour else 1
    words = f"{colour} of {len(usable)} pictures are in colour" if colour else "all pictures are grey"
    if not any(h.alpha for h in usable):
        return channels, words
    if _uses_alpha(data, seen):
        return channels + 1, f"{words}; transparency is kept"
    return channels, f"{words}; transparency is declared but nowhere used, so it is left out"


def _uses_alpha(data: Collection, seen: Sequence[Header | Trouble]) -> bool:
    if isinstance(data.pictures, Stack):
        stack = data.pictures
        return any(int(stack.rows(i, i + 256)[..., -1].min()) < 255 for i in range(0, len(data), 256))
    declared: list[Entry] = [
        entry for entry, h in zip(data.pictures, seen, strict=True) if isinstance(h, Header) and h.alpha
    ]
    return any(in_order(transparent, declared))


def _stack_header(stack: Stack) -> Header:
    _, height, width, channels = np.shape(stack.values)
    return Header(height, width, MODES[channels], channels < 3, channels in (2, 4), False)
