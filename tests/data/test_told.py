"""Several answers at once and continuous labels: from a metadata file to what a network is told and asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limner.core.errors import UserError
from limner.core.pixels import Image
from limner.data.batches import Batches
from limner.data.gather import gather
from limner.likeness import Likeness, load
from limner.models.plain import PlainGenerator

ROWS = "file_name,smile,age,name\na.png,1,20,Ann\nb.png,0,80,Bob\nc.png,1,,Cy\nd.png,0.5,50,Di\n"


@pytest.fixture
def faces(known: Any, tmp_path: Path, put: Callable[..., Path]) -> Path:
    for number, name in enumerate("abcde"):
        put(tmp_path / "faces" / f"{name}.png", known.pixels[number])
    (tmp_path / "faces" / "metadata.csv").write_text(ROWS)
    return tmp_path / "faces"


def test_columns_of_numbers_are_told_between_0_and_1(faces: Path) -> None:
    images = gather(str(faces))
    assert images.names == ("smile", "age") and images.labels is None
    wanted = [[1, 0], [0, 1], [1, np.nan], [0.5, 0.5], [np.nan, np.nan]]
    np.testing.assert_array_equal(images.numbers, np.array(wanted, np.float32))
    assert "labels are the numbers smile, age" in images.notes and "age 20 is told as 0, 80 as 1" in images.notes
    assert images.counts()[:3] == ([1.0, 0.0], [0.0, 1.0], [1.0, None])


def test_they_come_out_of_the_cache_as_they_went_in_and_count_in_the_fingerprint(faces: Path) -> None:
    first, again = gather(str(faces)), gather(str(faces))
    np.testing.assert_array_equal(first.numbers, again.numbers)
    (faces / "metadata.csv").write_text(ROWS.replace("0.5,50", "0.5,51"))
    assert gather(str(faces)).fingerprint != first.fingerprint == again.fingerprint


def test_a_batch_brings_them(faces: Path) -> None:
    images = gather(str(faces))
    source = Batches(images, 5, 0)
    batch = source.at(0)
    assert batch.label is not None and batch.label.dtype == torch.float32
    np.testing.assert_array_equal(batch.label.numpy(), images.numbers[source.indices(0)])


def test_classes_come_before_numbers(faces: Path, known: Any, put: Callable[..., Path]) -> None:
    (faces / "metadata.csv").write_text("file_name,label,age\na.png,cat,1\nb.png,dog,2\n")
    images = gather(str(faces))
    assert images.numbers is None and images.names == ("cat", "dog")


@pytest.mark.parametrize("column", ["x\na.png,7\nb.png,7", "x\na.png,1\nb.png,red", "x\na.png,\nb.png,"])
def test_what_is_not_numbers_or_says_nothing_is_no_label(faces: Path, column: str) -> None:
    (faces / "metadata.csv").write_text(f"file_name,{column}\n")
    images = gather(str(faces))
    assert images.numbers is None and images.labels is None and images.names == ()


def likeness() -> Likeness:
    torch.manual_seed(0)
    net = PlainGenerator(Image(1, 4, 4), classes=2, width=8).eval()
    return Likeness({"generator": net}, ("smile", "age"), {"counts": [[1.0, 0.25], [0.0, 0.75], [1.0, None]]})


def test_samples_are_told_what_is_asked_and_the_rest_as_it_occurs(tmp_path: Path) -> None:
    model = load(likeness().save(tmp_path / "model.safetensors"))
    drawn = model.labels(200, seed=1)
    assert drawn is not None and drawn.shape == (200, 2)
    assert {tuple(row) for row in np.nan_to_num(drawn, nan=-1).tolist()} == {(1, 0.25), (0, 0.75), (1, -1)}
    asked = model.labels(50, 1, "age=0.3")
    assert asked is not None and (asked[:, 1] == np.float32(0.3)).all() and set(asked[:, 0]) == {0.0, 1.0}
    assert model.labels(4, 0, "all").tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]  # pyright: ignore
    assert model.sample(3, label="smile=1, age=0").shape == (3, 4, 4, 1)


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("smlie=1", "did you mean smile"),
        ("age=old", "from 0 to 1"),
        ("age=50", "from 0 to 1"),
        ("age=nan", "0 to 1"),
        ("age", "age=1"),
    ],
)
def test_a_mistyped_number_is_said(label: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        likeness().labels(2, 0, label)
