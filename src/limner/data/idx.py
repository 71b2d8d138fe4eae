"""IDX: MNIST's own file format, gzipped or not; `train-images-idx3-ubyte` and its labels are one split.

Header: two zero bytes, the type, the number of dimensions, each dimension as big-endian int32 (LeCun's page).
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limner.core.errors import UserError
from limner.data.arrays import stacked
from limner.data.items import Collection, Entry, split_name
from limner.data.labels import numbered

TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
NAME = re.compile(r"^(?P<stem>.*?)[-_.]?(?P<what>images|labels)[-_.]idx\d-[a-z]+\d*(\.gz)?$", re.IGNORECASE)


class Idx:
    """A folder or archive of IDX files."""

    def __init__(self, source: str, entries: list[Entry]) -> None:
        self.source = source
        self.images = _named(entries, "images")
        self.labels = {split: entry for split, entry in _named(entries, "labels").items() if split in self.images}

    @property
    def splits(self) -> tuple[str, ...]:
        """`train` and `test` from train-* and t10k-*; the whole stem where several files claim one name."""
        return tuple(sorted(self.images))

    @cached_property
    def _numbered(self) -> tuple[dict[str, NDArray[np.int64]], tuple[str, ...]]:
        return numbered({split: read_idx(entry) for split, entry in self.labels.items()}, self.source)

    def read(self, split: str) -> Collection:
        """Pixels and labels of one split."""
        entry = self.images[split]
        stack, notes = stacked(read_idx(entry), entry.path)
        labels, names = self._numbered
        if split in labels and len(labels[split]) != len(stack.values):
            raise UserError(
                f"{self.labels[split].path}: {len(labels[split])} labels, {len(stack.values)} pictures in {entry.path}"
                "; download both again"
            )
        return Collection(stack, labels.get(split), names if split in labels else (), (), notes)


def is_idx(path: str) -> bool:
    """Whether a file of this name holds IDX images."""
    found = NAME.match(path.rpartition("/")[2])
    return found is not None and found["what"].lower() == "images"


def read_idx(entry: Entry) -> NDArray[Any]:
    """The array in one file.

    Raises UserError when the file is not IDX or its length is not what its header says.
    """
    with entry.open() as file:
        raw = file.read()
    try:
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{entry.path}: broken gzip ({error}); download it again") from None
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in TYPES or len(raw) < 4 + 4 * raw[3]:
        raise UserError(f"{entry.path}: not an IDX file; download it again, or move it away")
    shape = np.frombuffer(raw, ">i4", raw[3], 4).tolist()
    dtype, offset = np.dtype(TYPES[raw[2]]), 4 + 4 * raw[3]
    if len(raw) - offset != math.prod(shape) * dtype.itemsize:
        raise UserError(f"{entry.path}: {len(raw) - offset} bytes where its header says {shape}; download it again")
    values = np.frombuffer(raw, dtype, offset=offset).reshape(shape)
    return values if dtype.itemsize == 1 else values.astype(dtype.newbyteorder("="))


def _named(entries: list[Entry], what: str) -> dict[str, Entry]:
    stems = {
        entry.path.rpartition("/")[0] + "/" + found["stem"]: entry
        for entry in entries
        if (found := NAME.match(entry.path.rpartition("/")[2])) and found["what"].lower() == what
    }
    short = [_short(stem) for stem in stems]
    unique = len(set(short)) == len(short)
    return {s if unique else stem.strip("/"): entry for (stem, entry), s in zip(stems.items(), short, strict=True)}


def _short(stem: str) -> str:
    words = re.split(r"[-_./]", stem.lower())
    known = [split_name(word) for word in words if split_name(word) in ("train", "test", "val")]
    return known[-1] if known else stem.strip("/") or "train"
