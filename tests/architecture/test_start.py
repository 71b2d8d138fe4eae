"""Starting is instant: nothing heavy is loaded before it is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "numpy", "scipy", "matplotlib", "PIL", "rich")
VERBS = ("check", "train", "tune", "sample", "dream", "invert", "restore", "translate")
VERBS += ("evaluate", "baseline", "verify", "list")


def children_seconds() -> float:
    """Computing time of ended child processes: what waiting is on an idle machine, however busy this one is."""
    times = os.times()
    return times.children_user + times.children_system


def python(root: Path, code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    path = {"PYTHONPATH": str(root / "src"), "PATH": "", "LANG": "C.UTF-8"}
    return subprocess.run(command, env=path, capture_output=True, text=True, timeout=60, check=True)


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_is_quick_and_loads_nothing_heavy(root: Path, verb: str) -> None:
    code = (
        f"import sys; from limner.cli import run; assert run([*{verb!r}.split(), '--help']) == 0;"
        f"print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    seconds: list[float] = []
    while len(seconds) < 5 and min(seconds, default=1) > 0.3:
        before = children_seconds()
        done = python(root, code)
        seconds.append(children_seconds() - before)
    assert done.stderr.strip() == "[]"
    assert "Usage: limner" in done.stdout
    assert verb == "" or "Examples:" in done.stdout
    assert min(seconds) < 0.3


def test_importing_limner_does_not_load_torch(root: Path) -> None:
    done = python(root, f"import sys, limner; print([m for m in {HEAVY} if m in sys.modules])")
    assert done.stdout.strip() == "[]"


def test_public_names_arrive_when_asked_for() -> None:
    import limner

    assert limner.build({"is": "Gaussian", "dim": 3}, type(limner.build("Gaussian", _latent()))).dim == 3
    with pytest.raises(AttributeError, match="there are"):
        limner.bulid  # noqa: B018
    assert dir(limner) == limner.__all__


def _latent() -> type:
    from limner.core.latent import Latent

    return Latent
