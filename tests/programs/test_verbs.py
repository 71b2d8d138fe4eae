"""check, train, sample and evaluate on a small data set, from end to end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from limner.core.pixels import save_png
from limner.likeness import load

Limner = Callable[..., Any]


def picture(path: Path) -> np.ndarray:
    with Pillow.open(path) as opened:
        return np.asarray(opened)


def test_check_says_what_is_there_and_what_is_wrong(limner: Limner, blobs: Path, tmp_path: Path) -> None:
    data = tmp_path / "odd"
    for file in (blobs / "rose").iterdir():
        (data / "rose").mkdir(parents=True, exist_ok=True)
        (data / "rose" / file.name).write_bytes(file.read_bytes())
    (data / "rose" / "again.png").write_bytes((blobs / "rose" / "000.png").read_bytes())
    (data / "rose" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    said = limner("check", data, "--out", tmp_path / "sheet.png", "--device", "cpu")
    assert said.code == 0
    assert "49 usable, 1 not" in said.out
    assert "broken.png" in said.out
    assert "1 in 1 groups" in said.out and "again.png" in said.out
    assert "images/s on cpu" in said.out
    assert picture(tmp_path / "sheet.png").shape[1] > 100

    found = limner("check", data, "--json", "--device", "cpu").json
    assert found["count"] == 49
    assert found["image"] == {"channels": 1, "height": 8, "width": 8}
    assert [Path(t["file"]).name for t in found["troubles"]] == ["broken.png"]
    assert found["train"]["images_per_second"] > 0


def test_train_leaves_a_whole_run(limner: Limner, trained: Path) -> None:
    names = {p.name for p in trained.iterdir()}
    assert {"run.json", "events.jsonl", "preview.png", "curve.png", "model.safetensors", "latest", "best"} <= names
    settings = json.loads((trained / "run.json").read_text())
    assert settings["names"] == ["iris", "rose"] and settings["counts"] == [48, 48]
    assert settings["run"]["nets"]["generator"]["width"] == 16 and settings["run"]["batch"] == 32
    events = [json.loads(line) for line in (trained / "events.jsonl").read_text().splitlines()]
    assert events[-1]["event"] == "Finished" and events[-1]["nimg"] == 640


def test_train_refuses_to_write_over_a_run(limner: Limner, blobs: Path, trained: Path) -> None:
    before = (trained / "run.json").read_bytes()
    said = limner("train", blobs, "--out", trained)
    assert said.code == 2 and "--resume" in said.err
    assert (trained / "run.json").read_bytes() == before


def test_resume_goes_on_from_where_it_stopped(limner: Limner, blobs: Path, tmp_path: Path) -> None:
    small = ["--recipe", "plain", "-o", "generator.width=8", "-o", "critic.width=8", "--batch", "16", "--device", "cpu"]
    first = limner("train", blobs, "--out", tmp_path / "run", "--images", "64", "--json", *small)
    assert first.code == 0
    again = limner("train", "--out", tmp_path / "run", "--resume", "--images", "128", "--json")
    assert again.code == 0
    steps = [json.loads(line) for line in again.out.splitlines()]
    assert all(step["nimg"] >= 64 for step in steps if "nimg" in step)
    assert [s["nimg"] for s in steps if s.get("event") == "Finished"] == [128]
    changed = limner("train", "--out", tmp_path / "run", "--resume", "-o", "batch=8")
    assert changed.code == 2 and "-o batch=8" in changed.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere/", "--out", "{tmp}/r"], "nowhere"),
        (["{blobs}", "--out", "{tmp}/r", "--recipe", "texbook"], "did you mean textbook?"),
        (["{blobs}", "--out", "{tmp}/r", "-o", "bacth=3"], "did you mean batch?"),
        (["{blobs}", "--out", "{tmp}/r", "-o", "batch"], "-o batch=64"),
        (["{blobs}", "--out", "{tmp}/r", "-o", "objective.game=Hing"], "did you mean Hinge?"),
        (["{blobs}", "--out", "{tmp}/r", "-o", "batch=0"], "use -o batch=64"),
        (["{blobs}", "--out", "{tmp}/r", "-o", "players.critic.steps=0"], "steps must be 1 or more"),
        (["{blobs}", "--out", "{tmp}/r", "-o", "players.critic.clip_norm=-1"], "clips above 0 or none"),
        (["{blobs}", "--out", "{tmp}/r", "--seed", "-1"], "--seed"),
        (["{blobs}", "--out", "{tmp}/r", "--recipe", "vae", "-o", "objective.samples=0"], "-o objective.samples=1"),
        (["{blobs}", "--out", "{tmp}/r", "-o", "lr=-1"], "players.generator.optimizer: invalid learning rate: -1"),
        (["{blobs}", "--out", "{tmp}/r", "-o", "generator.width=0"], "no LightGenerator can be made with"),
        (["{blobs}", "--out", "{tmp}/r", "-o", "generator.latent=Gaussian(0)"], "a dim of 1 or more"),
        (["{blobs}", "--out", "{tmp}/r", "-o", "objective.penalties=[WeightClip(-1)]"], "a limit above 0"),
        (["{blobs}", "--out", "{tmp}/r", "-o", "objective.penalties=[SelfReconstruction]"], "-o critic=SmallCritic"),
        (["{blobs}", "--out", "{tmp}/r", "--split", "dev"], "split"),
        (["--out", "{tmp}/r"], "give DATA"),
        (["--out", "{tmp}/r", "--resume"], "holds no run"),
    ],
)
def test_train_mistakes(limner: Limner, blobs: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    said = limner("train", *(a.format(blobs=blobs, tmp=tmp_path) for a in arguments), "--device", "cpu")
    lines = [line for line in said.err.splitlines() if line.startswith("limner: ")]
    assert said.code == 2 and said.out == "" and len(lines) == 1
    assert words in lines[0]
    assert not (tmp_path / "r").exists(), "nothing half-written"


def test_a_model_that_was_kept_untrained_is_said_to_be(limner: Limner, blobs: Path, tmp_path: Path) -> None:
    tiny = ["--recipe", "plain", "-o", "generator.width=8", "-o", "critic.width=8", "--batch", "16", "--images", "64"]
    blown = limner("train", blobs, "--out", tmp_path / "blown", *tiny, "-o", "lr=10", "--device", "cpu")
    assert blown.code == 0 and "untrained networks, so the model file holds those" in blown.err
    last = limner(
        "train", blobs, "--out", tmp_path / "last", *tiny, "-o", "lr=10", "-o", "keep=last", "--device", "cpu"
    )
    assert last.code == 0 and "untrained" not in last.err


def test_three_pictures_are_too_few(limner: Limner, blobs: Path, tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    for k in range(3):
        (tmp_path / "few" / f"{k}.png").write_bytes((blobs / "rose" / f"00{k}.png").read_bytes())
    said = limner("train", tmp_path / "few", "--out", tmp_path / "r")
    assert said.code == 2 and "training needs 4 or more" in said.err
    assert "refuse: 3 are too few" in limner("check", tmp_path / "few").out
    assert not (tmp_path / "r").exists()


def test_sample_as_grid_array_and_folder(limner: Limner, trained: Path, tmp_path: Path) -> None:
    grid, array, folder = tmp_path / "grid.png", tmp_path / "x.npz", tmp_path / "files"
    for out in (grid, array, folder):
        said = limner("sample", trained, "-n", 6, "--seed", 3, "--out", out)
        assert said.code == 0 and said.out.strip() == str(out)
    with np.load(array) as opened:
        kept = dict(opened)
    assert kept["images"].shape == (6, 8, 8, 1) and kept["images"].dtype == np.uint8
    assert list(kept["names"]) == ["iris", "rose"] and kept["labels"].shape == (6,)
    for number, (image, label) in enumerate(zip(kept["images"], kept["labels"], strict=True)):
        file = folder / str(kept["names"][label]) / f"{number:06d}.png"
        assert np.array_equal(picture(file), image[:, :, 0])
    factor = 512 // 32  # three columns of 8 pixels and four gaps of 2
    sheet = picture(grid)
    assert sheet.shape == (22 * factor, 32 * factor)
    first = slice(2 * factor, 10 * factor, factor)
    assert np.array_equal(sheet[first, first], kept["images"][0, :, :, 0])


def test_same_seed_same_pictures_and_labels_by_name(limner: Limner, trained: Path, tmp_path: Path) -> None:
    def draw(*more: object) -> np.ndarray:
        assert limner("sample", trained / "model.safetensors", "-n", 5, "--out", tmp_path / "x.npz", *more).code == 0
        with np.load(tmp_path / "x.npz") as kept:
            return kept["images"]

    assert np.array_equal(draw("--seed", 1), draw("--seed", 1))
    assert not np.array_equal(draw("--seed", 1), draw("--seed", 2))
    assert np.array_equal(draw("--label", "rose"), draw("--label", 1))
    assert not np.array_equal(draw("--label", "rose"), draw("--label", "iris"))
    spread = [float(draw("--truncation", t, "--label", "rose").astype(float).std(0).mean()) for t in (0, 0.5, 1)]
    assert spread[0] == 0 and spread[0] < spread[1] < spread[2]


def test_walk_is_a_closed_moving_picture(limner: Limner, trained: Path, tmp_path: Path) -> None:
    assert limner("sample", trained, "--walk", tmp_path / "w.gif").code == 0
    with Pillow.open(tmp_path / "w.gif") as gif:
        assert gif.n_frames > 10  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{trained}"], "--out grid.png"),
        (["{trained}", "--out", "x.bmp"], "no .bmp output"),
        (["{trained}", "--walk", "x.mp4"], "--walk x.gif"),
        (["{trained}", "--label", "rosa", "--out", "x.png"], "did you mean rose?"),
        (["nowhere.safetensors", "--out", "x.png"], "nowhere.safetensors"),
        (["{tmp}", "--out", "x.png"], "model.safetensors"),
        (["{tmp}/cut.safetensors", "--out", "x.png"], "not a whole safetensors file"),
        (["{tmp}/pickle.safetensors", "--out", "x.png"], "not a whole safetensors file"),
        (["{trained}", "--out", "{tmp}/file/x.png"], "{tmp}/file"),
    ],
)
def test_sample_mistakes(
    limner: Limner, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    whole = (trained / "model.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "pickle.safetensors").write_bytes(b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07os.exit\x94.")
    before = sorted(tmp_path.iterdir())
    said = limner("sample", *(a.format(trained=trained, tmp=tmp_path) for a in arguments))
    lines = [line for line in said.err.splitlines() if line.startswith("limner: ")]
    assert said.code == 2 and said.out == "" and len(lines) == 1
    assert words.format(tmp=tmp_path) in lines[0]
    assert sorted(tmp_path.iterdir()) == before, "nothing half-written"


def test_evaluate_prints_scores_with_what_they_mean(limner: Limner, trained: Path, blobs: Path) -> None:
    said = limner("evaluate", trained, blobs, "--features", "random", "-n", 48, "--device", "cpu")
    assert said.code == 0
    assert "95 % interval" in said.out and "real against real" in said.out and "n = 48" in said.out
    assert "training pictures" in said.err
    found = limner("evaluate", trained, blobs, "--features", "random", "-n", 48, "--device", "cpu", "--json").json
    scores = {s["metric"]: s for s in found["scores"]}
    assert {"KernelDistance", "Precision", "Recall", "Density", "Coverage", "LinearProbeAccuracy"} == set(scores)
    assert all(s["n"] == 48 and s["features"] and s["digest"] and s["resize"] for s in scores.values())
    assert scores["KernelDistance"]["value"] > scores["KernelDistance"]["floor"]
    # 48 pictures and 272 features; pictures of 8 pixels are too small for what the eye sees
    small = {"Lattice", "Tiling", "Burnt", "Contrast", "NearTwins"}
    assert {w["metric"] for w in found["withheld"]} == {"FrechetDistance", *small}
    assert "withheld: Fréchet distance: 48 images are too few" in said.out
    asked = "Coverage(k=3), KernelDistance"
    few = limner("evaluate", trained, blobs, "--features", "random", "-n", 48, "--metrics", asked, "--json").json
    assert [s["metric"] for s in few["scores"]] == ["Coverage", "KernelDistance"]
    assert few["scores"][1]["value"] == pytest.approx(scores["KernelDistance"]["value"], rel=1e-6)


def test_evaluate_tests_memory_where_the_training_pictures_are_known(limner: Limner, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 96), ("test", 64)):
        for number in range(count):
            save_png(rng.integers(0, 255, (8, 8, 1), dtype=np.uint8), tmp_path / "data" / split / f"{number}.png")
    data, folder = tmp_path / "data", tmp_path / "coder"
    small = ["--recipe", "autoencoder", "-o", "generator.width=4", "-o", "encoder.width=4", "--batch", "32"]
    assert limner("train", data, "--out", folder, "--images", "320", "--device", "cpu", *small).code == 0
    shown = limner("evaluate", folder, data, "--features", "random", "--metrics", "all", "--json", "--device", "cpu")
    assert shown.code == 0, shown.err
    scores = {s["metric"]: s for s in shown.json["scores"]}
    assert {"NearestInTraining", "Authenticity", "RebuiltPSNR", "RebuiltSSIM", "VendiScore"} <= set(scores)
    assert [name for name, _ in scores["Authenticity"]["controls"]] == ["held-out real", "copies of training"]
    known = limner("evaluate", folder, data, "--features", "random", "--device", "cpu")
    assert "memorised?" in known.out and "no sign of copies" in known.out


def test_no_network_judges_a_model_that_was_trained_with_it(
    limner: Limner, trained: Path, blobs: Path, tmp_path: Path
) -> None:
    """The header of the model file names its backbone; features of others judge it, in a table of their own."""
    model = load(trained)
    model = replace(model, header=model.header | {"backbone": {"name": "efficientnet_lite0", "digest": ""}})
    model.save(tmp_path / "judged.safetensors")
    given = ("evaluate", tmp_path / "judged.safetensors", blobs, "-n", 32, "--device", "cpu")
    refused = limner(*given, "--features", "photographs")
    assert refused.code == 2 and refused.out == ""
    assert "the model was trained with efficientnet_lite0, the network of these features" in refused.err
    said = limner(*given, "--features", "photographs,random")
    assert said.code == 0
    assert re.search(r"withheld: .*coverage.*: the model was trained with efficientnet_lite0", said.out)
    found = limner(*given, "--features", "random,photographs", "--report", tmp_path / "page.html", "--json").json
    assert {s["features"] for s in found["scores"]} == {"random"}
    assert {w["features"] for w in found["withheld"] if "efficientnet_lite0" in w["reason"]} == {"photographs"}
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "frozen backbone" in page and "coverage (photographs)" in page


def test_several_features_have_a_table_each(limner: Limner, trained: Path, blobs: Path, tmp_path: Path) -> None:
    given = ("evaluate", trained, trained, blobs, "-n", 32, "--device", "cpu", "--features", "photographs,random")
    beside = limner(*given, "--metrics", "Coverage,RebuiltPSNR", "--report", tmp_path / "page.html")
    assert beside.code == 0, beside.err
    assert "coverage ↑ (photographs)" in beside.out and "coverage ↑ (random)" in beside.out
    assert "coverage ↑ (random)" in (tmp_path / "page.html").read_text(encoding="utf-8")
    alone = limner(given[0], *given[2:], "--metrics", "Coverage")
    first, second = alone.out.split("\n\n")
    assert "n = 32" in first and "features photographs" in first and "features random" in second
    assert first.count("coverage") == second.count("coverage") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{trained}", "{blobs}", "--features", "incption"], "--features incption: type in-domain"),
        (["{trained}", "{blobs}", "--features", "nowhere.safetensors"], "nowhere.safetensors"),
        (["{trained}", "{blobs}", "--split", "test"], "has no splits"),
        (["{trained}", "nowhere"], "nowhere"),
        (["nowhere", "{blobs}"], "nowhere"),
        (["{trained}", "{blobs}", "-n", "3", "--features", "random"], "16"),
        (["{trained}", "{blobs}", "--metrics", "Coverage,Recal"], "did you mean Recall?"),
        (["{trained}", "{blobs}", "--metrics", "Authenticity", "--features", "random"], "trained on are not known"),
    ],
)
def test_evaluate_mistakes(limner: Limner, trained: Path, blobs: Path, arguments: list[str], words: str) -> None:
    said = limner("evaluate", *(a.format(trained=trained, blobs=blobs) for a in arguments), "--device", "cpu")
    lines = [line for line in said.err.splitlines() if line.startswith("limner: ")]
    assert said.code == 2 and said.out == "" and len(lines) == 1
    assert words in lines[0]


def test_an_autoencoder_is_trained_shown_and_reconstructs(limner: Limner, blobs: Path, tmp_path: Path) -> None:
    small = ["-o", "generator.width=4", "-o", "encoder.width=4", "--batch", "32", "--device", "cpu"]
    folder, pairs = tmp_path / "coder", tmp_path / "pairs.png"
    assert limner("train", blobs, "--out", folder, "--recipe", "autoencoder", "--images", "640", *small).code == 0
    assert (folder / "preview.png").exists() and (folder / "model.safetensors").exists()
    assert limner("sample", folder, "--reconstruct", blobs, "-n", "12", "--out", pairs, "--device", "cpu").code == 0
    side = 4 * (8 + 2) + 2, 8 * (8 + 2) + 2
    assert picture(pairs).shape[:2] == (6 * side[0], 6 * side[1])


def test_reconstructing_needs_an_encoder_and_a_grid(limner: Limner, blobs: Path, trained: Path, tmp_path: Path) -> None:
    said = limner("sample", trained, "--reconstruct", blobs, "--out", tmp_path / "x.png", "--device", "cpu")
    assert said.code == 2 and "no encoder" in said.err
    said = limner("sample", trained, "--reconstruct", blobs, "--out", tmp_path / "x.npz")
    assert said.code == 2 and "--out pairs.png" in said.err


def test_a_vae_shows_samples_first_and_pairs_beside(limner: Limner, blobs: Path, tmp_path: Path) -> None:
    small = ["-o", "generator.width=4", "-o", "encoder.width=4", "--batch", "32", "--device", "cpu"]
    assert limner("train", blobs, "--out", tmp_path / "v", "--recipe", "vae", "--images", "320", *small).code == 0
    assert (tmp_path / "v" / "preview.png").exists() and (tmp_path / "v" / "preview-reconstructions.png").exists()
