"""`limner baseline`: a classical model as a file that the other verbs take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Limner = Callable[..., Any]
pytest.importorskip("sklearn")


def test_a_baseline_is_a_model_like_any_other(limner: Limner, tmp_path: Path) -> None:
    model, grid, array = (tmp_path / name for name in ("pca.safetensors", "grid.png", "some.npz"))
    fitted = limner("baseline", "PCA(components=8)", "digits", "--most", 500, "--labels", "--out", model, "--json")
    assert fitted.code == 0 and fitted.json["pictures"] == 500
    assert limner("sample", model, "-n", 8, "--label", "all", "--out", grid).code == 0 and grid.exists()
    assert limner("sample", model, "-n", 8, "--label", "3", "--out", array).code == 0
    assert np.load(array)["images"].shape == (8, 28, 28, 1)
    scored = limner("evaluate", model, "digits", "-n", 100, "--features", "random", "--json")
    assert scored.code == 0 and scored.json["scores"]


def test_the_same_seed_fits_the_same_model(limner: Limner, tmp_path: Path) -> None:
    import limner as library

    for name in ("one", "other"):
        limner(
            "baseline", "Mixture(3, 5)", "digits", "--most", 200, "--seed", 4, "--out", tmp_path / f"{name}.safetensors"
        )
    one, other = (library.load(tmp_path / f"{name}.safetensors") for name in ("one", "other"))
    np.testing.assert_array_equal(one.sample(8), other.sample(8))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["PCB", "digits"], "no Baseline 'PCB'; did you mean PCA?"),
        (["PCA(components=900)", "digits"], "28×28 grey has room for 1 to 783"),
        (["PCA", "digits", "--most", "40"], "64 components need more than 64 pictures, and there are 40"),
    ],
)
def test_mistakes_are_one_line(limner: Limner, tmp_path: Path, words: list[str], said: str) -> None:
    done = limner("baseline", *words, "--out", tmp_path / "x.safetensors")
    assert done.code == 2 and said in done.err
    assert not (tmp_path / "x.safetensors").exists()
