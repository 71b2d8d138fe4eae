"""Real data sets, where they lie beside the repository; their statistics are those their makers publish."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.data.doctor import examine
from limner.data.gather import gather, survey


@pytest.fixture(scope="module", autouse=True)
def own_cache() -> None:
    """These tests share the cache of the whole run."""


@pytest.mark.parametrize(("name", "mean", "std"), [("mnist", 0.1307, 0.3081), ("fashion-mnist", 0.2860, 0.3530)])
def test_idx_folders(shared: Path, name: str, mean: float, std: float) -> None:
    found = examine(str(shared / "data" / name))
    assert found.images.pixels.shape == (60_000, 28, 28, 1)
    assert found.mean[0] == pytest.approx(mean, abs=5e-5) and found.std[0] == pytest.approx(std, abs=5e-5)
    assert found.survey.splits == ("test", "train") and len(found.images.names) == 10
    assert len(gather(str(shared / "data" / name), split="test")) == 10_000


def test_the_built_in_digits_are_the_first_of_mnist(shared: Path) -> None:
    for split, count in (("train", 10_000), ("test", 2_000)):
        whole, ours = gather(str(shared / "data" / "mnist"), split=split), gather("digits", split=split)
        assert np.array_equal(whole.pixels[:count], ours.pixels)
        assert whole.labels is not None and np.array_equal(whole.labels[:count], ours.labels)


def test_a_zip_of_flowers(shared: Path) -> None:
    source = str(shared / "data" / "flowers" / "flowers128.zip")
    test = gather(source, size=(64, 64), split="test")
    assert test.pixels.shape == (364, 64, 64, 3) and not test.troubles
    assert test.labels is not None and np.bincount(test.labels).tolist() == [63, 89, 64, 69, 79]
    train = survey(source)
    assert train.classes == {"daisy": 570, "dandelion": 809, "roses": 576, "sunflowers": 628, "tulips": 719}
    assert (train.count, train.size, train.channels, train.troubles) == (3302, (128, 128), 3, ())


def test_photographs_of_many_sizes(shared: Path) -> None:
    images = gather(str(shared / "data" / "flowers" / "flowers-fullsize-40.zip"))
    assert images.pixels.shape == (40, 64, 64, 3)
    assert images.labels is not None and np.bincount(images.labels).tolist() == [8] * 5
    assert any("pictures have 20 sizes" in note for note in images.notes)


def test_kodak_both_ways_up(shared: Path) -> None:
    images = gather(str(shared / "data" / "kodak24"), size=(96, 64))
    assert images.pixels.shape == (24, 96, 64, 3) and images.labels is None
    assert survey(str(shared / "data" / "kodak24")).sizes == {(512, 768): 18, (768, 512): 6}


def test_cifar_as_npz(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "cifar10"
    with Image.open(folder / "test-10000.webp") as picture:
        mosaic = np.asarray(picture.convert("RGB"))
    pixels = mosaic.reshape(100, 32, 100, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3)
    labels = np.frombuffer(gzip.decompress((folder / "test-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    np.savez(tmp_path / "cifar.npz", x_test=pixels.transpose(0, 3, 1, 2), y_test=labels)
    images = gather(str(tmp_path / "cifar.npz"), split="test")
    assert np.array_equal(images.pixels, pixels)
    assert images.labels is not None and np.bincount(images.labels).tolist() == [1000] * 10
    found = examine(str(tmp_path / "cifar.npz"), "test")
    assert found.mean == pytest.approx((0.494, 0.485, 0.450), abs=2e-3)
