"""Every file of a zip or a tar, read in place: nothing is unpacked, so no path inside can escape.

A compressed tar has no random access; it is decompressed once to an unnamed temporary file.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import tarfile
import tempfile
import threading
import weakref
import zipfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import IO, Any

from limner.core.errors import UserError
from limner.data.items import Entry, ignored

OPENERS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
}


def read_zip(path: Path) -> list[Entry]:
    """The files of a zip, sorted by path."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise _broken(path, error) from None
    return _sorted(
        Entry(info.filename, info.file_size, lambda info=info: io.BytesIO(archive.read(info)))
        for info in archive.infolist()
        if not info.is_dir()
    )


def read_tar(path: Path) -> list[Entry]:
    """The files of a tar (plain, gzip, bzip2, xz), sorted by path; links are left out."""
    shared = _Shared(_plain(path))
    try:
        with tarfile.open(fileobj=shared.stream, mode="r:") as archive:
            members = [member for member in archive.getmembers() if member.isreg()]
        _whole(shared.stream, members)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise _broken(path, error) from None
    return _sorted(
        Entry(m.name.removeprefix("./"), m.size, partial(shared.part, m.offset_data, m.size)) for m in members
    )


def _plain(path: Path) -> IO[bytes]:
    with open(path, "rb") as file:
        start = file.read(6)
    opener = next((opener for magic, opener in OPENERS.items() if start.startswith(magic)), None)
    if opener is None:
        return open(path, "rb")
    stream = tempfile.TemporaryFile(prefix="limner-")  # noqa: SIM115 - lives as long as the entries
    try:
        with opener(path) as packed:
            shutil.copyfileobj(packed, stream, 1 << 20)
        stream.seek(0)
    except (OSError, EOFError, lzma.LZMAError) as error:
        stream.close()
        raise _broken(path, error) from None
    return stream


def _whole(stream: IO[bytes], members: list[tarfile.TarInfo]) -> None:
    # tarfile takes the end of a cut file for the end of the archive
    end = stream.seek(0, io.SEEK_END)
    if any(member.offset_data + member.size > end for member in members):
        raise tarfile.ReadError("it is cut short")


class _Shared:
    """An open file that threads read from, closed when the last entry that needs it is gone."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.lock = stream, threading.Lock()
        weakref.finalize(self, stream.close)

    def part(self, offset: int, size: int) -> io.BytesIO:
        with self.lock:
            self.stream.seek(offset)
            return io.BytesIO(self.stream.read(size))


def _sorted(entries: Iterable[Entry]) -> list[Entry]:
    return sorted((e for e in entries if not ignored(e.path)), key=lambda entry: entry.path)


def _broken(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: a broken archive ({error}); make it again, or give the folder it was made from")
