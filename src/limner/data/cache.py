"""Decoded pictures on disk: one memory-mapped .npy a data set, whole or not there at all.

An entry is written beside its place and renamed into it. One that does not check out is as good as absent.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import functools
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from limner.core.errors import UserError
from limner.data.images import Images, Trouble

Told = NDArray[np.int64] | NDArray[np.float32] | None
VERSION = 1
VERIFIED = 1 << 28
"""Bytes of pixels up to which their hash is checked on every start (about 0.1 s for 100 MB)."""


def cache_folder() -> Path:
    """`$LIMNER_CACHE`, or `~/.cache/limner`."""
    return Path(os.environ.get("LIMNER_CACHE") or Path.home() / ".cache" / "limner")


def place(folder: Path, path: str, stamp: str, options: object) -> Path:
    """Where the data at `path` in its present state, decoded with these options, is kept."""
    return folder / f"{_hash(f'{VERSION} {path} {options}')}-{_hash(stamp)}"


def usable(folder: Path) -> tuple[Path, tuple[str, ...]]:
    """`folder` if it can be written to, else a temporary one that is removed at exit, and a note of it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder, ()
    except OSError as error:
        note = f"{folder} cannot be written to ({error.strerror}), so decoded pictures are not kept; set LIMNER_CACHE"
        return _temporary(), (note,)


def load(where: Path, source: str) -> Images | None:
    """What is kept there, or None where nothing sound is."""
    try:
        facts = json.loads((where / "facts.json").read_text("utf-8"))
        pixels = np.load(where / "pixels.npy", mmap_mode="r")
        labels = np.load(where / "labels.npy") if facts["labelled"] else None
        names = tuple(facts["names"])
        if pixels.dtype != np.uint8 or (where / "pixels.npy").stat().st_size != facts["bytes"]:
            return None
        numbers = np.load(where / "numbers.npy") if facts.get("numbered") else None
        told = labels if numbers is None else numbers
        if pixels.nbytes <= VERIFIED and fingerprint(pixels, told, names) != facts["fingerprint"]:
            return None
        troubles = tuple(Trouble(**trouble) for trouble in facts["troubles"])
        said, files = tuple(facts["notes"]), tuple(facts["files"])
        return Images(pixels, labels, names, facts["fingerprint"], source, troubles, said, files, numbers)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


def fingerprint(pixels: NDArray[np.uint8], labels: Told, names: Sequence[str]) -> str:
    """Hash of the data: equal for equal pictures, labels, names and shape, wherever they came from."""
    digest = hashlib.sha256()
    for start in range(0, len(pixels), 1024):
        digest.update(np.ascontiguousarray(pixels[start : start + 1024]).data)
    return _seal(digest, pixels.shape, labels, names)


class Writer:
    """Takes blocks of pixels in order and streams them to a .npy file, hashing on the way."""

    def __init__(self, file: IO[bytes], shape: tuple[int, int, int]) -> None:
        self.file, self.shape, self.count = file, shape, 0
        self.digest = hashlib.sha256()
        self._header()

    def add(self, block: NDArray[np.uint8]) -> None:
        """Append uint8 (k, h, w, c)."""
        block = np.ascontiguousarray(block)
        self.file.write(block.data)
        self.digest.update(block.data)
        self.count += len(block)

    def close(self, labels: Told, names: Sequence[str]) -> str:
        """Make the header true; the fingerprint."""
        self.file.seek(0)
        self._header()
        self.file.flush()
        os.fsync(self.file.fileno())
        return _seal(self.digest, (self.count, *self.shape), labels, names)

    def _header(self) -> None:
        # numpy pads the header so that the first dimension may grow in place
        facts = {"descr": "|u1", "fortran_order": False, "shape": (self.count, *self.shape)}
        np.lib.format.write_array_header_1_0(self.file, facts)


@contextmanager
def drafted(where: Path) -> Generator[Path]:
    """A folder to fill, which becomes `where` if all goes well and leaves nothing behind otherwise.

    Raises UserError when the disk is full.
    """
    draft = Path(tempfile.mkdtemp(prefix=".part-", dir=where.parent))
    try:
        yield draft
        _replace(draft, where)
        _forget(where)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(f"{where.parent}: no space for decoded pictures; set LIMNER_CACHE to another disk") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_facts(draft: Path, images: Images) -> None:
    """Everything of `images` but its pixels."""
    if images.labels is not None:
        np.save(draft / "labels.npy", images.labels)
    if images.numbers is not None:
        np.save(draft / "numbers.npy", images.numbers)
    facts = {
        "source": images.source,
        "names": images.names,
        "labelled": images.labels is not None,
        "numbered": images.numbers is not None,
        "fingerprint": images.fingerprint,
        "bytes": (draft / "pixels.npy").stat().st_size,
        "troubles": [asdict(trouble) for trouble in images.troubles],
        "notes": images.notes,
        "files": images.files,
    }
    (draft / "facts.json").write_text(json.dumps(facts, indent=1), "utf-8")


@functools.cache
def _temporary() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="limner-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _replace(draft: Path, where: Path) -> None:
    if where.exists():  # broken, or made by another process just now
        old = Path(tempfile.mkdtemp(prefix=".old-", dir=where.parent))
        with contextlib.suppress(OSError):
            where.rename(old / "entry")
        shutil.rmtree(old, ignore_errors=True)
    draft.chmod(0o755)
    try:
        draft.rename(where)
    except OSError:  # another process put the same data there in between
        if not where.exists():
            raise


def _forget(where: Path) -> None:
    """Remove earlier states of the same data, and what killed processes left."""
    earlier = [p for p in where.parent.glob(where.name.partition("-")[0] + "-*") if p != where]
    yesterday = time.time() - 86_400
    left = [*where.parent.glob(".part-*"), *where.parent.glob(".old-*")]
    for path in [*earlier, *_older(left, yesterday)]:
        shutil.rmtree(path, ignore_errors=True)


def _older(paths: Iterable[Path], than: float) -> list[Path]:
    return [path for path in paths if path.exists() and path.stat().st_mtime < than]


def _seal(digest: Any, shape: tuple[int, ...], labels: Told, names: Sequence[str]) -> str:
    digest.update(json.dumps([list(shape), list(names), labels is not None]).encode())
    if labels is not None:
        digest.update(labels.tobytes())
    return digest.hexdigest()[:32]


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=10).hexdigest()
