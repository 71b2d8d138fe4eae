"""Pictures of another shape are cropped, or padded and kept whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from limner.data.decode import fitted, refitted
from limner.data.gather import gather


def test_padding_keeps_every_pixel_of_a_small_picture() -> None:
    small = np.random.default_rng(0).integers(0, 200, (5, 3, 1), dtype=np.uint8)
    small[0], small[-1], small[:, 0], small[:, -1] = 7, 7, 7, 7
    padded = refitted(small, (8, 9), 1, "pad")
    assert padded.shape == (8, 9, 1) and np.array_equal(padded[1:6, 3:6], small)
    around = np.ones((8, 9), bool)
    around[1:6, 3:6] = False
    assert (padded[around] == 7).all()


def test_padding_shows_all_of_a_large_picture_and_cropping_its_centre() -> None:
    wide = np.zeros((40, 80, 3), np.uint8)
    wide[:, :20], wide[:, 60:] = (255, 0, 0), (0, 0, 255)
    padded, cropped = (fitted(Pillow.fromarray(wide), (20, 20), 3, fit) for fit in ("pad", "crop"))
    assert tuple(padded[10, 1]) == (255, 0, 0) and tuple(padded[10, 18]) == (0, 0, 255)
    assert cropped[:, 1:-1].max() < 20, "red and blue lie outside the centre"
    assert len(np.unique(padded[:5].reshape(-1, 3), axis=0)) == 1, "one colour above"


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_equal_size_is_left_alone(channels: int) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (6, 7, channels), dtype=np.uint8)
    if channels in (2, 4):
        picture[..., -1] = 255
    for fit in ("pad", "crop"):
        assert np.array_equal(refitted(picture, (6, 7), channels, fit), picture)


def test_gather_pads_and_keeps_both_ways_apart(tmp_path: Path) -> None:
    array = np.full((5, 4, 5), 50, np.uint8)
    np.save(tmp_path / "x.npy", array)
    cropped = gather(str(tmp_path / "x.npy"), size=(6, 8))
    padded = gather(str(tmp_path / "x.npy"), size=(6, 8), fit="pad")
    assert cropped.pixels.shape == padded.pixels.shape == (5, 6, 8, 1)
    assert "padded to 6×8" in " ".join(padded.notes) and "enlarged" in " ".join(cropped.notes)
    assert (padded.pixels == 50).all()
    assert gather(str(tmp_path / "x.npy"), size=(6, 8)).notes == cropped.notes
