"""evaluate --report and compare: pages, several models, other tools' pictures, and what does not fit."""

from __future__ import annotations

import csv
import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.cli import run
from limner.core.pixels import save_png
from limner.judging.store import Answer, create
from limner.judging.study import Study

Limner = Callable[..., Any]
FAST = ("--features", "random", "--device", "cpu")
HOSTILE = '<b>rose & "thorn"<script>'


def reading() -> Any:
    """The strict reader of pages that tests/report has."""
    if "pages" not in sys.modules:
        spec = importlib.util.spec_from_file_location("pages", Path(__file__).parents[1] / "report" / "conftest.py")
        assert spec and spec.loader
        sys.modules["pages"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["pages"])
    return sys.modules["pages"]


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two splits of 8×8 pictures; one class has a name that is markup."""
    rng = np.random.default_rng(1)
    folder = tmp_path_factory.mktemp("flowers")
    for split, count in (("train", 120), ("test", 100)):
        for k in range(count):
            image = rng.integers(0, 60, (8, 8, 1), dtype=np.uint8)
            image[slice(4) if k % 2 else slice(4, 8)] += 150
            save_png(image, folder / split / ("iris" if k % 2 else HOSTILE) / f"{k:03d}.png")
    return folder


@pytest.fixture(scope="module")
def runs(flowers: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A conditional GAN and a VAE on the flowers, each for a moment."""
    folder = tmp_path_factory.mktemp("two")
    small = ["-o", "generator.width=8", "--batch", "32", "--images", "320", "--device", "cpu"]
    assert run(["train", str(flowers), "--out", str(folder / "gan"), "-o", "critic.width=8", *small]) == 0
    vae = ["--recipe", "vae", "-o", "encoder.width=8", *small]
    assert run(["train", str(flowers), "--out", str(folder / "vae"), *vae]) == 0
    return folder / "gan", folder / "vae"


