"""A disk that is full or read-only: one clear line, and going on later from the last checkpoint loses nothing."""

from __future__ import annotations

import errno
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from limner import likeness
from limner.core import store
from limner.core.errors import UserError
from limner.project import Project

GoOn = Callable[[Path, int], list[Any]]
Mount = Callable[[str], Path]


def assert_one_line(error: UserError, *words: str) -> None:
    assert "\n" not in str(error) and len(str(error)) < 300
    for word in words:
        assert word in str(error)


def newest(folder: Path) -> dict[str, Any]:
    return store.load_state(folder / "checkpoints" / (folder / "latest").read_text().strip())


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """The kernel refuses to let any file grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 3000, 12000])
def test_a_file_that_may_not_grow_ends_the_run_and_nothing_is_lost(
    size: int, run_folder: Path, go_on: GoOn, tmp_path: Path
) -> None:
    whole = Path(shutil.copytree(run_folder, tmp_path / "whole"))
    go_on(whole, 96)
    project = Project.open(run_folder)
    with no_file_beyond(size), pytest.raises(UserError) as caught:
        go_on(run_folder, 96)
    assert_one_line(caught.value, str(run_folder), "file too large")
    assert newest(run_folder)["nimg"] == 48
    assert Project.open(run_folder).settings == project.settings or size > 0
    likeness.load(run_folder)
    go_on(run_folder, 96)
    ours, theirs = newest(run_folder), newest(whole)
    assert ours["nimg"] == theirs["nimg"] == 96
    assert all(torch.equal(ours["nets"][k], theirs["nets"][k]) for k in theirs["nets"])
    assert not list(run_folder.rglob("*.part"))


def test_a_disk_that_fills_up(disk: Mount, run_folder: Path, go_on: GoOn) -> None:
    """Filled to the last byte while training goes on; then there is room again."""
    place = disk("size=2m") / "run"
    shutil.copytree(run_folder, place)
    ballast = place.parent / "ballast"
    with pytest.raises(OSError, match="No space left"), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"0" * 512)
    with pytest.raises(UserError) as caught:
        go_on(place, 96)
    assert_one_line(caught.value, str(place), "no space left on device", "make room")
    assert newest(place)["nimg"] == 48
    ballast.unlink()
    go_on(place, 96)
    assert newest(place)["nimg"] == 96


def test_a_disk_that_becomes_read_only(disk: Mount, run_folder: Path, go_on: GoOn) -> None:
    place = disk("size=4m") / "run"
    shutil.copytree(run_folder, place)
    subprocess.run(["mount", "-o", "remount,ro", str(place.parent)], check=True)
    with pytest.raises(UserError) as caught:
        go_on(place, 96)
    assert_one_line(caught.value, str(place), "read-only file system")
    assert newest(place)["nimg"] == 48


def test_a_new_run_where_nothing_can_be_written(disk: Mount, driver: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        Project.create(disk("ro") / "run", driver.settings(8))
    assert_one_line(caught.value, "read-only file system", "another --out")
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UserError) as caught:
            Project.create(place, driver.settings(8))
        assert_one_line(caught.value, str(place), "another --out")
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize("save", ["state", "model", "text"])
def test_a_write_that_fails_leaves_what_was_there(save: str, tmp_path: Path) -> None:
    tensors = {"a": torch.arange(4000.0)}
    writers: dict[str, Callable[[float], object]] = {
        "state": lambda k: store.save_state(tmp_path / "s", {"t": {n: t * k for n, t in tensors.items()}}),
        "model": lambda k: store.save_model(tmp_path / "m", {"k": k}, tensors),
        "text": lambda k: store.write_text(tmp_path / "t", str(k) * 3000),
    }
    readers: dict[str, Callable[[], object]] = {
        "state": lambda: store.load_state(tmp_path / "s")["t"]["a"][1].item(),
        "model": lambda: store.load_model(tmp_path / "m")[0]["k"],
        "text": lambda: float((tmp_path / "t").read_text()[:3]),
    }
    writers[save](2.0)
    with no_file_beyond(1000), pytest.raises(OSError) as caught:
        writers[save](3.0)
    assert caught.value.errno == errno.EFBIG
    assert readers[save]() == 2.0
    assert len(list(tmp_path.iterdir())) == 1
    writers[save](4.0)
    assert readers[save]() == 4.0
