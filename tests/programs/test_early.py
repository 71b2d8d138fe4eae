"""What cannot work is said before anything long begins, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from limner.cli import run

Limner = Callable[..., Any]
CPU = ["--device", "cpu"]


@pytest.fixture(scope="session")
def vae(blobs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "vae"
    small = [w for role in ("generator", "encoder") for w in ("-o", f"{role}.width=8", "-o", f"{role}.latent.dim=6")]
    assert run(["train", str(blobs), "--out", str(out), "--recipe", "vae", "--images", "320", *CPU, *small]) == 0
    return out


@pytest.fixture
def nothing_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Climbing, drawing, coding and learning are forbidden."""

    def never(*arguments: Any, **more: Any) -> Any:
        raise AssertionError("this takes long, and the mistake was there before")

    places = [
        "limner.explore.climb.climb", "limner.explore.invert.climb", "limner.restoring.climbing.climb",
        "limner.restoring.tiles.apply", "limner.restoring.trained.apply", "limner.codec.compress._encoded",
        "limner.cli.sample._draw", "limner.cli.augment._made", "limner.cli.recognise._scored",
        "limner.cli.translate._translated", "limner.explore.directions.stepped",
    ]  # fmt: skip
    # imported first, or one would take another's replacement for the true one; a verb is called as its module is
    named = [(import_module(place.rpartition(".")[0]), place.rpartition(".")[2]) for place in places]
    for module, name in named:
        monkeypatch.setattr(module, name, never)


@pytest.mark.usefixtures("nothing_long")
@pytest.mark.parametrize(
    "words",
    [
        ["dream", "MODEL", "--goal", "Plausible", "--out", "X.png"],
        ["dream", "MODEL", "--goal", "Plausible", "--out", "y.png", "--film", "X.gif"],
        ["dream", "MODEL", "--goal", "Plausible", "--out", "y.png", "--chart", "X.png"],
        ["dream", "MODEL", "--goal", "Plausible", "--out", "y.png", "--codes", "X.safetensors"],
        ["sample", "MODEL", "--out", "X.npz"],
        ["sample", "MODEL", "--walk", "X.gif"],
        ["invert", "MODEL", "DATA", "--out", "X"],
        ["directions", "MODEL", "--how", "pca", "--out", "X"],
        ["edit", "MODEL", "DATA", "--how", "pca", "--move", "pca1=3", "--out", "X.png"],
        ["restore", "MODEL", "DATA", "--simulate", "--damage", "Grey", "--out", "X"],
        ["compress", "MODEL", "DATA", "--out", "X.limn"],
        ["recognise", "MODEL", "DATA", "--out", "X"],
        ["augment", "MODEL", "DATA", "--per-class", "3", "--out", "X"],
        ["translate", "MODEL", "DATA", "--out", "X"],
    ],
    ids=lambda words: f"{words[0]} {words[-2]}",
)
def test_a_place_that_cannot_be_written(
    limner: Limner, trained: Path, blobs: Path, tmp_path: Path, words: list[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    named = {"MODEL": str(trained), "DATA": str(blobs)}
    said = limner(*(named.get(w, w.replace("X", str(tmp_path / "file" / "x"))) for w in words), *CPU)
    assert said.code == 2 and len(said.err.splitlines()) == 1, said.err
    assert "file is a file" in said.err and not said.out
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_where_a_file_goes(limner: Limner, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "x.png").mkdir()
    said = limner("dream", trained, "--goal", "Plausible", "--out", tmp_path / "x.png", *CPU)
    assert said.code == 2 and "is a folder" in said.err


@pytest.mark.usefixtures("nothing_long")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["edit", "VAE", "DATA", "--how", "sefa", "--move", "sefa99=3"], "no direction 'sefa99'"),
        (["edit", "VAE", "DATA", "--data", "DATA", "--move", "tulip=3"], "no direction 'tulip'"),
        (["edit", "VAE", "DATA", "--to", "nowhere.png"], "nowhere.png"),
        (["edit", "VAE", "DATA", "--blend", "nowhere.png", "--region", "0,0,4,4"], "nowhere.png"),
        (["edit", "VAE", "DATA", "-n", "5", "--to", "THREE"], "3 pictures for 5"),
        (["edit", "VAE", "--code-seed", "0", "--tune", "5", "--how", "sefa", "--move", "sefa1=1"], "codes are exact"),
        (["edit", "MODEL", "DATA", "--how", "labels", "--move", "rose=1"], "is told its labels"),
        (["sample", "MODEL", "--refine", "5", "--against", "nowhere"], "nowhere"),
        (["sample", "MODEL", "--refine", "5", "--against", "DATA", "--features", "none"], "--features none"),
        (["sample", "VAE", "--refine", "5"], "critic"),
        (["sample", "MODEL", "--out", "x.bmp"], "there is no .bmp output"),
        (["augment", "MODEL", "DATA", "--per-class", "9", "--measure", "--test", "nowhere"], "nowhere"),
    ],
    ids=lambda each: " ".join(each)[:40] if isinstance(each, list) else "",
)
def test_what_does_not_exist(
    limner: Limner, trained: Path, vae: Path, blobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    words: list[str], says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    if says.startswith("no direction") or "--code-seed" in words:
        monkeypatch.undo()  # finding directions is not forbidden
        monkeypatch.setattr(import_module("limner.explore.invert"), "climb", None)
        monkeypatch.chdir(tmp_path)
    three = tmp_path / "three"
    three.mkdir()
    for file in sorted((blobs / "rose").iterdir())[:3]:
        (three / file.name).write_bytes(file.read_bytes())
    named = {"MODEL": str(trained), "VAE": str(vae), "DATA": str(blobs), "THREE": str(three)}
    out = [] if "--out" in words else ["--out", "made" if words[0] == "augment" else "x.png"]
    said = limner(*(named.get(w, w) for w in words), *out, *CPU)
    assert said.code == 2 and says in said.err, said.err
    assert [path.name for path in tmp_path.iterdir()] == ["three"] and not said.out


def test_like_needs_no_distance(limner: Limner, trained: Path, blobs: Path, tmp_path: Path) -> None:
    """Closeness to a picture, by squares where nothing else is named."""
    picture = next((blobs / "rose").iterdir())
    goal, out = f"Like('{picture}')", tmp_path / "x.png"
    said = limner("dream", trained, "--goal", goal, "--starts", 2, "--steps", 3, "--out", out, "--json", *CPU)
    assert said.code == 0, said.err
    assert all(-4 <= value <= 0 for value in said.json["best"])
