"""Labels on the command line: numbers asked for, few of them kept, and what is said where there are none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.core.pixels import save_png

Limner = Callable[..., Any]
SMALL = ["--images", "128", "--device", "cpu", "--batch", "32"]


@pytest.fixture
def lamps(tmp_path: Path) -> Path:
    """Grey squares, told how bright they are (0 to 200) and whether their upper half is dark."""
    rng = np.random.default_rng(0)
    lines = ["file_name,bright,capped"]
    for number in range(64):
        bright, capped = int(rng.integers(0, 201)), number % 2
        pixels = np.full((8, 8, 1), bright, np.uint8)
        pixels[: 4 * capped] = 0
        save_png(pixels, tmp_path / "lamps" / f"{number}.png")
        lines.append(f"{number}.png,{bright},{capped if number % 8 else ''}")
    (tmp_path / "lamps" / "metadata.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "lamps"


def test_numbers_from_a_table_to_samples(limner: Limner, lamps: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    looked = limner("check", lamps, "--device", "cpu")
    assert looked.code == 0 and "numbers, known of: bright × 64, capped × 56" in looked.out
    said = limner("train", lamps, "--out", run, "--recipe", "conditional", *SMALL, "-o", "critic.by=concatenation")
    assert said.code == 0 and "labels are the numbers bright, capped" in said.err
    settings = json.loads((run / "run.json").read_text())
    assert settings["run"]["nets"]["generator"]["classes"] == 2 and len(settings["counts"]) == 64
    assert limner("train", "--out", run, "--resume", "--images", "192").code == 0
    asked = limner("sample", run, "--label", "bright=0.5,capped=1", "-n", "5", "--out", tmp_path / "x.npz")
    assert asked.code == 0
    with np.load(tmp_path / "x.npz") as drawn:
        assert drawn["numbers"].tolist() == [[0.5, 1.0]] * 5 and drawn["names"].tolist() == ["bright", "capped"]
    assert limner("sample", run, "--label", "all", "-n", "4", "--out", tmp_path / "sheet.png").code == 0
    assert limner("sample", run, "-n", "4", "--out", tmp_path / "single", "--walk", tmp_path / "w.gif").code == 0
    assert len(list((tmp_path / "single").glob("*.png"))) == 4
    wrong = limner("sample", run, "--label", "brihgt=1", "--out", tmp_path / "y.png")
    assert wrong.code == 2 and "did you mean bright" in wrong.err


@pytest.mark.parametrize("recipe", ["conditional", "acgan", "semisupervised", "supervised"])
def test_a_recipe_that_needs_labels_says_so_and_leaves_no_run(limner: Limner, tmp_path: Path, recipe: str) -> None:
    for number in range(4):
        save_png(np.full((8, 8, 1), 50 * number, np.uint8), tmp_path / "plain" / f"{number}.png")
    said = limner("train", tmp_path / "plain", "--out", tmp_path / "run", "--recipe", recipe, *SMALL)
    assert said.code == 2 and "needs labels" in said.err and "one folder a class" in said.err
    assert not (tmp_path / "run").exists()


def test_a_classifier_from_few_labels(limner: Limner, blobs: Path, tmp_path: Path) -> None:
    from limner.data.gather import gather
    from limner.likeness import load

    for recipe in ("semisupervised", "supervised"):
        run = tmp_path / recipe
        said = limner(
            "train", blobs, "--out", run, "--recipe", recipe, *SMALL, "-o", "labels=2", "-o", "critic.width=8"
        )
        assert said.code == 0
        p = load(run).classify(gather(str(blobs)).pixels)
        assert p.shape == (96, 2) and np.allclose(p.sum(1), 1, atol=1e-5)
    said = limner("sample", tmp_path / "supervised", "--out", tmp_path / "x.png")
    assert said.code == 2 and "no generator" in said.err
