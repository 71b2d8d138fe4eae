"""What every format of data comes down to: encoded files that can be opened, or a stack of ready pixels.

A folder, an archive and a parquet table give `Entry`s; IDX files, arrays and the built-in digits give a `Stack`.
Either, with its labels, is a `Collection`; a `Format` offers one for each split.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from limner.data.images import Trouble
from limner.data.levels import Levels

IGNORED = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
SPLITS = {"training": "train", "testing": "test", "t10k": "test", "valid": "val", "validation": "val", "dev": "val"}


@dataclass(frozen=True)
class Entry:
    """One file of a source: its path inside it (with /), its size in bytes, and a way to open it."""

    path: str
    size: int
    open: Callable[[], IO[bytes]]
    stamp: int = 0
    """Changes when the file does: its modification time in nanoseconds."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Pixels that need no decoding: any number format, (n, h, w, c), and how its values become uint8."""

    values: NDArray[Any]
    levels: Levels

    def rows(self, start: int, stop: int) -> NDArray[np.uint8]:
        """uint8 (stop - start, h, w, c)."""
        return self.levels.to_bytes(self.values[start:stop])


@dataclass(frozen=True, eq=False)
class Collection:
    """One split of a source, before decoding; `labels` (n,) index `names`, -1 = unlabelled.

    Where labels are numbers, `names` are those of `numbers` (n, k), in [0, 1], nan = unknown.
    """

    pictures: tuple[Entry, ...] | Stack
    labels: NDArray[np.int64] | None = None
    names: tuple[str, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    notes: tuple[str, ...] = ()
    numbers: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.pictures.values if isinstance(self.pictures, Stack) else self.pictures)


@runtime_checkable
class Format(Protocol):
    """A source that has been opened."""

    @property
    def splits(self) -> tuple[str, ...]:
        """`train`, `test`, `val` or other names; empty when the data is not split."""
        ...

    def read(self, split: str) -> Collection:
        """One of `splits`, or everything for `""` when there are none."""
        ...


def ignored(path: str) -> bool:
    """Whether operating systems and tools put this file there, not the user."""
    return any(part.startswith(".") or part.lower() in IGNORED for part in path.split("/"))


def split_name(name: str) -> str:
    """The usual name of a split: `validation` → `val`, `t10k` → `test`; other names stay."""
    return SPLITS.get(name.lower(), name.lower() if name.lower() in SPLITS.values() else name)


def is_split(name: str) -> bool:
    """Whether a folder or file of this name holds a split rather than a class."""
    return split_name(name) in SPLITS.values()
