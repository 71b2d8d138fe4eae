"""The command line in process: what it prints, where, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.cli import run


@dataclass(frozen=True)
class Said:
    """One call of the program."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The last line of stdout; every line must be JSON."""
        return [json.loads(line) for line in self.out.splitlines()][-1]


Limner = Callable[..., Said]


@pytest.fixture
def limner(capfd: pytest.CaptureFixture[str]) -> Limner:
    """`limner("list", "R1")` as on the command line."""

    def call(*arguments: object) -> Said:
        capfd.readouterr()
        code = run([str(a) for a in arguments])
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return Said(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96 pictures of 8×8, a bright corner a class: `rose` is top left, `iris` bottom right."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 60, (96, 8, 8), dtype=np.uint8)
    images[:48, :4, :4] += 150
    images[48:, 4:, 4:] += 150
    path = tmp_path_factory.mktemp("data") / "blobs"
    for number, image in enumerate(images):
        from limner.core.pixels import save_png

        save_png(image[:, :, None], path / ("rose" if number < 48 else "iris") / f"{number:03d}.png")
    return path


@pytest.fixture(scope="session")
def trained(blobs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of a short training on the blobs."""
    folder = tmp_path_factory.mktemp("runs") / "blobs"
    small = ["--recipe", "plain", "-o", "generator.width=16", "-o", "critic.width=16", "--batch", "32"]
    assert run(["train", str(blobs), "--out", str(folder), "--images", "640", "--device", "cpu", *small]) == 0
    return folder
