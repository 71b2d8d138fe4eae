"""The same twelve pictures in every format give the same pixels, labels, names and so the same fingerprint."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.core.errors import UserError
from limner.data import hub
from limner.data.cache import fingerprint
from limner.data.gather import gather, survey

CLASSES = ["0", "1", "2"]


def folder(known: Any, at: Path) -> Path:
    return known.write(at / "pictures")


def wrapped_zip(known: Any, at: Path) -> Path:
    known.write(at / "raw" / "top" / "again")
    (at / "raw" / "__MACOSX").mkdir()
    (at / "raw" / "__MACOSX" / "._000.png").write_bytes(b"resource fork")
    return Path(shutil.make_archive(str(at / "pictures"), "zip", at / "raw"))


def tar(kind: str) -> Callable[[Any, Path], Path]:
    def make(known: Any, at: Path) -> Path:
        path = at / f"pictures.tar{kind and '.' + kind}"
        with tarfile.open(path, f"w:{kind}") as archive:
            archive.add(known.write(at / "raw"), ".")
        return path

    return make


def csv_metadata(known: Any, at: Path) -> Path:
    flat = at / "flat"
    known.write(at / "raw")
    flat.mkdir()
    with open(flat / "metadata.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file_name", "label"])
        for path in sorted((at / "raw").rglob("*.png")):
            shutil.copy(path, flat / path.name)
            rows.writerow([path.name, path.parent.name])
    return flat


def jsonl_metadata(known: Any, at: Path) -> Path:
    flat = csv_metadata(known, at)
    with open(flat / "metadata.csv", newline="") as file:
        rows = [{"file_name": row["file_name"], "label": int(row["label"])} for row in csv.DictReader(file)]
    (flat / "metadata.csv").unlink()
    (flat / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return flat


def idx_bytes(values: np.ndarray[Any, Any]) -> bytes:
    return struct.pack(f">HBB{values.ndim}i", 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


def idx(known: Any, at: Path) -> Path:
    (at / "idx").mkdir()
    (at / "idx" / "train-images-idx4-ubyte").write_bytes(idx_bytes(known.pixels))
    (at / "idx" / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(known.labels)))
    return at / "idx"


def npz(known: Any, at: Path) -> Path:
    np.savez(
        at / "a.npz", x_train=known.pixels.transpose(0, 3, 1, 2), y_train=known.labels[:, None], x_test=known.pixels
    )
    return at / "a.npz"


def medical_npz(known: Any, at: Path) -> Path:
    np.savez_compressed(at / "m.npz", train_images=known.pixels / 255, train_labels=np.eye(3)[known.labels])
    return at / "m.npz"


def parquet(known: Any, at: Path) -> Path:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    known.write(at / "raw")
    rows = [{"bytes": p.read_bytes(), "path": p.name} for p in sorted((at / "raw").rglob("*.png"))]
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": CLASSES}}
    table = pa.table({"image": rows, "label": known.labels.tolist()})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, at / "train-00000-of-00001.parquet", row_group_size=5)
    return at / "train-00000-of-00001.parquet"


MAKERS = {
    "folder": folder,
    "zip": wrapped_zip,
    "tar": tar(""),
    "tar.gz": tar("gz"),
    "tar.bz2": tar("bz2"),
    "tar.xz": tar("xz"),
    "csv": csv_metadata,
    "jsonl": jsonl_metadata,
    "idx": idx,
    "npz": npz,
    "medical npz": medical_npz,
    "parquet": parquet,
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_every_format_gives_the_same_data(make: Callable[[Any, Path], Path], known: Any, tmp_path: Path) -> None:
    source = make(known, tmp_path)
    images = gather(str(source))
    assert np.array_equal(images.pixels, known.pixels)
    assert images.labels is not None and np.array_equal(images.labels, known.labels)
    assert images.names == known.names
    assert images.fingerprint == fingerprint(known.pixels, known.labels, known.names)
    assert not images.troubles
    assert not images.pixels.flags.writeable
    seen = survey(str(source))
    assert (seen.count, seen.size, seen.channels) == (12, (10, 14), 3)
    assert seen.classes == {"0": 4, "1": 4, "2": 4}
    assert (images.image.height, images.image.width, images.image.channels) == (10, 14, 3)


def test_npy_has_no_labels(known: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", known.pixels)
    images = gather(str(tmp_path / "a.npy"))
    assert np.array_equal(images.pixels, known.pixels)
    assert images.labels is None and images.names == ()
    assert "there are no labels" in images.notes


def test_splits_by_any_of_their_names(known: Any, tmp_path: Path) -> None:
    known.write(tmp_path / "d" / "training")
    known.write(tmp_path / "d" / "validation")
    (tmp_path / "d" / "validation" / "0" / "000.png").unlink()
    shutil.rmtree(tmp_path / "d" / "validation" / "2")
    whole, part = gather(str(tmp_path / "d")), gather(str(tmp_path / "d"), split="valid")
    assert (len(whole), len(part)) == (12, 7)
    assert whole.names == part.names == ("0", "1", "2"), "a class that a split lacks keeps its number"
    assert survey(str(tmp_path / "d")).splits == ("train", "val")
    with pytest.raises(UserError, match=r"no split of .*'test'.* there are train, val"):
        gather(str(tmp_path / "d"), split="test")


def test_a_class_called_test_is_a_class(known: Any, tmp_path: Path) -> None:
    known.write(tmp_path / "d")
    (tmp_path / "d" / "0").rename(tmp_path / "d" / "test")
    assert gather(str(tmp_path / "d")).names == ("1", "2", "test")


def test_pictures_outside_classes_and_splits_are_said(known: Any, tmp_path: Path, put: Callable[..., Path]) -> None:
    known.write(tmp_path / "d")
    put(tmp_path / "d" / "loose.png", known.pixels[0])
    images = gather(str(tmp_path / "d"))
    assert images.labels is not None
    assert sorted(images.labels.tolist()) == [-1, *sorted(known.labels.tolist())]
    assert "1 of 13 pictures are without a label" in images.notes
    (tmp_path / "d").rename(tmp_path / "train")
    (tmp_path / "s").mkdir()
    (tmp_path / "train").rename(tmp_path / "s" / "train")
    put(tmp_path / "s" / "outside.png", known.pixels[0])
    assert any("1 pictures lie outside train/" in note for note in gather(str(tmp_path / "s")).notes)


def test_one_class_is_no_label_and_is_said(known: Any, tmp_path: Path, put: Callable[..., Path]) -> None:
    put(tmp_path / "d" / "train" / "cats" / "a.png", known.pixels[0])
    images = gather(str(tmp_path / "d"))
    assert images.labels is None
    assert "all labels are 'cats', so they are not used" in images.notes


def test_metadata_and_files_that_do_not_match_are_said(known: Any, tmp_path: Path, put: Callable[..., Path]) -> None:
    for name in "abc":
        put(tmp_path / "d" / f"{name}.png", known.pixels[0])
    (tmp_path / "d" / "metadata.csv").write_text("file_name,label\na.png,cat\nb.png,dog\ngone.png,cat\n")
    images = gather(str(tmp_path / "d"))
    assert images.labels is not None and images.labels.tolist() == [0, 1, -1]
    assert images.names == ("cat", "dog")
    assert [(t.file, t.reason) for t in images.troubles] == [("gone.png", "listed in the metadata, but not there")]
    assert "1 files are not in the metadata" in images.notes


def test_metadata_without_labels_is_said(known: Any, tmp_path: Path, put: Callable[..., Path]) -> None:
    put(tmp_path / "d" / "a.png", known.pixels[0])
    (tmp_path / "d" / "metadata.jsonl").write_text('{"file_name": "a.png", "text": "a cat"}\n')
    images = gather(str(tmp_path / "d"))
    assert images.labels is None
    assert any("has no column label (it has file_name, text)" in note for note in images.notes)


def test_numbers_are_sorted_by_value(known: Any, tmp_path: Path, put: Callable[..., Path]) -> None:
    for name in ("10", "9", "2"):
        put(tmp_path / "d" / name / "a.png", known.pixels[0])
    assert gather(str(tmp_path / "d")).names == ("2", "9", "10")


def test_text_labels_of_arrays(known: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=known.pixels[:3], labels=np.array(["tulip", "rose", "tulip"]))
    images = gather(str(tmp_path / "a.npz"))
    assert images.names == ("rose", "tulip")
    assert images.labels is not None and images.labels.tolist() == [1, 0, 1]


def test_idx_variants_keep_apart(known: Any, tmp_path: Path) -> None:
    for stem in ("emnist-letters-train", "emnist-digits-train"):
        (tmp_path / f"{stem}-images-idx4-ubyte").write_bytes(idx_bytes(known.pixels))
    assert survey(str(tmp_path), "emnist-digits-train").splits == ("emnist-digits-train", "emnist-letters-train")


def test_idx_inside_a_zip(known: Any, tmp_path: Path) -> None:
    path = shutil.make_archive(str(tmp_path / "m"), "zip", idx(known, tmp_path))
    assert np.array_equal(gather(path).pixels, known.pixels)


def test_digits() -> None:
    train, test = gather("digits"), gather("digits", split="test")
    assert train.pixels.shape == (10_000, 28, 28, 1) and test.pixels.shape == (2_000, 28, 28, 1)
    assert train.names == tuple("0123456789")
    assert train.labels is not None and train.labels[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert gather("digits").fingerprint == train.fingerprint


def test_linked_folders_are_followed_once(known: Any, tmp_path: Path) -> None:
    known.write(tmp_path / "far")
    (tmp_path / "d").mkdir()
    for name in known.names:
        (tmp_path / "d" / name).symlink_to(tmp_path / "far" / name)
    (tmp_path / "far" / "0" / "loop").symlink_to(tmp_path / "far" / "0")
    assert len(gather(str(tmp_path / "d"))) == 12


class TestHub:
    """The Hub's client is replaced by a folder; what is chosen and downloaded is real."""

    @pytest.fixture
    def asked(self, known: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str | None, list[str]]:
        table = parquet(known, tmp_path)
        files: dict[str | None, list[str]] = {None: ["README.md"], hub.CONVERTED: []}

        def download(repo: str, revision: str | None, wanted: list[str]) -> Path:
            root = tmp_path / "snapshot" / repo.replace("/", "--")
            for file in wanted:
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(table, root / file)
            return root

        monkeypatch.setattr(hub, "list_files", lambda repo, revision: files[revision])
        monkeypatch.setattr(hub, "download", download)
        return files

    def test_parquet_in_the_repository(self, asked: dict[str | None, list[str]], known: Any) -> None:
        asked[None] = ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "data/test-0.parquet"]
        images = gather("hf:someone/pictures")
        assert len(images) == 24 and images.names == known.names
        assert np.array_equal(images.pixels[12:], known.pixels)

    def test_the_converted_copy(self, asked: dict[str | None, list[str]], known: Any) -> None:
        asked[hub.CONVERTED] = ["default/train/0000.parquet", "default/test/0000.parquet"]
        assert np.array_equal(gather("hf:someone/pictures", split="test").pixels, known.pixels)

    def test_configurations_must_be_chosen(self, asked: dict[str | None, list[str]], known: Any) -> None:
        asked[None] = ["big/train-00000-of-00001.parquet", "small/train-00000-of-00001.parquet"]
        with pytest.raises(UserError, match="hf:someone/pictures/big, hf:someone/pictures/small"):
            gather("hf:someone/pictures")
        assert len(gather("hf:someone/pictures/small")) == 12

    def test_no_parquet_at_all(self, asked: dict[str | None, list[str]]) -> None:
        with pytest.raises(UserError, match="hf:someone/pictures: the Hub has no parquet files"):
            gather("hf:someone/pictures")

    def test_out_of_reach(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> list[str]:
            raise OSError("no route to host")

        monkeypatch.setattr(hub, "list_files", refuse)
        with pytest.raises(UserError, match=r"cannot be had from the Hub \(no route to host\)"):
            gather("hf:someone/pictures")

    def test_extra_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
        with pytest.raises(UserError, match=r"pip install 'limner\[hub\]'"):
            gather("hf:someone/pictures")
        with pytest.raises(UserError, match="write it as hf:owner/name"):
            gather("hf:alone")


def test_parquet_needs_its_extra(known: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = parquet(known, tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install 'limner\[hub\]'"):
        gather(str(table))


def test_parquet_that_holds_only_paths(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    rows = pa.array([{"bytes": None, "path": "a.png"}], pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    pq.write_table(pa.table({"image": rows}), tmp_path / "mine.parquet")
    with pytest.raises(UserError, match=r"no usable picture in 1 files; .* holds only its path; embed"):
        gather(str(tmp_path / "mine.parquet"))


def test_zip_in_memory_is_read_on_threads(tmp_path: Path, known: Any) -> None:
    from PIL import Image

    with zipfile.ZipFile(tmp_path / "many.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(500):
            buffer = io.BytesIO()
            Image.fromarray(np.full((8, 8), i % 256, np.uint8)).save(buffer, "PNG")
            archive.writestr(f"{i:04}.png", buffer.getvalue())
    assert gather(str(tmp_path / "many.zip")).pixels[:, 0, 0, 0].tolist() == [i % 256 for i in range(500)]
