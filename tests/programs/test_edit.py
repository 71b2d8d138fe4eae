"""`limner directions`, `limner edit` and --fit, from end to end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from safetensors import safe_open

from limner.core.pixels import save_png

pytest.importorskip("sklearn")
Limner = Callable[..., Any]
CPU = ["--device", "cpu"]
QUICK = ["--steps", 5, "--starts", 2, *CPU]


def trained_by(recipe: str, blobs: Path, folder: Path, *more: str) -> Path:
    from limner.cli import run

    words = ["train", str(blobs), "--out", str(folder), "--recipe", recipe, "--images", "640", *CPU, *more]
    assert run(words) == 0
    return folder


@pytest.fixture(scope="session")
def vae(blobs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = [w for role in ("generator", "encoder") for w in ("-o", f"{role}.width=8", "-o", f"{role}.latent.dim=6")]
    return trained_by("vae", blobs, tmp_path_factory.mktemp("runs") / "vae", "--images", "4800", *small)


@pytest.fixture(scope="session")
def style(blobs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = ["-o", "generator.width=4", "-o", "critic.width=4", "-o", "generator.classes=0", "-o", "critic.classes=0"]
    return trained_by("style", blobs, tmp_path_factory.mktemp("runs") / "style", *small)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """16 high and 24 wide, bright above left; half transparent, with EXIF."""
    pixels = np.full((16, 24, 4), 40, np.uint8)
    pixels[:8, :12, :3], pixels[..., 3] = 200, 255
    pixels[:, 12:, 3] = 128
    exif = Pillow.Exif()
    exif[0x010E] = "a photo"
    (tmp_path / "in").mkdir()
    Pillow.fromarray(pixels, "RGBA").save(tmp_path / "in" / "photo.png", exif=exif)
    return tmp_path / "in" / "photo.png"


def bright(path: Path) -> Any:
    """Mean of the corner that `rose` has bright, and of the one that `iris` has."""
    with Pillow.open(path) as picture:
        x = np.asarray(picture.convert("F"))
    return x[:4, :4].mean(), x[4:, 4:].mean()


def test_directions_are_named_measured_and_do_what_they_say(
    limner: Limner, vae: Path, blobs: Path, tmp_path: Path
) -> None:
    """Of blobs with one bright corner a class: along `iris` a rose's light goes from one corner to the other."""
    out = tmp_path / "found"
    said = limner("directions", vae, "--data", blobs, "--out", out, "--json", *CPU)
    assert said.code == 0, said.err
    rows = {row["name"]: row for row in said.json["directions"]}
    assert set(rows) == {"rose", "iris"} and said.json["how"] == "labels" and "100% right" in said.json["judge"]
    assert all(row["moves"] > 0.3 for row in rows.values())
    with Pillow.open(out / "sheet.png") as sheet:
        assert sheet.size[0] > 300 and sheet.mode == "RGB"
    with safe_open(out / "directions.safetensors", "pt") as file:
        assert json.loads(file.metadata()["limner.directions"])["names"] == list(rows)
        assert file.get_tensor("iris").shape == (6,)
    save_png(np.pad(np.full((4, 4, 1), 180, np.uint8), ((0, 4), (0, 4), (0, 0))), tmp_path / "rose.png")
    given = ["edit", vae, tmp_path / "rose.png", "--directions", out, "--move", "iris=6", *QUICK]
    said = limner(*given, "--out", tmp_path / "edited")
    assert said.code == 0 and "inversion error" in said.err, said.err
    before, after = bright(tmp_path / "rose.png"), bright(tmp_path / "edited" / "rose.png")
    assert after[0] < before[0] - 20 and after[1] > before[1] + 20
    told = limner("dream", vae, "--goal", f"Direction(iris, '{out / 'directions.safetensors'}')", "--steps", 2,
                  "--starts", 4, "--out", tmp_path / "d.png", *CPU)  # fmt: skip
    assert told.code == 0, told.err


