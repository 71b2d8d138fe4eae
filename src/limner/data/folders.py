"""Every file of a folder, however deep, in a fixed order. Linked folders are followed, each once."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from limner.data.images import Trouble
from limner.data.items import Entry, ignored


def walk(folder: Path) -> tuple[list[Entry], list[Trouble]]:
    """The folder's files without hidden ones, sorted by path, and the sub-folders and files that cannot be read."""
    entries: list[Entry] = []
    troubles: list[Trouble] = []
    visited: set[str] = set()
    pending = [""]
    while pending:
        inside = pending.pop()
        here = os.path.join(folder, inside)
        if os.path.realpath(here) in visited:
            continue
        visited.add(os.path.realpath(here))
        try:
            children = sorted(os.scandir(here), key=lambda child: child.name)
        except OSError as error:
            troubles.append(Trouble(inside or str(folder), f"cannot be opened: {error.strerror}"))
            continue
        for child in children:
            path = f"{inside}/{child.name}" if inside else child.name
            if ignored(child.name):
                continue
            if child.is_dir():
                pending.append(path)
            else:
                _add(child, path, entries, troubles)
    return sorted(entries, key=lambda entry: entry.path), troubles


def _add(child: os.DirEntry[str], path: str, entries: list[Entry], troubles: list[Trouble]) -> None:
    try:
        facts = child.stat()
    except OSError as error:
        troubles.append(Trouble(path, f"cannot be read: {error.strerror}"))
        return
    if child.is_file():
        entries.append(Entry(path, facts.st_size, partial(open, child.path, "rb"), facts.st_mtime_ns))