def test_one_page_for_two_models_and_a_folder(
    limner: Limner, runs: tuple[Path, Path], flowers: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other <tool>.npz"
    np.savez(other, images=np.random.default_rng(2).integers(0, 255, (70, 8, 8), dtype=np.uint8))
    page = tmp_path / "deep" / "report.html"
    said = limner("evaluate", *runs, other, flowers, *FAST, "--report", page, "--json")
    assert said.code == 0, said.err
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert [line["model"] for line in lines] == [str(p) for p in (*runs, other)]
    assert {s["n"] for line in lines for s in line["scores"]} == {70}, "equal n for all"
    assert "only equal n compare" in lines[0]["notes"][0]

    document = reading().parsed(page.read_text(encoding="utf-8"))
    names = [s.attributes["id"] for s in document.all("section")]
    assert names == ["short", "samples", "scores", "classes", "between", "memory", "reconstructions", "curves",
                     "settings", "again"]  # fmt: skip
    table = next(t for t in document.all("table") if t.attributes.get("class") == "scores")
    rows = [[cell.text for cell in row.all("th", "td")] for row in table.all("tr")]
    assert rows[0][1:4] == [line["model"] for line in lines]
    known = [{score["label"]: score for score in line["scores"]} for line in lines]
    assert [row[0].rpartition(" ")[0] for row in rows[1:]] == list(known[0]), "the first is told classes and has most"
    for row in rows[1:]:
        for cell, scores in zip(row[1:4], known, strict=True):
            score = scores.get(row[0].rpartition(" ")[0])
            for number in (score["value"], score["low"], score["high"]) if score else ():
                assert (f"{number:.4g}" if abs(number) >= 1e-4 or not number else f"{number:.1e}") in cell
            assert score or cell == "–"
    classes = next(s for s in document.all("section") if s.attributes["id"] == "classes")
    assert {row.all("th")[0].text for row in classes.all("tr")} == {"iris", HOSTILE}
    assert len(document.all("polyline")) > 5
    assert "--report" in document.all("pre")[0].text and "320" in page.read_text(encoding="utf-8")


def test_how_the_training_stands_and_what_people_said(
    limner: Limner, runs: tuple[Path, Path], flowers: Path, tmp_path: Path
) -> None:
    file, page = tmp_path / "j.sqlite", tmp_path / "r.html"
    pixels = np.zeros((2, 8, 8, 1), np.uint8)
    judgements = create(file, Study("single", "none", 4, model=str(runs[0])), pixels, pixels, ["a", "b", "c", "d"])
    rater = judgements.join("Ada")
    judgements.add(Answer(rater.id, 0, 2, 1, False, None, None, 1.0))
    judgements.close()
    said = limner("evaluate", *runs, flowers, *FAST, "-n", 50, "--report", page, "--judged", file)
    assert said.code == 0, said.err
    assert f"{runs[0]}: trend    held-out score" in said.out and f"{runs[1]}: outlook  another 10 min" in said.out
    document = reading().parsed(page.read_text(encoding="utf-8"))
    sections = {s.attributes["id"]: s for s in document.all("section")}
    assert "1 of 1 answers" in sections["people"].text and "Another 10 min" in sections["curves"].text
    alone = limner("evaluate", runs[0], flowers, *FAST, "-n", 50)
    assert "\ntrend    held-out score" in alone.out and str(runs[0]) not in alone.out
    told = limner("evaluate", runs[0], flowers, *FAST, "-n", 50, "--json").json
    assert told["standing"]["trend"]["nimg"] == 320


def test_the_same_command_makes_the_same_page(
    limner: Limner, runs: tuple[Path, Path], flowers: Path, tmp_path: Path
) -> None:
    texts = []
    for _ in range(2):
        assert limner("evaluate", runs[1], flowers, *FAST, "-n", 50, "--report", tmp_path / "r.html").code == 0
        texts.append((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert texts[0] == texts[1]


def test_copies_of_the_training_pictures_are_named(limner: Limner, flowers: Path, tmp_path: Path) -> None:
    said = limner("evaluate", flowers / "train", flowers, *FAST, "--report", tmp_path / "r.html")
    assert said.code == 0, said.err
    document = reading().parsed((tmp_path / "r.html").read_text(encoding="utf-8"))
    memory = next(s for s in document.all("section") if s.attributes["id"] == "memory")
    assert "more than chance" in memory.text and "100.0%" in memory.text
    said = limner("evaluate", flowers / "test", flowers / "train", *FAST, "--report", tmp_path / "r.html")
    assert said.code == 0 and "nothing to compare with" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_table_of_several(limner: Limner, runs: tuple[Path, Path], flowers: Path) -> None:
    said = limner("evaluate", *runs, flowers, *FAST, "-n", 60)
    assert said.code == 0 and "real against real" in said.out and "n = 60" in said.out
    rows = [line for line in said.out.splitlines() if line.startswith(("kernel distance ↓", "recall ↑", "coverage ↑"))]
    assert len(rows) == 3 and all(row.count(" – ") == 2 for row in rows), "an interval for each model"


def test_pictures_held_out_by_training_serve_where_there_is_no_test_split(
    limner: Limner, blobs: Path, trained: Path, tmp_path: Path
) -> None:
    """Of 96 blobs training set 9 aside, which are too few, and the page says so."""
    assert limner("evaluate", trained, blobs, *FAST, "--report", tmp_path / "r.html").code == 0
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "9 pictures that it was not trained on are too few" in text


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """40 pictures of 12×10 in colour."""
    for k in range(40):
        pixels = np.random.default_rng(k).integers(0, 255, (12, 10, 3), dtype=np.uint8)
        save_png(pixels, tmp_path / "large" / f"{k}.png")
    return tmp_path / "large"


def test_shapes_that_differ_need_fit(limner: Limner, runs: tuple[Path, Path], flowers: Path, large: Path) -> None:
    for models, data in (([runs[0]], large), ([runs[0], large], flowers), ([large], flowers)):
        said = limner("evaluate", *models, data, *FAST, "-n", 40)
        last = said.err.splitlines()[-1]
        assert said.code == 2 and said.out == "" and "12×10 colour" in last and "8×8 grey" in last
        assert "--fit crop" in last and "--fit pad" in last
        for fit in ("crop", "pad"):
            said = limner("evaluate", *models, data, *FAST, "-n", 40, "--fit", fit)
            assert said.code == 0 and "n = 40" in said.out
    own = limner("evaluate", runs[0], flowers, *FAST, "-n", 40)
    assert own.code == 0, "what a model was trained on needs no --fit"


def test_bad_pictures_are_named_and_counted(limner: Limner, flowers: Path, tmp_path: Path) -> None:
    bad = tmp_path / "made"
    shutil.copytree(flowers / "train" / "iris", bad)
    for k in range(5):
        (bad / f"bad{k}.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    page = tmp_path / "r.html"
    said = limner("evaluate", bad, flowers, *FAST, "--report", page)
    last = said.err.splitlines()[-1]
    assert said.code == 2 and not page.exists()
    assert "5 of 65 files" in last and "bad0.png" in last and "2 more" in last and "--skip-bad" in last
    said = limner("evaluate", bad, flowers, *FAST, "--report", page, "--skip-bad")
    assert said.code == 0 and "n = 60" in said.out and "5 of 65 files" in said.err and page.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate", "{gan}", "{flowers}", "--report", "x.pdf"], "--report x.html"),
        (["evaluate", "{gan}"], "missing argument"),
        (["evaluate", "{gan}", "{flowers}", "--fit", "squash"], "--fit"),
        (["evaluate", "{tmp}", "{flowers}"], "{tmp}"),
        (["evaluate", "{gan}", "{flowers}", "--report", "{tmp}/file/r.html", "--features", "random"], "{tmp}/file"),
        (["evaluate", "{gan}", "{flowers}", "--judged", "j.sqlite"], "add --report report.html"),
        (["evaluate", "{gan}", "{flowers}", "--judged", "{tmp}/file", "--report", "r.html"], "no file of judgements"),
        (["compare", "nowhere"], "nowhere"),
        (["compare", "{flowers}"], "no run.json"),
        (["compare", "{gan}", "--out", "x.png"], "--out x.html"),
        (["compare", "{gan}", "--csv", "x.xls"], "--csv x.csv"),
        (["compare"], "RUN"),
    ],
)
def test_mistakes(
    limner: Limner, runs: tuple[Path, Path], flowers: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    known = {"gan": runs[0], "flowers": flowers, "tmp": tmp_path}
    said = limner(*(a.format(**known) for a in arguments))
    lines = [line for line in said.err.splitlines() if line.startswith("limner: ")]
    assert said.code == 2 and said.out == "" and len(lines) == 1
    assert words.format(**known).lower() in lines[0].lower()
    assert [p.name for p in tmp_path.iterdir()] == ["file"], "nothing half-written"


def test_compare_makes_a_page_a_table_and_a_csv(limner: Limner, runs: tuple[Path, Path], tmp_path: Path) -> None:
    page, sheet = tmp_path / "c.html", tmp_path / "c.csv"
    said = limner("compare", *runs, "--out", page, "--csv", sheet)
    assert said.code == 0 and "recipe" in said.out and "VAE" in said.out and str(page) in said.out
    with sheet.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == [str(r) for r in runs]
    assert [row["recipe"] for row in rows] == ["default", "vae"] and [row["images"] for row in rows] == ["320", "320"]
    assert "batch" not in rows[0], "only what differs"
    document = reading().parsed(page.read_text(encoding="utf-8"))
    names = [s.attributes["id"] for s in document.all("section")]
    assert names == ["table", "settings", "by-seconds", "by-nimg", "at-seconds", "at-nimg", "losses"]
    at = next(s for s in document.all("section") if s.attributes["id"] == "at-nimg")
    assert [r.all("th")[0].text for r in at.all("tr")[1:]] == ["80 images", "160 images", "320 images"]
    assert len(at.all("tr")[3].all("img")) == 2 * 16
    found = limner("compare", *runs, "--json").json
    assert found["runs"][0]["facts"]["images"] == 320 and found["runs"][1]["settings"]["recipe"] == "vae"


def test_without_previews_the_kept_models_are_shown(limner: Limner, runs: tuple[Path, Path], tmp_path: Path) -> None:
    bare = [Path(shutil.copytree(r, tmp_path / r.name)) for r in runs]
    for folder in bare:
        shutil.rmtree(folder / "previews")
    assert limner("compare", *bare, "--out", tmp_path / "c.html").code == 0
    text = (tmp_path / "c.html").read_text(encoding="utf-8")
    document = reading().parsed(text)
    kept = next(s for s in document.all("section") if s.attributes["id"] == "kept")
    assert len(kept.all("img")) == 2 * 16 and "hold no previews" in kept.text


def test_other_data_are_remarked(limner: Limner, runs: tuple[Path, Path], trained: Path) -> None:
    said = limner("compare", runs[0], trained)
    assert said.code == 0 and "different data" in said.err
