""".npy and .npz: pictures as one array, in any usual layout, number type and range, with labels beside them.

Layouts: (n, h, w), (n, h, w, c), (n, c, h, w).
Keys: `images`, `x`, `arr_0`, `x_train`, `test_images`, …; `labels`, `y`, …; `names` of labels that are numbers.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limner.core.errors import UserError
from limner.data.items import Collection, Stack, split_name
from limner.data.labels import numbered
from limner.data.levels import levels_of

IMAGES = ("images", "image", "x", "pixels", "data", "imgs", "arr_0")
LABELS = ("labels", "label", "y", "targets", "target", "classes", "arr_1")
SPLIT = r"train|training|test|testing|val|valid|validation"
KEY = re.compile(rf"^(?:(?P<before>{SPLIT})_?)?(?P<what>{'|'.join(IMAGES + LABELS)})(?:_?(?P<after>{SPLIT}))?$")


class Arrays:
    """One .npy or .npz file."""

    def __init__(self, source: str, path: Path) -> None:
        self.source, self.path = source, path
        self.keys = _keys(path)
        self.images = self._known(IMAGES)
        self.labels = {split: key for split, key in self._known(LABELS).items() if split in self.images}
        if not self.images:
            keys = ", ".join(self.keys) or "none"
            raise UserError(f"{source}: no key is called images, x, arr_0 or x_train; its keys are {keys}")

    @property
    def splits(self) -> tuple[str, ...]:
        """From keys like `x_train` and `test_images`."""
        return tuple(sorted(split for split in self.images if split))

    @cached_property
    def _numbered(self) -> tuple[dict[str, NDArray[np.int64]], tuple[str, ...]]:
        labels, names = numbered({split: self._array(key) for split, key in self.labels.items()}, self.source)
        told = tuple(str(name) for name in self._array("names").ravel()) if "names" in self.keys else ()
        # names of whole numbers, as limner sample and limner augment write them
        return labels, told if len(told) >= len(names) == len(set(told[: len(names)])) and _whole(names) else names

    def read(self, split: str) -> Collection:
        """Pixels and labels of one split."""
        stack, notes = stacked(self._array(self.images[split]), self.source)
        labels, names = self._numbered
        if split not in labels:
            return Collection(stack, notes=notes)
        if len(labels[split]) != len(stack.values):
            raise UserError(
                f"{self.source}: {len(labels[split])} labels ({self.labels[split]}) for {len(stack.values)} pictures "
                f"({self.images[split]}); give as many"
            )
        return Collection(stack, labels[split], names, (), notes)

    def _known(self, known: tuple[str, ...]) -> dict[str, str]:
        """The first key of each split that has a known name, preferring the order of `known`."""
        found = [(match, key) for key in self.keys if (match := KEY.match(key.lower())) and match["what"] in known]
        found.sort(key=lambda pair: known.index(pair[0]["what"]))
        keys: dict[str, str] = {}
        for match, key in found:
            keys.setdefault(split_name(match["before"] or match["after"] or ""), key)
        # a file of both x and x_train is split; the bare key is something else
        return {split: key for split, key in keys.items() if split or len(keys) == 1}

    def _array(self, key: str) -> NDArray[Any]:
        with _opened(self.path) as arrays:
            return arrays[key]


def stacked(values: NDArray[Any], source: str) -> tuple[Stack, tuple[str, ...]]:
    """Pixels as (n, h, w, c) with their levels, and what was assumed.

    Raises UserError when the shape or the range is not an image's.
    """
    pixels = _channels_last(values, source)
    try:
        levels = levels_of(pixels)
    except ValueError as error:
        raise UserError(f"{source}: {error}") from None
    if (levels.black, levels.white) == (0, 255):
        return Stack(pixels, levels), ()
    return Stack(pixels, levels), (f"values {levels} ({pixels.dtype}) became 0..255",)


def _channels_last(values: NDArray[Any], source: str) -> NDArray[Any]:
    shape = values.shape
    if 0 in shape:
        raise UserError(f"{source}: it is empty (shape {shape})")
    if len(shape) == 4 and shape[3] <= 4:
        return values
    if len(shape) == 4 and shape[1] <= 4:
        return values.transpose(0, 2, 3, 1)
    if len(shape) == 3 and shape[2] > 4:
        return values[..., None]
    layouts = "(n, h, w), (n, h, w, c) or (n, c, h, w) with 1 to 4 channels"
    raise UserError(f"{source}: shape {shape} is not {layouts}; reshape it")


def _whole(names: tuple[str, ...]) -> bool:
    """Whether these are the numbers from 0 on."""
    return names == tuple(str(k) for k in range(len(names)))


def _keys(path: Path) -> tuple[str, ...]:
    with _opened(path) as arrays:
        return tuple(arrays)


@contextmanager
def _opened(path: Path) -> Generator[Mapping[str, NDArray[Any]]]:
    """The arrays of a file by key; an .npy has one, `images`, which stays on disk.

    Raises UserError when the file is broken or holds anything but numbers and text.
    """
    try:
        loaded = np.load(path, mmap_mode="r")
        if isinstance(loaded, np.ndarray):
            yield {"images": loaded}
        else:
            with loaded:
                yield loaded
    except ValueError as error:
        if "pickle" in str(error) or "Python objects" in str(error):
            hint = "not an array of numbers (Python objects are never loaded); save uint8 (n, h, w, c)"
            raise UserError(f"{path}: {hint}") from None
        raise _broken(path, error) from None
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _broken(path, error) from None


def _broken(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: a broken array file ({error}); write it again with numpy.savez")
