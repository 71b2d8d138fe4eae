"""Ctrl-C, SIGTERM, a full pipe that closes, a full disk: the program as a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

SMALL = ["--recipe", "plain", "-o", "generator.width=8", "-o", "critic.width=8", "--batch", "16", "--device", "cpu"]


def start(root: Path, *arguments: object, out: int = subprocess.PIPE) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "limner.cli", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.PIPE, text=True)


def training(folder: Path) -> bool:
    """Whether steps are being taken after the first look."""
    journal = folder / "events.jsonl"
    return journal.exists() and journal.read_text().count('"Progress"') >= 2


def wait_for(process: subprocess.Popen[str], folder: Path) -> None:
    while not training(folder):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_ends_within_five_seconds(
    root: Path, blobs: Path, tmp_path: Path, number: int, code: int
) -> None:
    run = tmp_path / "run"
    process = start(root, "train", blobs, "--out", run, "--for", "2m", *SMALL)
    wait_for(process, run)
    told = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - told < 5
    assert process.returncode == code and "Traceback" not in err
    assert "--resume" in out
    newest = int((run / "latest").read_text())
    assert newest > 0 and (run / "checkpoints" / f"{newest:010d}").is_dir()


def test_a_reader_that_leaves_is_no_error(root: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    process = start(root, "list", out=theirs)
    os.close(theirs)
    assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which only Linux has")
def test_a_full_disk_is_one_line(root: Path) -> None:
    with open("/dev/full", "w") as full:
        process = start(root, "list", "Game", out=full.fileno())
        err = process.communicate(timeout=30)[1]
    assert process.returncode == 2
    assert err.count("\n") == 1 and "no space left" in err


@pytest.mark.slow
def test_two_processes_train_one_model(root: Path, blobs: Path, tmp_path: Path) -> None:
    process = start(root, "train", blobs, "--out", tmp_path / "run", "--images", "640", "--devices", 2, *SMALL)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert "model.safetensors" in out
    assert int((tmp_path / "run" / "latest").read_text()) == 640


@pytest.mark.slow
def test_two_machines_train_one_model(root: Path, blobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two launchers that meet at an address, as on two machines with a shared folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
        monkeypatch.setenv("MASTER_PORT", str(free.getsockname()[1]))
    line = ("train", blobs, "--out", tmp_path / "run", "--images", "640", "--nodes", 2, *SMALL)
    for process in [start(root, *line) for _ in range(2)]:
        _, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
    assert int((tmp_path / "run" / "latest").read_text()) == 640
