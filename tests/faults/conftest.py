"""A run folder of the driver's tiny run, and disks that refuse."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from limner.core.pace import Pace
from limner.project import Project
from limner.train import Budget


@pytest.fixture(scope="session")
def driver() -> Any:
    """The module whose tiny run the faults happen to."""
    found = importlib.util.spec_from_file_location("limner_test_driver", Path(__file__).with_name("driver.py"))
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def no_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing the curve takes longer than these runs; other tests do it."""
    monkeypatch.setattr("limner.project.draw_curve", lambda *_: None)


@pytest.fixture(scope="session")
def trained(driver: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 48 images, looked at after every step, to be copied."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pace, "due", lambda *_: True)
        patch.setattr("limner.project.draw_curve", lambda *_: None)
        list(Project.create(folder, driver.settings(48)).work(driver.pictures()))
    return folder


@pytest.fixture
def run_folder(trained: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage: checkpoints at 32, 48 and perhaps the best."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def go_on(driver: Any) -> Callable[[Path, int], list[Any]]:
    """Go on in a folder up to so many images; its events."""
    return lambda folder, images: list(Project.open(folder).extend(Budget(images=images)).work(driver.pictures()))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a disk of its own with some options. Skips where that is not allowed."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "limner-test", str(place)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("needs the right to mount a small disk")
        return place

    yield mount
    if os.path.ismount(place):
        subprocess.run(["umount", str(place)], check=True)
