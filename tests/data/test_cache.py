"""The cache: whole or not there, never stale, never in the way."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.core.errors import UserError
from limner.data import gather as gathering
from limner.data.cache import fingerprint
from limner.data.gather import gather


@pytest.fixture
def folder(known: Any, tmp_path: Path) -> Path:
    return known.write(tmp_path / "pictures")


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were decoded, appended as it happens."""
    happened: list[str] = []
    real = gathering.decode

    def spy(entry: Any, *shape: Any, **how: Any) -> Any:
        happened.append(entry.path)
        return real(entry, *shape, **how)

    monkeypatch.setattr(gathering, "decode", spy)
    return happened


def entries(cache: Path) -> list[Path]:
    return [path for path in cache.iterdir() if not path.name.startswith(".")]


def test_the_second_time_nothing_is_decoded(folder: Path, decodings: list[str], own_cache: Path) -> None:
    first = gather(str(folder))
    assert len(decodings) == 12
    second = gather(str(folder))
    assert len(decodings) == 12
    assert np.array_equal(first.pixels, second.pixels) and isinstance(second.pixels, np.memmap)
    assert (first.fingerprint, first.names, first.notes, first.files) == (
        second.fingerprint, second.names, second.notes, second.files,
    )  # fmt: skip
    assert len(entries(own_cache)) == 1 and len(list(own_cache.iterdir())) == 1


def test_any_change_is_seen_and_the_old_state_forgotten(
    folder: Path, known: Any, decodings: list[str], own_cache: Path, put: Callable[..., Path]
) -> None:
    prints = {gather(str(folder)).fingerprint}
    put(folder / "0" / "000.png", known.pixels[5])
    prints.add(gather(str(folder)).fingerprint)
    put(folder / "0" / "new.png", known.pixels[6])
    prints.add(gather(str(folder)).fingerprint)
    (folder / "0" / "new.png").unlink()
    (folder / "2" / "008.png").rename(folder / "1" / "008.png")
    prints.add(gather(str(folder)).fingerprint)
    assert len(prints) == 4
    assert len(entries(own_cache)) == 1


def test_options_have_entries_of_their_own(folder: Path, own_cache: Path) -> None:
    shapes = [gather(str(folder), size=size, channels=c).pixels.shape for size in ((8, 8), (10, 14)) for c in (1, 3)]
    assert shapes == [(12, 8, 8, 1), (12, 8, 8, 3), (12, 10, 14, 1), (12, 10, 14, 3)]
    assert len(entries(own_cache)) == 4


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty facts", "half facts", "no labels", "no pixels"])
def test_a_damaged_entry_is_made_again(folder: Path, decodings: list[str], own_cache: Path, damage: str) -> None:
    expected = gather(str(folder)).pixels.copy()
    entry = entries(own_cache)[0]
    data = bytearray((entry / "pixels.npy").read_bytes())
    if damage == "truncate":
        (entry / "pixels.npy").write_bytes(data[:-100])
    elif damage == "flip":
        data[-1] ^= 1
        (entry / "pixels.npy").write_bytes(data)
    elif damage == "empty facts":
        (entry / "facts.json").write_text("")
    elif damage == "half facts":
        (entry / "facts.json").write_text(json.dumps({"names": ["0"]}))
    else:
        (entry / f"{damage.split()[1]}.npy").unlink()
    assert np.array_equal(gather(str(folder)).pixels, expected)
    assert len(decodings) == 24
    assert np.array_equal(gather(str(folder)).pixels, expected)
    assert len(decodings) == 24, "and is sound again"


def test_a_cache_that_cannot_be_written_is_replaced_and_said(folder: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    images = gather(str(folder), cache=blocked / "cache")
    assert len(images) == 12
    assert any("cannot be written to" in note and "LIMNER_CACHE" in note for note in images.notes)


def test_a_full_disk_is_one_line_and_leaves_nothing(
    folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(gathering.Writer, "add", full)
    with pytest.raises(UserError, match="no space for decoded pictures; set LIMNER_CACHE"):
        gather(str(folder))
    assert list(own_cache.iterdir()) == []


def test_an_interrupt_leaves_nothing(folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gathering.Writer, "add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        gather(str(folder))
    assert list(own_cache.iterdir()) == []


def test_images_outlive_the_entry_they_came_from(folder: Path, known: Any, own_cache: Path) -> None:
    images = gather(str(folder))
    shutil.rmtree(own_cache)
    assert np.array_equal(images.pixels, known.pixels)


def test_the_fingerprint_covers_everything(known: Any) -> None:
    pixels, labels, names = known.pixels, known.labels, known.names
    changed = pixels.copy()
    changed[-1, -1, -1, -1] ^= 1
    prints = {
        fingerprint(pixels, labels, names),
        fingerprint(changed, labels, names),
        fingerprint(pixels, labels[::-1], names),
        fingerprint(pixels, None, names),
        fingerprint(pixels, labels, ("0", "1", "3")),
        fingerprint(pixels.reshape(12, 14, 10, 3), labels, names),
    }
    assert len(prints) == 6


def test_progress_reaches_its_end(folder: Path) -> None:
    calls: list[tuple[int, int]] = []
    gather(str(folder), progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (12, 12) and calls == sorted(calls)


@pytest.mark.slow
def test_twenty_thousand_files_start_at_once_the_second_time(tmp_path: Path, put: Callable[..., Path]) -> None:
    import time

    for i in range(20_000):
        put(tmp_path / "d" / f"{i % 10}" / f"{i}.png", np.full((8, 8, 1), i % 256, np.uint8))
    gather(str(tmp_path / "d"))
    started = time.perf_counter()
    assert len(gather(str(tmp_path / "d"))) == 20_000
    assert time.perf_counter() - started < 2
