"""`limner train` with two domains and `limner translate`, from end to end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from limner.core.pixels import save_png

Limner = Callable[..., Any]
SMALL = ["--images", 64, "--batch", 16, "--device", "cpu"]


@pytest.fixture(scope="module")
def domains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A/ dark with a bright corner, B/ the negatives in colour, of the same names."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("domains")
    for number in range(24):
        dark = rng.integers(0, 60, (8, 8, 1), dtype=np.uint8)
        dark[:4, : 2 + number % 5] += 150
        save_png(dark, path / "A" / f"{number:03d}.png")
        save_png(np.concatenate([255 - dark, 255 - dark, dark // 2], 2), path / "B" / f"{number:03d}.png")
    return path


def train(limner: Limner, out: Path, *arguments: object) -> Path:
    from limner.cli import run

    assert run(["train", *map(str, [*arguments, "--out", out, *SMALL])]) == 0
    return out


@pytest.fixture(scope="module")
def cycle(domains: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "cycle"
    return train(print, out, domains / "A", "--to", domains / "B", "--recipe", "cyclegan")


def test_translates_there_and_back(limner: Limner, domains: Path, cycle: Path, tmp_path: Path) -> None:
    assert (cycle / "preview.png").exists()
    said = limner("translate", cycle, domains / "A", "--out", tmp_path / "there", "--device", "cpu")
    assert said.code == 0, said.err
    assert sorted(p.name for p in (tmp_path / "there").iterdir()) == [f"{k:03d}.png" for k in range(24)]
    with Pillow.open(tmp_path / "there" / "000.png") as picture:
        assert picture.size == (8, 8) and picture.mode == "RGB"
    told = limner("translate", cycle, domains / "B", "--back", "--out", tmp_path / "sheet.png", "--json").json
    assert told == {"out": str(tmp_path / "sheet.png"), "n": 24, "back": True, "image": "8×8 colour"}
    with Pillow.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size[1] > sheet.size[0] * 0.7  # six rows of eight


def test_goes_on_where_it_stopped(limner: Limner, domains: Path, tmp_path: Path) -> None:
    run = train(limner, tmp_path / "run", domains, "--recipe", "cyclegan")
    again = limner("train", "--out", run, "--resume", "--images", 96, "--json")
    assert again.code == 0 and '"nimg": 96' in again.out
    other = limner("train", domains / "A", "--to", domains / "A", "--out", run, "--resume")
    assert other.code == 2 and "is not the data that" in other.err


def test_paired_takes_equal_names_and_has_one_way(limner: Limner, domains: Path, tmp_path: Path) -> None:
    run = train(limner, tmp_path / "run", domains, "--recipe", "paired", "-o", "translator=LightTranslator")
    assert limner("train", "--out", run, "--resume", "--images", 96).code == 0
    said = limner("translate", run, domains / "A", "--out", tmp_path / "made", "--back")
    assert said.code == 2 and "no translator for the way --back" in said.err
    assert limner("translate", run, domains / "A", "--out", tmp_path / "made").code == 0


def test_pictures_side_by_side(limner: Limner, tmp_path: Path) -> None:
    for number in range(12):
        save_png(np.random.default_rng(number).integers(0, 256, (8, 16, 3), np.uint8), tmp_path / "d" / f"{number}.png")
    run = train(limner, tmp_path / "run", tmp_path / "d", "--recipe", "paired")
    assert limner("train", "--out", run, "--resume", "--images", 96).code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["train", "{domains}/A", "--recipe", "cyclegan", "--out", "{tmp}/r"],
            "give DATA with two sub-folders, A/ and B/",
        ),
        (["train", "{domains}/A", "--recipe", "paired", "--out", "{tmp}/r"], "needs pictures and their answers"),
        (["train", "digits", "--recipe", "cyclegan", "--out", "{tmp}/r"], "10 classes; this recipe needs two folders"),
        (["train", "{domains}/A", "--to", "{domains}/B", "--out", "{tmp}/r"], "this recipe takes one folder"),
        (["train", "{domains}/A", "--to", "{tmp}/no", "--recipe", "cyclegan", "--out", "{tmp}/r"], "no such file"),
        (["translate", "{cycle}", "{domains}/A", "--out", "{tmp}/x.jpg"], "write FOLDER/ for single files"),
        (["translate", "{cycle}", "{tmp}/no", "--out", "{tmp}/x.png"], "no such file or folder"),
        (["sample", "{cycle}", "--out", "{tmp}/x.png"], "this model has no generator; it has translator"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], words: str, limner: Limner, domains: Path, cycle: Path, tmp_path: Path
) -> None:
    said = limner(*(a.format(domains=domains, tmp=tmp_path, cycle=cycle) for a in arguments))
    assert said.code == 2 and words in said.err
    assert len([line for line in said.err.splitlines() if line.startswith("limner:")]) == 1
    assert not (tmp_path / "r").exists()


def test_translate_wants_a_translator(limner: Limner, trained: Path, domains: Path, tmp_path: Path) -> None:
    said = limner("translate", trained, domains / "A", "--out", tmp_path / "x")
    assert said.code == 2 and "this model has no translator; it has generator, critic" in said.err
