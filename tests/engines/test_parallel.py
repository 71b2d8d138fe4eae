"""Two processes with half a batch each = one with all of it; a killed one ends the other, and can be gone on from."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from limner.core import parallel, store
from limner.core.errors import UserError
from limner.train import State

PEER = Path(__file__).with_name("peer.py")
CASES = ("plain", "residual", "ada", "cycle", "began", "sorted", "fragments", "statistics")


def load_peer() -> Any:
    found = importlib.util.spec_from_file_location("limner_test_peer", PEER)
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def together(root: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Two processes on this machine, under torchrun."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", PEER, *arguments]
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=100)


@pytest.fixture(scope="module")
def folders(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """All cases by one process and by two."""
    alone, both = tmp_path_factory.mktemp("alone"), tmp_path_factory.mktemp("both")
    done = together(root, both, ",".join(CASES))
    assert done.returncode == 0, done.stderr
    peer = load_peer()
    for name in CASES:
        peer.work(alone, name)
    return alone, both


@pytest.mark.parametrize("name", CASES[:-1])
def test_two_processes_are_one_with_the_whole_batch(name: str, folders: tuple[Path, Path]) -> None:
    """Losses of every step, weights, averages and optimizers; R1, R2 and the gradient penalty go backward twice."""
    one, two = (store.load_state(folder / name) for folder in folders)
    assert [s.keys() for s in one["losses"]] == [s.keys() for s in two["losses"]] and len(one["losses"]) == 10
    for step, other in zip(one["losses"], two["losses"], strict=True):
        assert other == pytest.approx(step, rel=1e-4, abs=1e-5)
    for part in ("nets", "average"):
        for key, tensor in one[part].items():
            torch.testing.assert_close(two[part][key], tensor, rtol=1e-5, atol=1e-5)
    assert one["strength"] == two["strength"] and (name != "ada" or one["strength"] > 0)


def test_the_weights_moved(folders: tuple[Path, Path]) -> None:
    """The equality above is not that of two beginnings."""
    peer = load_peer()
    for name in CASES:
        start = State(peer.case(name), peer.CPU).nets.state_dict()
        end = store.load_state(folders[0] / name)["nets"]
        assert max(float((end[k].float() - start[k].float()).abs().max()) for k in end) > 1e-3


@pytest.mark.parametrize("name", CASES)
def test_all_processes_end_the_same(name: str, folders: tuple[Path, Path]) -> None:
    """Running statistics of batch norm too, which each process gathers over its own rows."""
    first, second = (json.loads((folders[1] / f"{name}.{rank}.json").read_text()) for rank in (0, 1))
    assert first == second


def test_a_killed_process_ends_the_other_which_leaves_a_whole_state(root: Path, tmp_path: Path) -> None:
    begun = time.monotonic()
    done = together(root, tmp_path, "plain", 112)
    assert done.returncode != 0
    assert time.monotonic() - begun < 60
    lines = [line for line in done.stderr.splitlines() if line.startswith("limner:")]
    assert lines == ["limner: another process of this training was lost; start them all again with --resume"]
    peer = load_peer()
    state = State(peer.case("plain"), peer.CPU)
    state.load(store.load_state(tmp_path / "plain"))
    assert state.nimg == 80 and state.finite()


def test_a_batch_that_does_not_divide_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "size", lambda: 3)
    with pytest.raises(UserError, match="batch of 64 does not divide among 3 processes; use -o batch=63"):
        parallel.rows(64)
