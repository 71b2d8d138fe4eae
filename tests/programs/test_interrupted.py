"""Ctrl-C in the middle of long work: what is finished is kept, nothing is half-written; and blocks change nothing."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from limner.core.pixels import save_png

Limner = Callable[..., Any]
CPU = ["--device", "cpu"]


def interrupted_at(monkeypatch: pytest.MonkeyPatch, module: str, name: str, call: int) -> None:
    """Ctrl-C comes as a function is called for the n-th time."""
    place = import_module(module)
    true, calls = getattr(place, name), [0]

    def wrapped(*arguments: Any, **more: Any) -> Any:
        calls[0] += 1
        if calls[0] == call:
            raise KeyboardInterrupt
        return true(*arguments, **more)

    monkeypatch.setattr(place, name, wrapped)


def test_inverting_goes_by_blocks_and_keeps_the_finished(
    limner: Limner, trained: Path, blobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["invert", trained, blobs, "-n", 5, "--starts", 2, "--steps", 8, "--controls", 2, *CPU, "--out"]
    assert limner(*given, tmp_path / "whole").code == 0
    monkeypatch.setattr(import_module("limner.cli.climbing"), "BLOCK", 2)
    assert limner(*given, tmp_path / "blocks").code == 0
    whole, blocks = (load_file(tmp_path / name / "codes.safetensors") for name in ("whole", "blocks"))
    np.testing.assert_allclose(blocks["codes"], whole["codes"], atol=1e-3)
    interrupted_at(monkeypatch, "limner.explore.invert", "invert", 3)
    said = limner(*given, tmp_path / "part")
    assert said.code == 130 and "4 of 5" in said.err
    part = load_file(tmp_path / "part" / "codes.safetensors")
    np.testing.assert_allclose(part["codes"], blocks["codes"][:4])
    counts = [len(list((tmp_path / name / "made").rglob("*.png"))) for name in ("whole", "part")]
    assert counts == [5, 4] and not list(tmp_path.rglob("*.part"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three grey pictures; the last is larger."""
    for number, side in enumerate((20, 20, 24)):
        save_png(np.full((side, 20, 1), 60 * number, np.uint8), tmp_path / "photos" / f"{number}.png")
    return tmp_path / "photos"


def test_restoring_keeps_the_finished(
    limner: Limner, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted_at(monkeypatch, "limner.restoring.untrained", "Decoder", 3)
    words = ["restore", "untrained", photos, "--damage", "Mask(random=0.3)", "--steps", 4, "--out", tmp_path / "out"]
    assert limner(*words, *CPU).code == 130
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "1.png"]


def test_a_picture_cut_off_while_it_is_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import PIL.Image

    def cut_off(picture: Any, file: Path, *more: Any, **options: Any) -> None:
        Path(file).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(PIL.Image.Image, "save", cut_off)
    with pytest.raises(KeyboardInterrupt):
        save_png(np.zeros((4, 4, 1), np.uint8), tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("which", ["mask", "header"])
def test_the_last_picture_is_looked_at_before_the_first_is_restored(
    limner: Limner, photos: Path, tmp_path: Path, which: str
) -> None:
    save_png(np.full((20, 20, 1), 255, np.uint8), tmp_path / "m.png")
    if which == "header":
        (photos / "2.png").write_bytes(b"no picture")
    damage = f"Mask('{tmp_path / 'm.png'}')" if which == "mask" else "Mask(random=0.3)"
    words = ["restore", "untrained", photos, "--damage", damage, "--steps", 2, "--out", tmp_path / "out"]
    said = limner(*words, *CPU)
    assert said.code == 2 and "2.png" in said.err and len(said.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
