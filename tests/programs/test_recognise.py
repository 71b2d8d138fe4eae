"""`limner recognise` and `limner augment`, from end to end."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.data.gather import gather

Limner = Callable[..., Any]
CPU = ["--device", "cpu"]
FEW = ["--labels", "4,20", "--draws", 2]


@pytest.fixture(scope="session")
def uneven(blobs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten irises and thirty roses, as .npz."""
    images = gather(str(blobs))
    rows = np.concatenate([np.flatnonzero(images.labels == k)[:n] for k, n in ((0, 10), (1, 30))])
    path = tmp_path_factory.mktemp("uneven") / "uneven.npz"
    np.savez(path, images=images.pixels[rows], labels=images.labels[rows], names=np.array(images.names))
    return path


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_recognises_beside_rivals_and_names_others(limner: Limner, trained: Path, blobs: Path, tmp_path: Path) -> None:
    said = limner("recognise", trained, blobs, *FEW, "--out", tmp_path / "known", *CPU)
    assert said.code == 0, said.err
    assert "raw pixels (64)" in said.out and "20 labels" in said.out and "k-NN" in said.out
    assert "one fifth of" in said.err and "was told labels" in said.err
    rows = table(tmp_path / "known" / "predictions.csv")
    assert len(rows) == 18 and {row["class"] for row in rows} == {"rose", "iris"}
    right = [row["class"] == row["raw pixels (64), logistic regression"] for row in rows]
    assert all(right), "corners are told apart by pixels"
    assert (tmp_path / "known" / "curves.png").exists()
    probe = tmp_path / "known" / "probe.safetensors"
    named = limner("recognise", trained, probe, "--of", blobs, "--out", tmp_path / "named.csv", *CPU)
    assert named.code == 0, named.err
    rows = table(tmp_path / "named.csv")
    assert len(rows) == 96 and sum(row["picture"].split("/")[-2] == row["class"] for row in rows) > 90
    told = limner("recognise", trained, blobs, blobs, *FEW, "--json", *CPU).json
    last = [s for s in told["scores"] if s["features"] == "raw pixels (64)" and s["labels"] == 96]
    assert [s["accuracy"] for s in last] == [1, 1] and all(s["n"] == 96 and s["low"] < 1 for s in last)


def test_mistakes_of_recognise_are_one_line(
    limner: Limner, trained: Path, blobs: Path, uneven: Path, tmp_path: Path
) -> None:
    images = gather(str(blobs)).pixels[:20]
    np.savez(tmp_path / "bare.npz", images=images)
    np.savez(tmp_path / "other.npz", images=images, labels=np.arange(20) % 2, names=np.array(["rose", "daisy"]))
    np.savez(tmp_path / "one.npz", images=images, labels=np.zeros(20, int), names=np.array(["rose"]))
    pca = tmp_path / "kernel.safetensors"
    assert limner("baseline", "KernelDensity(count=20)", blobs, "--out", pca).code == 0
    for words, says in [
        ([trained, tmp_path / "bare.npz"], "has no labels"),
        ([trained, blobs, tmp_path / "bare.npz"], "has no labels"),
        ([trained, blobs, tmp_path / "other.npz"], "no pictures of the class 'daisy'"),
        ([trained, tmp_path / "one.npz"], "two classes or more"),
        ([pca, blobs], "neither an encoder nor a critic"),
        ([trained, blobs, "--role", "encoder"], "no encoder"),
        ([trained, blobs, "--labels", "10,x"], "--labels 10,x"),
        ([trained, blobs, "--out", "x.png"], "give a folder"),
        ([trained, blobs, "--of", blobs], "probe.safetensors"),
        ([trained, trained / "model.safetensors", "--of", blobs], "is no probe"),
        ([trained, tmp_path / "none.safetensors", "--of", blobs], "no such file"),
        ([trained, tmp_path / "none.safetensors"], "--of photos/"),
    ]:
        said = limner("recognise", *words, *CPU)
        last = said.err.splitlines()[-1]
        assert said.code == 2 and last.startswith("limner:") and says in last, said.err


