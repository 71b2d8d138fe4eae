"""`limner dream`, `limner invert` and `limner sample --refine`, from end to end."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from safetensors.torch import load_file

Limner = Callable[..., Any]
CPU = ["--device", "cpu"]


@pytest.fixture(scope="session")
def logistic(blobs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from limner.cli import run

    out = tmp_path_factory.mktemp("runs") / "logistic"
    assert run(["train", str(blobs), "--out", str(out), "--recipe", "logistic", "--images", "1280", *CPU]) == 0
    return out


def test_dreams_in_codes_and_films_it(limner: Limner, trained: Path, tmp_path: Path) -> None:
    paths = {name: tmp_path / "new" / f"x{name}" for name in (".png", ".gif", ".chart.png", ".safetensors")}
    given = ["--goal", "Plausible + 0.1*Diverse", "--starts", 9, "--steps", 6, "--out", paths[".png"], *CPU]
    more = ["--film", paths[".gif"], "--chart", paths[".chart.png"], "--codes", paths[".safetensors"]]
    said = limner("dream", trained, *given, *more)
    assert said.code == 0, said.err
    assert "won in" in said.out and "Plausible" in said.out
    with Pillow.open(paths[".gif"]) as film:
        assert film.n_frames == 7
    with Pillow.open(paths[".png"]) as grid:
        assert grid.size[0] == grid.size[1] >= 500
    assert load_file(paths[".safetensors"])["codes"].shape[0] == 9
    told = limner("dream", trained, *given, "--json", "--label", "rose").json
    assert (
        max(told["best"]) > max(told["start"]) and told["steps"] == 6 and {"Plausible", "Diverse"} == set(told["parts"])
    )


def test_dreams_in_pixels_of_a_logistic_regression(limner: Limner, logistic: Path, tmp_path: Path) -> None:
    out = tmp_path / "rose.png"
    given = ["--space", "pixels", "--starts", 1, "--steps", 30, "--out", out, "--json", *CPU]
    said = limner("dream", logistic, "--goal", "Class(rose)", *given)
    assert said.code == 0, said.err
    with Pillow.open(out) as found:
        picture = found.convert("F").resize((2, 2))
    assert picture.getpixel((0, 0)) > picture.getpixel((1, 1)) + 30  # roses are bright above left
    smooth = limner("dream", logistic, "--goal", "Class(rose) + 5*Smooth", *given).json
    assert smooth["parts"]["Smooth"] > -0.5


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--goal", "Class(daisy)"], "no class 'daisy'"),
        (["--goal", "Plausable"], "did you mean Plausible"),
        (["--goal", "Smooth", "--optimizer", "Adamm"], "did you mean Adam"),
        (["--goal", "Smooth", "--rate", "0"], "above 0"),
        (["--goal", "Smooth", "--space", "w"], "no styles"),
        (["--goal", "Smooth", "--space", "v"], "there are z"),
        (["--goal", "Smooth", "--film", "x.mp4"], "--film x.gif"),
        (["--goal", "Diverse", "--starts", "1"], "two or more"),
        (["--goal", "Smooth", "--label", "daisy"], "no label 'daisy'"),
    ],
)
def test_mistakes_are_one_line(limner: Limner, trained: Path, tmp_path: Path, words: list[str], says: str) -> None:
    said = limner("dream", trained, "--steps", 2, "--out", tmp_path / "x.png", *CPU, *words)
    assert said.code == 2 and says in said.err and said.err.count("\n") == 1, said.err


def test_a_critic_alone_has_no_codes(limner: Limner, logistic: Path, tmp_path: Path) -> None:
    said = limner("dream", logistic, "--goal", "Class(rose)", "--out", tmp_path / "x.png", *CPU)
    assert said.code == 2 and "--space pixels" in said.err


def test_inverts_and_says_how_well(limner: Limner, trained: Path, blobs: Path, tmp_path: Path) -> None:
    out = tmp_path / "codes"
    given = [trained, blobs, "--out", out, "-n", 5, "--starts", 2, "--steps", 20, "--controls", 4, *CPU]
    said = limner("invert", *given, "--tune", 5)
    assert said.code == 0, said.err
    assert "representation floor" in said.out and "optimisation gap" in said.out and "did not reach" in said.out
    codes = load_file(out / "codes.safetensors")
    assert len(codes["codes"]) == 5
    with (out / "errors.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(r["error"]) for r in rows] == pytest.approx(codes["errors"].tolist(), rel=1e-4)
    import limner as package

    assert len(package.load(out / "model.safetensors").sample(2)) == 2
    told = limner("invert", *given, "--json").json
    assert told["n"] == 5 and 0 <= told["floor"] <= told["error"] and len(told["errors"]) == 5
    said = limner("invert", trained, blobs, "--out", tmp_path / "x.png", *CPU)
    assert said.code == 2 and "folder" in said.err
    said = limner("invert", trained, blobs, "--out", tmp_path / "x", "--start", "encoder", *CPU)
    assert said.code == 2 and "no encoder" in said.err


def test_refines_rejects_and_measures(limner: Limner, trained: Path, blobs: Path, tmp_path: Path) -> None:
    given = ["sample", trained, "-n", 32, "--out", tmp_path / "x.png", *CPU]
    told = limner(*given, "--refine", 4, "--against", blobs, "--features", "random", "--json")
    assert told.code == 0, told.err
    found = told.json["refined"]
    # 32 pictures are too few for a Fréchet distance of 272 features
    assert set(found["scores"]) == {"KernelDistance", "Precision", "Recall"} and "helped" in found
    said = limner(*given, "--refine", 2)
    assert said.code == 0 and "--against" in said.err and "critic's logit" in said.out
    said = limner(*given, "--reject")
    assert said.code == 0 and "kept" in said.out, said.err
    few = limner("sample", trained, "-n", 2, "--out", tmp_path / "few.png", "--reject", *CPU)
    assert few.code == 0, "the first block only says what is usual, so two samples need more than their own tries"
    for wrong in (["--refine", 2, "--reject"], ["--against", blobs], ["--refine", 2, "--rate", 0]):
        assert limner(*given, *wrong).code == 2
