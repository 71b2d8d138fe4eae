"""kill -9 at random moments, in training and in saving: each run goes on and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from limner import likeness
from limner.core import store

DRIVER = Path(__file__).with_name("driver.py")
IMAGES = 240


class Sessions:
    """Training sessions in processes of their own, one at a time."""

    def __init__(self, root: Path) -> None:
        environment = os.environ | {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
        self.server = subprocess.Popen(
            [sys.executable, DRIVER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.server.stdout and self.server.stdout.readline() == "ready\n"

    def run(self, folder: Path, often: bool, kill_after: float = 60.0) -> int:
        """The wait status of one session, which is killed after some seconds if it has not ended."""
        assert self.server.stdin and self.server.stdout
        self.server.stdin.write(f"{folder} {int(often)} {IMAGES} {kill_after}\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def close(self) -> None:
        """End the server, which by now waits for its next line."""
        self.server.communicate(timeout=10)


@pytest.fixture(scope="module")
def sessions(root: Path) -> Iterator[Sessions]:
    made = Sessions(root)
    yield made
    made.close()


def final(folder: Path) -> dict[str, Any]:
    """The last state without its clocks."""
    tree = store.load_state(folder / "checkpoints" / (folder / "latest").read_text().strip())
    assert tree["nimg"] == IMAGES
    return {key: value for key, value in tree.items() if key not in ("seconds", "reserve", "looked", "history")}


def same(a: Any, b: Any) -> bool:
    """Equal to the last bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def kill_many(sessions: Sessions, tmp_path: Path, kills: int, often: bool, seed: int) -> None:
    """Run after run, killed at random moments until each has ended, until there were so many kills."""
    begun = time.monotonic()
    assert sessions.run(tmp_path / "whole", often) == 0
    whole, length = final(tmp_path / "whole"), time.monotonic() - begun
    rng, killed, runs = random.Random(seed), 0, 0
    while killed < kills:
        folder, runs = tmp_path / f"killed-{runs}", runs + 1
        # what stays even for a session is enough for some progress, so that this ends
        while (status := sessions.run(folder, often, rng.uniform(0.1, 0.7) * length)) != 0:
            assert status == signal.SIGKILL
            killed += 1
            check_folder(folder)
            if killed >= kills:
                assert sessions.run(folder, often) == 0
                break
        assert same(final(folder), whole), f"run {runs} differs after {killed} kills"
        check_end(folder, tmp_path / "whole", often)


def check_folder(folder: Path) -> None:
    """What a killed session leaves is whole: each checkpoint in place, the model file, the settings."""
    for checkpoint in (folder / "checkpoints").glob("[0-9]*"):
        store.load_state(checkpoint)
    if (folder / "model.safetensors").exists():
        likeness.load(folder)
    if (folder / "run.json").exists():
        json.loads((folder / "run.json").read_text())


def check_end(folder: Path, whole: Path, often: bool) -> None:
    """At the end nothing unfinished lies about; with equal looks, the best model is the same too."""
    assert not list(folder.rglob("*.part")) and len(list((folder / "checkpoints").iterdir())) <= 3
    if often:
        assert (folder / "best").read_text() == (whole / "best").read_text()
        ours, theirs = (store.load_model(f / "model.safetensors") for f in (folder, whole))
        assert same(ours[1], theirs[1])
        assert ours[0] | {"seconds": 0} == theirs[0] | {"seconds": 0}


@pytest.mark.parametrize("often", [False, True], ids=["training", "saving"])
def test_ten_kills(often: bool, sessions: Sessions, tmp_path: Path) -> None:
    kill_many(sessions, tmp_path, 10, often, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("often", [False, True], ids=["training", "saving"])
def test_a_hundred_kills(often: bool, sessions: Sessions, tmp_path: Path) -> None:
    kill_many(sessions, tmp_path, 100, often, seed=2)
