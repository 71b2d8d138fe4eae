"""Arrays: every usual layout, number type and range comes out as the same pictures; anything else is one line."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from limner.core.errors import UserError
from limner.data.arrays import stacked
from limner.data.gather import gather, survey
from limner.data.labels import numbered
from limner.data.levels import Levels, levels_of

UINT8 = arrays(np.uint8, st.tuples(st.integers(1, 4), st.integers(5, 9), st.integers(5, 9), st.integers(1, 4)))


@given(UINT8)
def test_layouts_and_types_round_trip(pixels: Any) -> None:
    pixels[0, 0, 0, 0], pixels[0, 0, 1, 0], pixels[0, 0, 2, 0] = 0, 255, 128
    given = {
        "bytes": pixels,
        "channels first": pixels.transpose(0, 3, 1, 2),
        "int64": pixels.astype(np.int64),
        "16 bit": pixels.astype(np.uint16) * 257,
        "0..1": (pixels / 255).astype(np.float32),
        "-1..1": (pixels / 127.5 - 1).astype(np.float32),
        "0..255": pixels.astype(np.float16),
    }
    for name, values in given.items():
        stack, notes = stacked(values, "a.npy")
        assert np.array_equal(stack.rows(0, len(pixels)), pixels), name
        assert bool(notes) == (name in ("16 bit", "0..1", "-1..1")), "a change of scale is said"


@given(arrays(np.uint8, st.tuples(st.integers(1, 4), st.integers(5, 9), st.integers(5, 9))))
def test_grey_arrays_get_a_channel(pixels: Any) -> None:
    assert np.array_equal(stacked(pixels, "a.npy")[0].rows(0, 9)[..., 0], pixels)


def test_levels() -> None:
    assert levels_of(np.array([True, False])) == Levels(0, 1)
    assert levels_of(np.array([0, 300], np.int32)) == Levels(0, 65535)
    assert Levels(-1, 1).to_bytes(np.array([-1.0, 0.0, 1.0])).tolist() == [0, 128, 255]
    for bad in ([0.0, 300.0], [float("nan")], [-5, 5], ["a"], [1j]):
        with pytest.raises(ValueError):
            levels_of(np.array(bad))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"weights": np.zeros((2, 9, 9))}, "no key is called images, x, arr_0 or x_train; its keys are weights"),
        ({"images": np.zeros((2, 9, 9)), "labels": np.zeros(3, int)}, r"3 labels \(labels\) for 2 pictures"),
        ({"x": np.zeros((2, 81))}, r"shape \(2, 81\) is not .* reshape it"),
        ({"x": np.zeros((2, 9, 9, 7))}, r"shape \(2, 9, 9, 7\) is not"),
        ({"x": np.zeros((90, 90, 3))}, r"shape \(90, 90, 3\) is not"),
        ({"x": np.zeros((0, 9, 9))}, "it is empty"),
        ({"x": np.full((2, 9, 9), 300.0)}, "values run from 300 to 300; scale them to one of 0..1, -1..1, 0..255"),
        ({"x": np.full((2, 9, 9), np.nan)}, "not finite"),
        ({"x": np.zeros((2, 9, 9)), "y": np.array([0.5, 1])}, "labels are not whole numbers"),
        ({"x": np.zeros((2, 9, 9)), "y": np.full((2, 5), 7)}, r"labels of shape \(2, 5\)"),
        ({"x": np.array([[["a"] * 9] * 9])}, "not numbers"),
    ],
)
def test_what_is_not_pictures_is_one_line(content: Any, message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **content)
    for look in (gather, survey):
        with pytest.raises(UserError, match=message) as caught:
            look(str(tmp_path / "a.npz"))
        assert "\n" not in str(caught.value) and "a.npz" in str(caught.value)


def test_python_objects_are_never_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    np.save(tmp_path / "a.npy", np.array([Trap()], object), allow_pickle=True)
    np.savez(tmp_path / "b.npz", x=np.array([Trap()], object), allow_pickle=True)
    for name in ("a.npy", "b.npz"):
        with pytest.raises(UserError, match="Python objects are never loaded"):
            gather(str(tmp_path / name))
    assert not (tmp_path / "sprung").exists()


def test_labels_of_all_kinds() -> None:
    assert numbered({"": np.array([2, 0, -1])}, "a")[1] == ("0", "1", "2")
    assert numbered({"": np.array([[0, 1], [1, 0]])}, "a")[0][""].tolist() == [1, 0]
    labels, names = numbered({"train": np.array([10**9, 5]), "test": np.array([5])}, "a")
    assert names == ("5", "1000000000") and labels["train"].tolist() == [1, 0] and labels["test"].tolist() == [0]


def test_other_sizes_and_channels_of_an_array(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full((3, 20, 30, 4), (10, 20, 30, 255), np.uint8))
    images = gather(str(tmp_path / "a.npy"))
    assert images.pixels.shape == (3, 20, 30, 3), "alpha that is nowhere used is left out"
    assert gather(str(tmp_path / "a.npy"), size=(8, 8), channels=4).pixels[2, 3, 3].tolist() == [10, 20, 30, 255]
    assert gather(str(tmp_path / "a.npy"), size=(8, 8), channels=1).pixels.shape == (3, 8, 8, 1)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "a.zip": (lambda p: p.write_bytes(b"PK\3\4 and then nothing"), "broken archive"),
    "b.zip": (lambda p: p.touch(), "broken archive"),
    "c.tar.gz": (lambda p: p.write_bytes(gzip.compress(b"no tar at all, only words" * 99)), "broken archive"),
    "d.tar.gz": (lambda p: p.write_bytes(gzip.compress(bytes(9000))[:-9]), "broken archive"),
    "e.npy": (lambda p: p.write_bytes(b"\x93NUMPY\1\0v\0{'descr'"), "broken array"),
    "f.npz": (lambda p: p.write_bytes(b"PK nothing"), "not an array|broken array"),
    "g.npy": (lambda p: p.touch(), "broken array|not an array"),
    "h.parquet": (lambda p: p.write_bytes(b"PAR1 nothing PAR1"), "broken parquet"),
    "i-images-idx3-ubyte": (lambda p: p.write_bytes(b"\0\0\x08\3"), "give the folder it lies in"),
    "j.txt": (lambda p: p.write_text("words"), "no usable picture in 1 files"),
    "k.zip": (lambda p: zipfile.ZipFile(p, "w").close(), "it is empty"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_one_line(name: str, tmp_path: Path) -> None:
    make, message = BROKEN[name]
    make(tmp_path / name)
    with pytest.raises(UserError, match=message) as caught:
        gather(str(tmp_path / name))
    assert "\n" not in str(caught.value) and name in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0\0\x08\3" + bytes(12) + b"x", "1 bytes where its header says"),
        (b"words", "not an IDX file"),
        (b"\x1f\x8b broken", "broken gzip"),
        (b"\0\0\x08\1\0\0\0\2ab", "shape .2,. is not"),
    ],
)
def test_broken_idx_is_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(UserError, match=message):
        gather(str(tmp_path))


def test_missing_things_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "flowers").mkdir()
    with pytest.raises(UserError, match=r"no such file or folder; did you mean .*flowers\?"):
        gather(str(tmp_path / "flwers"))
    with pytest.raises(UserError, match="type digits"):
        gather("zzzz")
    with pytest.raises(UserError, match="flowers: it is empty"):
        gather(str(tmp_path / "flowers"))
    np.save(tmp_path / "flowers" / "a.npy", np.zeros((2, 9, 9), np.uint8))
    with pytest.raises(UserError, match=r"holds an array, not pictures; type .*a\.npy"):
        gather(str(tmp_path / "flowers"))
    with pytest.raises(UserError, match="has no splits; leave out --split"):
        gather(str(tmp_path / "flowers" / "a.npy"), split="test")
    with pytest.raises(UserError, match="no split of digits 'tset'; did you mean test"):
        gather("digits", split="tset")
    with pytest.raises(UserError, match="--size 0x8"):
        gather("digits", size=(0, 8))
    with pytest.raises(UserError, match="5 channels"):
        gather("digits", channels=5)


def test_names_beside_whole_numbers_are_their_names(tmp_path: Path) -> None:
    """As `limner sample --out X.npz` writes them; too few of them, or twice the same, name nothing."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
    labels = np.array([0, 1, 0, 2, 1, 2])
    for number, (names, read) in enumerate([
        (["rose", "iris", "daisy"], ("rose", "iris", "daisy")),
        (["rose", "iris", "daisy", "tulip"], ("rose", "iris", "daisy", "tulip")),
        (["rose", "iris"], ("0", "1", "2")),
        (["rose", "rose", "iris"], ("0", "1", "2")),
    ]):  # fmt: skip
        np.savez(tmp_path / f"{number}.npz", images=pixels, labels=labels, names=np.array(names))
        images = gather(str(tmp_path / f"{number}.npz"))
        assert images.names == read and images.labels is not None and images.labels.tolist() == labels.tolist()