@pytest.mark.parametrize("how", ["sefa", "pca", "svm", "difference"])
def test_every_way_to_find_them(limner: Limner, vae: Path, blobs: Path, tmp_path: Path, how: str) -> None:
    given = ["directions", vae, "--how", how, "-k", 3, "--codes", 2, "--out", tmp_path / "x", "--json", *CPU]
    labelled = ["--data", blobs] if how in ("svm", "difference") else []
    said = limner(*given, *labelled)
    assert said.code == 0, said.err
    names = [row["name"] for row in said.json["directions"]]
    assert sorted(names) == ["iris", "rose"] if labelled else names == [f"{how}{k}" for k in (1, 2, 3)]


def test_two_groups_and_models_without_an_encoder(
    limner: Limner, style: Path, vae: Path, blobs: Path, tmp_path: Path
) -> None:
    pair = ["--data", blobs / "rose", "--data", blobs / "iris", "--how", "difference"]
    for model, note in ((vae, ""), (style, "draws are used")):
        said = limner("directions", model, *pair, "--out", tmp_path / model.name, *CPU)
        if said.code == 2:  # an untrained model may draw one kind only
            assert "--data" in said.err and model == style
        else:
            assert said.code == 0 and note in said.err and "rose" in said.out, said.err


def test_codes_keep_their_space_and_model(limner: Limner, style: Path, vae: Path, blobs: Path, tmp_path: Path) -> None:
    out = tmp_path / "codes"
    quick = ["-n", 3, "--controls", 0, *QUICK]
    assert limner("invert", style, blobs, "--space", "w", "--out", out, *quick).code == 0
    codes, to = out / "codes.safetensors", ["--out", tmp_path / "x.png", *CPU]
    said = limner("edit", style, codes, "--move", "sefa1=2", "--move", "sefa2=-1", "--layers", "0", *to)
    assert said.code == 0 and "inversion" not in said.err, said.err
    assert "--space w" in limner("edit", style, codes, "--move", "sefa1=2", "--space", "z", *to).err
    said = limner("edit", vae, codes, "--move", "sefa1=2", *to)
    assert said.code == 2 and "is for the model" in said.err
    said = limner("edit", style, codes, "--mix", codes, "--layers", "1-", *to)
    assert said.code == 0, said.err


def test_the_way_to_another_picture(limner: Limner, vae: Path, blobs: Path, tmp_path: Path) -> None:
    other, film = blobs / "iris" / "060.png", tmp_path / "way.gif"
    given = ["edit", vae, blobs / "rose", "-n", 2, "--to", other, *QUICK]
    assert limner(*given, "--frames", 5, "--out", film).code == 0
    with Pillow.open(film) as found:
        assert found.n_frames == 5
    said = limner(*given, "--frames", 4, "--out", tmp_path / "way.png")
    assert said.code == 0, said.err
    with Pillow.open(tmp_path / "way.png") as strip:
        assert strip.size[0] > 2.5 * strip.size[1]  # six columns, two rows
    one_each = ["edit", vae, blobs / "rose", "-n", 2, "--to", blobs / "iris", *QUICK]
    assert limner(*one_each, "--out", film).code == 0


def test_a_region_of_another_picture(limner: Limner, vae: Path, blobs: Path, tmp_path: Path) -> None:
    """With --keep nothing outside the seam changes."""
    mine, other = blobs / "rose" / "001.png", blobs / "iris" / "060.png"
    mask = np.zeros((8, 8, 1), np.uint8)
    mask[4:, 4:] = 255
    save_png(mask, tmp_path / "mask.png")
    made: list[bytes] = []
    for region in ("4,4,4,4", tmp_path / "mask.png"):
        out = tmp_path / f"to{len(made)}"
        said = limner("edit", vae, mine, "--blend", other, "--region", region, "--keep", "--out", out, *QUICK)
        assert said.code == 0, said.err
        made.append((out / "001.png").read_bytes())
    assert made[0] == made[1]
    with Pillow.open(mine) as before, Pillow.open(tmp_path / "to0" / "001.png") as after:
        x, y = np.asarray(before), np.asarray(after)
    assert np.array_equal(x[:3], y[:3]) and np.array_equal(x[:, :3], y[:, :3]) and not np.array_equal(x[5:], y[5:])


