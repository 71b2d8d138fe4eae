"""`limner train --recipe restorer` and `limner restore`, from end to end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from limner.core.pixels import save_png

Limner = Callable[..., Any]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Colour ramps of two sizes, one with transparency."""
    path = tmp_path_factory.mktemp("photos")
    at = np.linspace(0, 255, 48)
    for number in range(6):
        ramp = np.stack([np.add.outer(at, k * at[::-1])[:24, : 24 + 8 * (number % 2)] / 3 for k in (0, 1, 2)], 2)
        pixels = ramp.astype(np.uint8)
        if number == 0:
            pixels = np.concatenate([pixels, np.full((*pixels.shape[:2], 1), 77, np.uint8)], 2)
        save_png(pixels, path / f"{number}.png")
    return path


@pytest.fixture(scope="module")
def restorer(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from limner.cli import run

    out = tmp_path_factory.mktemp("runs") / "restorer"
    words = [
        "train",
        photos,
        "--recipe",
        "restorer",
        "-o",
        "damage=Noise(Unknown(0.1, 0.3))",
        "--images",
        64,
        "--size",
        24,
    ]
    words += ["--channels", 3, "-o", "translator.width=8", "-o", "objective.crop=16", "--out", out, "--device", "cpu"]
    assert run([str(word) for word in words]) == 0
    return out


def test_restores_and_compares(limner: Limner, photos: Path, restorer: Path, tmp_path: Path) -> None:
    assert (restorer / "preview.png").exists()
    said = limner("restore", restorer, photos, "--simulate", "--out", tmp_path / "out", "--json")
    assert said.code == 0, said.err
    told = said.json
    assert told["n"] == 6 and {"PSNR", "SSIM", "seen PSNR", "seen SSIM"} <= told["mean"].keys()
    with Pillow.open(tmp_path / "out" / "0.png") as made, Pillow.open(tmp_path / "out" / "1.png") as wide:
        assert made.mode == "RGBA" and made.size == (24, 24) and wide.mode == "RGB" and wide.size == (32, 24)
        assert made.getchannel("A").getextrema() == (77, 77)
    assert (tmp_path / "out" / "0-seen.png").exists()
    plain = limner("restore", restorer, photos / "1.png", "--out", tmp_path / "plain")
    assert plain.code == 0 and sorted(p.name for p in (tmp_path / "plain").iterdir()) == ["1.png"]
    known = limner(
        "restore", restorer, photos / "1.png", "--truth", photos / "1.png", "--out", tmp_path / "k", "--json"
    )
    assert known.json["mean"]["seen PSNR"] == pytest.approx(100)


def test_untrained_and_a_sheet(limner: Limner, photos: Path, tmp_path: Path) -> None:
    said = limner("restore", "untrained", photos / "1.png", "--damage", "Mask(random=0.5)", "--simulate", "--keep",
                  "--steps", 5, "--out", tmp_path / "sheet.png", "--json")  # fmt: skip
    assert said.code == 0, said.err
    assert {"PSNR", "seen PSNR"} <= said.json["mean"].keys()
    assert (tmp_path / "sheet.png").exists()


def test_a_generator_gives_several_answers(limner: Limner, tmp_path: Path) -> None:
    from limner.cli import run

    assert run(["baseline", "PCA(components=5)", "digits", "--out", str(tmp_path / "pca.safetensors")]) == 0
    effort = ["--samples", 2, "--starts", 2, "--steps", 5, "--most", 2, "--split", "test"]
    said = limner("restore", tmp_path / "pca.safetensors", "digits", "--damage", "Noise(0.1) @ Mask(half=left)",
                  "--simulate", *effort, "--out", tmp_path / "out", "--json")  # fmt: skip
    assert said.code == 0, said.err
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"000000.png", "000000-2.png", "000000-uncertainty.png", "000000-seen.png"} <= names and len(names) == 8
    one = ["--damage", "Mask(half=left)", "--simulate", "--most", 1, "--samples", 1, "--split", "test", "--json"]
    errors = [
        limner("restore", tmp_path / "pca.safetensors", "digits", *one, "--halving", rate, "--out", tmp_path / rate)
        .json["mean"]["PSNR"]
        for rate in ("2", "none")
    ]  # fmt: skip
    assert errors[0] == pytest.approx(errors[1], abs=0.1), "one maximum, which every start reaches"


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["PICTURES", "--out", "x.jpg"], "write FOLDER/ for single files"),
        (["PICTURES", "--out", "x/", "--damage", "Nose(1)"], "did you mean Noise"),
        (["PICTURES", "--out", "x/", "--damage", "Mask('none.png')"], "there is no such file"),
        (["PICTURES", "--out", "x/", "--damage", "Project(5)"], "numbers, not"),
        (["PICTURES", "--out", "x/", "--damage", "Mask(half=middle)"], "there are bottom, left, right, top\n"),
        (["PICTURES", "--out", "x/", "--damage", "Grey"], "it is in colour and what this damage leaves is grey"),
        (["nowhere/", "--out", "x/"], "there is no such file"),
        (["PICTURES", "--out", "x/", "--simulate", "--truth", "y/"], "leave one of them out"),
        (["PICTURES", "--out", "x/", "--halving", "1"], "--halving: 1: of so many starts one goes on; give 2 or more"),
    ],
)
def test_mistakes_are_one_line(
    limner: Limner, photos: Path, restorer: Path, words: list[str], advice: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    said = limner("restore", restorer, *(str(photos) if word == "PICTURES" else word for word in words))
    assert said.code == 2 and advice in said.err
    assert len([line for line in said.err.splitlines() if line.startswith("limner:")]) == 1


def test_a_model_that_was_not_trained_to_restore_asks_what_happened(
    limner: Limner, photos: Path, tmp_path: Path
) -> None:
    assert limner("restore", "untrained", photos, "--out", tmp_path).code == 2


def test_a_model_that_has_no_generator_cannot_restore(limner: Limner, tmp_path: Path) -> None:
    made = limner("train", "digits", "--recipe", "logistic", "--images", 64, "--out", tmp_path / "l", "--device", "cpu")
    assert made.code == 0, made.err
    said = limner("restore", tmp_path / "l", "digits", "--damage", "Noise(0.1)", "--simulate", "--out", tmp_path / "o")
    assert said.code == 2 and "has no generator to restore with, only critic" in said.err
    assert "--space" not in said.err and said.err.count("\n") == 1 and not (tmp_path / "o").exists()


def test_pictures_of_another_size_are_fitted(limner: Limner, tmp_path: Path) -> None:
    """Tiles keep the picture's size, pads and crops say what the model shows; a restorer needs none of it."""
    made = limner("train", "digits", "--out", tmp_path / "run", "--recipe", "plain", "--images", 64, "--device", "cpu")
    assert made.code == 0, made.err
    ramp = np.tile(np.linspace(0, 255, 50).astype(np.uint8)[None, :, None], (40, 1, 1))
    save_png(ramp, tmp_path / "in" / "a.png")
    words = ["restore", tmp_path / "run", tmp_path / "in", "--simulate", "--damage", "Mask(random=0.3)", "--split",
             "train", "--samples", 2, "--starts", 2, "--steps", 2, "--device", "cpu"]  # fmt: skip
    refused = limner(*words, "--out", tmp_path / "no")
    assert refused.code == 2 and "--fit crop, pad or tile" in refused.err and not (tmp_path / "no").exists()
    save_png(ramp[:28, :28].repeat(3, axis=2), tmp_path / "colour" / "a.png")
    refused = limner(*words[:2], tmp_path / "colour", *words[3:], "--out", tmp_path / "no")
    assert "is in colour and this model is grey; give --fit crop" in refused.err and not (tmp_path / "no").exists()
    for fit, size in (("tile", (50, 40)), ("pad", (28, 22)), ("crop", (28, 28))):
        said = limner(*words, "--fit", fit, "--keep", "--json", "--out", tmp_path / fit)
        assert said.code == 0, said.err
        with Pillow.open(tmp_path / fit / "a.png") as picture:
            assert picture.size == size
            restored = np.asarray(picture, int)
        with Pillow.open(tmp_path / fit / "a-seen.png") as picture:
            share = np.isin(np.asarray(picture), (70, 150)).mean()
            assert picture.size == size and (0.02 if fit == "tile" else 0.2) < share < 0.45, "what is missing shows"
        if fit == "tile":
            near = np.abs(restored - ramp[:, :, 0]) <= 1
            assert 0.4 < near.mean() < 0.9, "seven in ten are measured and kept, fewer where tiles are blended"
    refused = limner("restore", "untrained", tmp_path / "in", "--damage", "Noise(0.1)", "--fit", "pad", "--out", "x")
    assert refused.code == 2 and "leave --fit out" in refused.err
