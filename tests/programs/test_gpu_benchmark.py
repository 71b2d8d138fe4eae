"""`benchmarks/gpu.py` in little on a CPU, so that it works the first time a GPU is there."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
CPU = torch.device("cpu")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module; what it does to the process is undone."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    described = importlib.util.spec_from_file_location("gpu", SCRIPT)
    assert described is not None and described.loader is not None
    module = importlib.util.module_from_spec(described)
    monkeypatch.setitem(sys.modules, "gpu", module)
    described.loader.exec_module(module)
    return module


@pytest.mark.timeout(600)
def test_everything_in_little_from_a_bare_checkout(tmp_path: Path) -> None:
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), "--device", "cpu", "--tiny", "--out", "found"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=bare)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "found" / "results.json").read_text("utf-8"))
    parts = {part["part"]: part for part in found["parts"]}
    assert not [part for part in parts.values() if "error" in part or "skipped" in part]
    assert found["machine"]["device"] == "cpu" and "synthetic" in found["machine"]["data"]
    assert parts["check resume"]["exact"] and parts["check same as on cpu"]["largest difference"] == 0
    photos, climb, speed = parts["photos"], parts["climb"], parts["speed light 16"]
    assert photos["images"] > 0 and photos["images_a_second"] > 0
    kernel = photos["scores"]["kernel distance"]
    assert kernel["low"] <= kernel["value"] <= kernel["high"] and kernel["value"] > kernel["floor"]
    assert "Fréchet distance" in {*photos["scores"], *photos["withheld"]}
    assert climb["steps_a_second"] > 0 and climb["ratio"] > 0
    assert parts["alone photos 16"]["images_a_second"] > 0
    assert speed["ratio"] == pytest.approx(speed["limner"] / speed["textbook"])
    assert all(part["peak_mib"] > 50 for part in parts.values())
    sheet = np.asarray(Image.open(tmp_path / "found" / photos["grid"]))
    assert sheet.shape == (8 * 18 + 2, 8 * 18 + 2, 3) and sheet.std() > 1
    assert "| light | 16 | 8 |" in done.stdout and "| photos |" in done.stdout


def test_a_part_that_fails_is_written_down_and_the_next_begins(gpu: Any) -> None:
    def fails(seconds: float) -> dict[str, Any]:
        raise ValueError("as planned")

    parts = [gpu.Part("bad", 1.0, fails), gpu.Part("good", 3.0, lambda seconds: {"given": seconds})]
    bad, good = gpu.measured(parts, 8.0, CPU)
    assert bad["error"] == "ValueError: as planned" and "fails" in bad["where"]
    assert "error" not in good and 7.0 < good["given"] <= 8.0, "what the first one did not take is the second one's"
    assert "FAILED: ValueError: as planned" in gpu.line(bad)
    assert [found.get("skipped") for found in gpu.measured(parts, 0.0, CPU)] == ["no time was left"] * 2


def test_time_is_divided_by_weight(gpu: Any) -> None:
    parts = [gpu.Part(name, weight, lambda seconds: {"given": seconds}) for name, weight in (("a", 1.0), ("b", 3.0))]
    first, _ = gpu.measured(parts, 8.0, CPU)
    assert first["given"] == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--minutes", "0"], "--minutes 0"),
        (["--minutes", "soon"], "--minutes"),
        (["--device", "toaster"], "--device toaster"),
        (["--device", "meta"], "--device meta"),
        (["--device", "cpu", "--seed", "-1"], "--seed -1"),
        (["--device", "cpu", "--tiny", "--only", "tea"], "--only tea"),
        (["--device", "cpu", "--tiny", "--data", "nowhere.zip"], "nowhere.zip"),
        (["--device", "cpu", "--out", str(SCRIPT)], "is a file"),
        (["--tea"], "--tea"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_option_is_one_line(
    gpu: Any, options: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(gpu, options, monkeypatch) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


def test_a_missing_package_is_named(
    gpu: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "PIL" else there(name))
    assert exit_code(gpu, ["--device", "cpu", "--tiny"], monkeypatch) == 2
    assert capsys.readouterr().err == "error: pillow missing; type: python -m pip install pillow\n"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_one_line(gpu: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(gpu, [], monkeypatch) == 2
    assert "finds no such GPU" in capsys.readouterr().err


def exit_code(gpu: Any, options: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """How the script ends with these options."""
    monkeypatch.setattr(sys, "argv", ["gpu.py", *options])
    try:
        return gpu.main()
    except SystemExit as stop:
        assert isinstance(stop.code, int)
        return stop.code