def test_another_label(limner: Limner, trained: Path, vae: Path, blobs: Path, tmp_path: Path) -> None:
    said = limner("edit", trained, blobs, "-n", 4, "--as", "iris", "--out", tmp_path / "x.png", "--json", *QUICK)
    assert said.code == 0 and said.json["edit"] == "as" and len(said.json["errors"]) == 4, said.err
    for model, name, says in ((vae, "iris", "without labels"), (trained, "daisy", "no label 'daisy'")):
        said = limner("edit", model, blobs, "--as", name, "--out", tmp_path / "y.png", *QUICK)
        assert said.code == 2 and says in said.err, said.err


def test_transparency_and_exif_stay(limner: Limner, vae: Path, photo: Path, tmp_path: Path) -> None:
    """Tile by tile at its own size; a move by nothing with --keep is the picture itself."""
    given = ["edit", vae, photo, "--move", "sefa1=0", "--frames", 1, "--keep", "--fit", "tile", *QUICK]
    said = limner(*given, "--out", tmp_path / "out")
    assert said.code == 0, said.err
    with Pillow.open(photo) as before, Pillow.open(tmp_path / "out" / "photo.png") as after:
        assert after.size == before.size and after.mode == "LA" and after.getexif()[0x010E] == "a photo"
        assert np.array_equal(np.asarray(after)[..., 1], np.asarray(before)[..., 3])
        assert np.array_equal(np.asarray(after)[..., 0], np.asarray(before.convert("RGB").convert("L")))


@pytest.mark.parametrize(("fit", "size"), [("crop", (8, 8)), ("pad", (8, 5)), ("tile", (24, 16))])
def test_pictures_of_another_size(
    limner: Limner, vae: Path, photo: Path, tmp_path: Path, fit: str, size: tuple[int, int]
) -> None:
    out = tmp_path / "out"
    said = limner("invert", vae, photo.parent, "--fit", fit, "--controls", 2, "--out", out, *QUICK)
    assert said.code == 0, said.err
    assert ("--fit pad" in said.err) == (fit == "crop")  # nothing is cropped without a word
    with safe_open(out / "codes.safetensors", "pt") as file:
        assert len(file.get_tensor("codes")) == (12 if fit == "tile" else 1)
    if fit != "crop":
        with Pillow.open(out / "made" / "photo.png") as made:
            assert made.size == size
    said = limner("edit", vae, photo, "--fit", fit, "--move", "sefa1=1", "--out", tmp_path / "edited", *QUICK)
    assert said.code == 0, said.err
    with Pillow.open(tmp_path / "edited" / "photo.png") as made:
        assert made.size == size


def test_tuned_to_a_picture_it_is_closer(limner: Limner, vae: Path, blobs: Path, tmp_path: Path) -> None:
    made: list[float] = []
    mine = blobs / "rose" / "001.png"
    for tune in (0, 30):
        given = ["edit", vae, mine, "--move", "sefa1=0", "--tune", tune, "--out", tmp_path / str(tune), *QUICK]
        assert limner(*given).code == 0
        with Pillow.open(mine) as x, Pillow.open(tmp_path / str(tune) / "001.png") as y:
            made.append(np.square(np.asarray(x, float) - np.asarray(y, float)).mean())
    assert made[1] < 0.8 * made[0]


