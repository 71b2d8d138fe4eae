"""Sources: what DATA means on the command line, from the name `digits` to a data set on the Hub.

A source is located first, which is cheap and gives a stamp of its present state; it is opened only if nothing is
cached.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from limner.core.errors import UserError, unknown
from limner.data.archives import OPENERS, read_tar, read_zip
from limner.data.arrays import Arrays
from limner.data.digits import FOLDER, Digits
from limner.data.folders import walk
from limner.data.hub import PREFIX, fetch
from limner.data.idx import Idx, is_idx
from limner.data.images import Trouble
from limner.data.items import Collection, Entry, Format, split_name
from limner.data.layout import Folder, nothing_here, only_arrays
from limner.data.parquet import Parquet


@dataclass(frozen=True)
class Source:
    """Data that is there, not opened yet. `stamp` changes when any of its files does."""

    given: str
    path: str
    stamp: str
    open: Callable[[], Format]


def locate(given: str) -> Source:
    """Find out what a user means by DATA.

    Raises UserError when there is nothing of that name.
    """
    if given == "digits":
        return Source(given, "digits", _stamp(walk(FOLDER)[0]), Digits)
    path = fetch(given) if given.startswith(PREFIX) else Path(given).expanduser()
    path = Path(os.path.abspath(path))
    if path.is_dir():
        entries, troubles = walk(path)
        return Source(given, str(path), _stamp(entries), lambda: _of_files(given, entries, troubles))
    if not path.is_file():
        raise _missing(given, path)
    facts = path.stat()
    whole = Entry(path.name, facts.st_size, partial(open, path, "rb"), facts.st_mtime_ns)
    return Source(given, str(path), _stamp([whole]), lambda: _of_file(given, path, whole))


def choose(source: Source, opened: Format, split: str) -> Collection:
    """One split, by any of its usual names; data without splits is all `train`."""
    splits = opened.splits
    wanted = split if split in splits else split_name(split)
    if wanted in splits:
        return opened.read(wanted)
    if not splits and wanted == "train":
        return opened.read("")
    if not splits:
        raise UserError(f"{source.given} has no splits; leave out --split, or make folders train/ and {wanted}/")
    if set(splits) <= {"test", "val"} and wanted == "train":
        raise UserError(f"{source.given} has no split train; add --split {splits[0]}")
    raise unknown(f"split of {source.given}", split, splits)


def _of_files(given: str, entries: list[Entry], troubles: list[Trouble]) -> Format:
    if not entries:
        raise nothing_here(given)
    if any(is_idx(entry.path) for entry in entries):
        return Idx(given, entries)
    if tables := [entry for entry in entries if entry.path.endswith(".parquet")]:
        return Parquet(given, tables)
    if array := only_arrays(entries):
        raise UserError(f"{given}: it holds an array, not pictures; type {os.path.join(given, array.path)}")
    return Folder(given, entries, troubles)


def _of_file(given: str, path: Path, whole: Entry) -> Format:
    with open(path, "rb") as file:
        start = file.read(8)
    suffix = path.suffix.lower()
    if is_idx(path.name):
        raise UserError(f"{given}: give the folder it lies in, with its labels: {path.parent}")
    if start.startswith(b"\x93NUMPY") or suffix in (".npy", ".npz"):
        return Arrays(given, path)
    if start.startswith(b"PAR1") or suffix == ".parquet":
        return Parquet(given, [whole])
    if suffix == ".zip" or zipfile.is_zipfile(path):
        return _of_files(given, read_zip(path), [])
    if ".tar" in path.suffixes or suffix in (".tgz", ".tbz2", ".txz") or _is_tar(path, start):
        return _of_files(given, read_tar(path), [])
    return Folder(given, [whole], [])


def _is_tar(path: Path, start: bytes) -> bool:
    return any(start.startswith(magic) for magic in OPENERS) or tarfile.is_tarfile(path)


def _stamp(entries: list[Entry]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for entry in entries:
        digest.update(f"{entry.path}\0{entry.size}\0{entry.stamp}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _missing(given: str, path: Path) -> UserError:
    near = get_close_matches(path.name, os.listdir(path.parent), n=1) if path.parent.is_dir() else []
    instead = "give a folder, zip or array of pictures, or type digits"
    hint = f"did you mean {path.parent / near[0]}?" if near else instead
    return UserError(f"{given}: there is no such file or folder; {hint}")
