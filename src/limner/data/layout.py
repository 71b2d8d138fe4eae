"""Layout: how files lie in folders tells splits and classes.

`train/` and `test/` are splits; below them, or at the top, each folder is a class; a metadata file says more than
folders do. One folder around everything (as archives have) means nothing.
"""

from __future__ import annotations

import re
from functools import cached_property

from limner.core.errors import UserError
from limner.data.images import Trouble
from limner.data.items import Collection, Entry, is_split, split_name
from limner.data.labels import class_names, indices, scaled
from limner.data.metadata import is_metadata, read_metadata

KINDS = "apng|avif|bmp|dib|gif|j2k|jfif|jp2|jpe|jpeg|jpg|pbm|pcx|pgm|png|pnm|ppm|qoi|tif|tiff|webp"
PICTURE = re.compile(rf"\.({KINDS})$", re.IGNORECASE)
Placed = dict[str, Entry]
"""Files by their path without the folders that are around everything."""


class Folder:
    """Pictures as files of a folder or an archive."""

    def __init__(self, source: str, entries: list[Entry], troubles: list[Trouble]) -> None:
        self.source = source
        self.troubles = tuple(troubles)
        placed = _unwrapped(entries)
        self.metadata = [read_metadata(entry, path) for path, entry in placed.items() if is_metadata(path)]
        self.files = {path: entry for path, entry in placed.items() if not is_metadata(path)}

    @property
    def splits(self) -> tuple[str, ...]:
        """Top folders named after splits; a lone `test` beside other folders is a class."""
        return self._splits

    @cached_property
    def _splits(self) -> tuple[str, ...]:
        tops = {path.split("/")[0] for path in self.files if "/" in path}
        found = {split_name(top) for top in tops if is_split(top)}
        return tuple(sorted(found)) if "train" in found or (found and all(map(is_split, tops))) else ()

    @cached_property
    def listed(self) -> dict[str, str | None]:
        """Labels by path from all metadata files that have them."""
        return {path: label for meta in self.metadata if meta.has_labels for path, label in meta.labels.items()}

    @cached_property
    def numbers(self) -> dict[str, dict[str, float]]:
        """Numbers by path and column from all metadata files that name no classes."""
        return {path: row for meta in self.metadata for path, row in meta.numbers.items()}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Class names, the same for every split."""
        if self.listed:
            return class_names(label for label in self.listed.values() if label is not None)
        labels = {self._folder_label(path) for path in self.files if _looks_like_picture(path)}
        return class_names(label for label in labels if label is not None)

    def read(self, split: str) -> Collection:
        """The split's files, in order of path."""
        chosen = {path: entry for path, entry in self.files.items() if self._split_of(path) == split}
        wanted = [self._label(path) for path in chosen]
        if self.numbers and len(self.names) < 2:
            rows, every = [self.numbers.get(path, {}) for path in chosen], list(self.numbers.values())
            numbers, names, notes = scaled(rows, every)
            said = notes + self._notes(split, chosen)
            return Collection(tuple(chosen.values()), None, names, self.troubles + self._missing(split), said, numbers)
        labels = indices([w if w in self.names else None for w in wanted], self.names)
        labelled = len(self.names) > 1
        return Collection(
            tuple(chosen.values()),
            labels if labelled else None,
            self.names if labelled else (),
            self.troubles + self._missing(split),
            self._notes(split, chosen),
        )

    def _split_of(self, path: str) -> str:
        if not self._splits:
            return ""
        top, slash, _ = path.partition("/")
        return split_name(top) if slash and is_split(top) else "outside"

    def _folder_label(self, path: str) -> str | None:
        folders = path.split("/")[1 if self._splits else 0 : -1]
        return folders[0] if folders and self._split_of(path) != "outside" else None

    def _label(self, path: str) -> str | None:
        return self.listed.get(path) if self.listed else self._folder_label(path)

    def _missing(self, split: str) -> tuple[Trouble, ...]:
        gone = [path for meta in self.metadata for path in meta.labels if path not in self.files]
        here = [path for path in gone if self._split_of(path) == split]
        return tuple(Trouble(path, "listed in the metadata, but not there") for path in here)

    def _notes(self, split: str, chosen: Placed) -> tuple[str, ...]:
        notes = [note for meta in self.metadata for note in meta.notes]
        outside = sum(self._split_of(path) == "outside" for path in self.files if _looks_like_picture(path))
        if outside:
            notes.append(f"{outside} pictures lie outside {', '.join(f'{s}/' for s in self._splits)} and are not used")
        if self.listed and (unlisted := sum(path not in self.listed for path in chosen)):
            notes.append(f"{unlisted} files are not in the metadata")
        if len(self.names) == 1:
            notes.append(f"all labels are {self.names[0]!r}, so they are not used")
        return tuple(notes)


def only_arrays(entries: list[Entry]) -> Entry | None:
    """The first array file of a folder that holds no pictures."""
    if any(_looks_like_picture(entry.path) for entry in entries):
        return None
    return next((entry for entry in entries if entry.path.endswith((".npz", ".npy"))), None)


def nothing_here(source: str) -> UserError:
    """There is not one file."""
    return UserError(f"{source}: it is empty; give a folder, zip or array of pictures, or type digits")


def _unwrapped(entries: list[Entry]) -> Placed:
    """Paths without the one folder that is around everything, unless its name is a split's."""
    placed = {entry.path: entry for entry in entries}
    while True:
        tops = {path.split("/")[0] for path in placed}
        if len(tops) != 1 or not all("/" in path for path in placed) or is_split(next(iter(tops))):
            return placed
        placed = {path.partition("/")[2]: entry for path, entry in placed.items()}


def _looks_like_picture(path: str) -> bool:
    return PICTURE.search(path) is not None