def test_draws_can_be_edited(limner: Limner, style: Path, tmp_path: Path) -> None:
    given = ["edit", style, "--code-seed", 3, "-n", 2, "--move", "pca1=2", "--how", "pca", *CPU]
    assert limner(*given, "--out", tmp_path / "x.gif").code == 0
    with Pillow.open(tmp_path / "x.gif") as film:
        assert film.n_frames == 25
    assert limner(*given, "--out", tmp_path / "folder").code == 0
    assert (tmp_path / "folder" / "000001.png").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "choose one edit"),
        (["--move", "sefa1=1", "--to", "x.png"], "--move and --to at once"),
        (["--move", "sefa1"], "write NAME=2.5"),
        (["--move", "sefa1=a"], "write NAME=2.5"),
        (["--move", "sefa99=1"], "no direction 'sefa99'"),
        (["--move", "sefa1=1", "--layers", "0"], "no styles to choose"),
        (["--mix", "ROSE"], "--mix IMAGE takes --layers"),
        (["--mix", "ROSE", "--layers", "1-"], "train one with --recipe style"),
        (["--blend", "ROSE"], "belong together"),
        (["--region", "0,0,2,2", "--to", "ROSE"], "belong together"),
        (["--blend", "ROSE", "--region", "0,0,9,2"], "within 8 wide"),
        (["--blend", "ROSE", "--region", "1,2,3"], "write X,Y,W,H"),
        (["--blend", "ROSE", "--region", "none.png"], "no such file"),
        (["--to", "ROSE", "--keep"], "leave it out"),
        (["--to", "ROSE", "--fit", "tile"], "take --fit pad"),
        (["--to", "none.png"], "no such file"),
        (["--move", "sefa1=1", "--space", "w"], "no styles"),
        (["--move", "sefa1=1", "--directions", "none"], "limner directions MODEL"),
        (["--move", "sefa1=1", "--how", "sefa", "--data", "ROSE"], "needs no labels"),
        (["--move", "a=1", "--how", "labels"], "nobody names"),
        (["--move", "a=1", "--data", "ROSE"], "no labels"),
        (["--move", "a=1", "--code-seed", "1"], "say what to edit"),
        (["--move", "a=1", "--directions", "x", "--how", "pca"], "no --how, --data or --by"),
        (["--to", "ROSE", "--label", "rose"], "without labels"),
    ],
)
def test_mistakes_are_one_line(
    limner: Limner, vae: Path, blobs: Path, tmp_path: Path, words: list[str], says: str
) -> None:
    mine, out = blobs / "rose" / "001.png", tmp_path / "out"
    words = [str(mine) if w == "ROSE" else w for w in words]
    said = limner("edit", vae, mine, "--out", out, "--steps", 1, "--starts", 1, *CPU, *words)
    errors = [row for row in said.err.splitlines() if not row.startswith(("inversion error", "note:", "not used"))]
    assert said.code == 2 and says in said.err and len(errors) == 1, said.err
    assert not out.exists()


def test_a_model_that_is_told_labels_says_so(limner: Limner, trained: Path, blobs: Path, tmp_path: Path) -> None:
    said = limner("directions", trained, "--data", blobs, "--out", tmp_path / "x", *CPU)
    assert said.code == 2 and "--as NAME" in said.err and "--how sefa" in said.err
    said = limner("directions", trained, "--out", tmp_path / "x", "-k", 2, "--label", "rose", *CPU)
    assert said.code == 0 and "sefa2" in said.out, said.err
    assert limner("directions", trained, "--out", tmp_path / "x.png", *CPU).code == 2


def test_a_critic_that_names_classes_is_asked(limner: Limner, vae: Path, blobs: Path, tmp_path: Path) -> None:
    judge = trained_by("logistic", blobs, tmp_path / "logistic")
    said = limner("directions", vae, "--by", judge, "--out", tmp_path / "x", "--json", *CPU)
    assert said.code == 0, said.err
    assert {row["name"] for row in said.json["directions"]} == {"rose", "iris"} and said.json["judge"] == str(judge)
    assert torch.tensor([row["moves"] for row in said.json["directions"]]).isfinite().all()