def test_levels_what_is_uneven(limner: Limner, trained: Path, uneven: Path, tmp_path: Path) -> None:
    out = tmp_path / "level"
    said = limner("augment", trained, uneven, "--keep", "--out", out, "--json", *CPU)
    assert said.code == 0, said.err
    assert sorted(said.json["made"].values()) == [0, 20]
    rows = table(out / "metadata.csv")
    assert len(rows) == 60 and sum(row["kind"] == "real" for row in rows) == 40
    images = gather(str(out))
    assert np.bincount(images.labels).tolist() == [30, 30]


def test_makes_so_many_of_each_class(limner: Limner, trained: Path, blobs: Path, tmp_path: Path) -> None:
    given = ["augment", trained, blobs, *CPU]
    assert limner(*given, "--per-class", 5, "--out", tmp_path / "five").code == 0
    rows = table(tmp_path / "five" / "metadata.csv")
    assert len(rows) == 10 and {(row["label"], row["kind"]) for row in rows} == {("rose", "made"), ("iris", "made")}
    again = gather(str(tmp_path / "five"))
    assert np.bincount(again.labels).tolist() == [5, 5] and again.names == ("iris", "rose")
    assert limner(*given, "--per-class", 300, "--out", tmp_path / "many.npz").code == 0
    many = np.load(tmp_path / "many.npz")
    assert np.bincount(many["labels"]).tolist() == [300, 300]
    for k in (0, 1):
        few = again.pixels[again.labels == k]
        assert np.array_equal(many["images"][many["labels"] == k][:5], few), "the first five, whatever is asked for"


def test_measures_what_they_are_worth(limner: Limner, trained: Path, blobs: Path, tmp_path: Path) -> None:
    given = ["augment", trained, blobs, "--per-class", 40, "--measure", "--real", "2", "--draws", 2, "--steps", 20]
    said = limner(*given, *CPU, "--out", tmp_path / "a.npz")
    assert said.code == 0, said.err
    assert "2 real a class, beside real:" in said.out and "real + made, moved" in said.out
    assert "learnt from all 96 labels" in said.err


def test_mistakes_of_augment_are_one_line(limner: Limner, trained: Path, blobs: Path, tmp_path: Path) -> None:
    images = gather(str(blobs)).pixels[:20]
    np.savez(tmp_path / "other.npz", images=images, labels=np.arange(20) % 2, names=np.array(["rose", "daisy"]))
    np.savez(tmp_path / "bare.npz", images=images)
    pca = tmp_path / "pca.safetensors"
    assert limner("baseline", "PCA(components=4)", blobs, "--out", pca).code == 0
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").write_text("here")
    new = ["--out", tmp_path / "new"]
    for words, says in [
        ([pca, blobs, *new], "was told no labels"),
        ([trained, tmp_path / "other.npz", *new], "no pictures of the class 'daisy'"),
        ([trained, tmp_path / "bare.npz", *new], "has no labels"),
        ([trained, blobs, *new], "--per-class 500"),
        ([trained, blobs, "--out", tmp_path / "full", "--per-class", 2], "give a new folder"),
        ([trained, blobs, "--out", "x.png", "--per-class", 2], "X.npz"),
        ([trained, blobs, *new, "--per-class", 2, "--classical", "Afine"], "did you mean Affine"),
        ([trained, blobs, *new, "--per-class", 2, "--measure", "--real", "2,y"], "--real 2,y"),
        ([trained, blobs, *new, "--per-class", 2, "--measure", "--real", "500"], "real pictures"),
    ]:
        said = limner("augment", *words, *CPU)
        last = said.err.splitlines()[-1]
        assert said.code == 2 and last.startswith("limner:") and says in last, said.err
        assert not (tmp_path / "new").exists()
