"""uint8 ↔ [-1, 1] loses nothing; grids put every picture where it belongs; PNG files hold what was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from limner.core.errors import UserError
from limner.core.pixels import enlarge, grid, save_gif, save_png, to_bytes, to_float


def pictures(n: int, h: int, w: int, c: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, h, w, c), dtype=np.uint8)


def test_all_256_values_come_back() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    assert np.array_equal(to_bytes(to_float(every)), every)


def test_range_and_layout() -> None:
    images = pictures(2, 3, 5, 4)
    images[0, 0, 0] = 0, 255, 0, 255
    x = to_float(images)
    assert x.shape == (2, 4, 3, 5) and x.is_contiguous(memory_format=torch.channels_last)
    assert x[0, :, 0, 0].tolist() == [-1, 1, -1, 1]
    assert np.array_equal(to_bytes(x), images)


def test_what_is_outside_is_clipped_and_the_rest_rounded() -> None:
    x = torch.tensor([-7.0, -1.0, 0.0, 1 / 127.5, 1.49 / 127.5, 1.0, 7.0]).view(1, 1, 1, 7)
    assert to_bytes(x).ravel().tolist() == [0, 0, 128, 128, 129, 255, 255]


def test_read_only_bytes_stay_as_they_are() -> None:
    images = pictures(1, 2, 2, 1)
    before = images.copy()
    images.flags.writeable = False
    to_float(images).zero_()
    assert np.array_equal(images, before)


sides = st.integers(1, 5)


@given(st.integers(1, 12), sides, sides, st.integers(1, 4), st.integers(0, 3), sides)
def test_grid_holds_every_picture_in_order(n: int, h: int, w: int, c: int, gap: int, columns: int) -> None:
    images = pictures(n, h, w, c)
    sheet = grid(images, columns, gap)
    rows = -(-n // columns)
    assert sheet.shape == (gap + rows * (h + gap), gap + columns * (w + gap), c)
    ground = np.ones(sheet.shape[:2], bool)
    for k in range(n):
        top, left = gap + k // columns * (h + gap), gap + k % columns * (w + gap)
        assert np.array_equal(sheet[top : top + h, left : left + w], images[k])
        ground[top : top + h, left : left + w] = False
    assert (sheet[ground] == 128).all()


@pytest.mark.parametrize(("n", "shape"), [(1, (1, 1)), (4, (2, 2)), (5, (2, 3)), (16, (4, 4))])
def test_grid_is_nearly_square_by_default(n: int, shape: tuple[int, int]) -> None:
    assert grid(pictures(n, 4, 4, 1), gap=0).shape[:2] == (4 * shape[0], 4 * shape[1])


def test_enlarge_repeats_pixels() -> None:
    picture = pictures(1, 2, 3, 3)[0]
    large = enlarge(picture, 4)
    assert large.shape == (8, 12, 3)
    assert all(np.array_equal(large[i::4, j::4], picture) for i in range(4) for j in range(4))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_holds_what_was_written(tmp_path: Path, channels: int) -> None:
    picture = pictures(1, 5, 7, channels)[0]
    path = save_png(picture, tmp_path / "new" / "a.png")
    with Pillow.open(path) as opened:
        assert np.array_equal(np.asarray(opened).reshape(5, 7, channels), picture)
    assert [p.name for p in path.parent.iterdir()] == ["a.png"]


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_a_picture_that_fails_leaves_nothing(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Pillow.Image, path: Path, *_: object, **__: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(Pillow.Image, "save", full)
    bytes_ = pictures(1, 4, 4, 1)[0]
    with pytest.raises(OSError, match="No space"):
        save_png(bytes_, tmp_path / "a.png") if suffix == ".png" else save_gif([bytes_, bytes_], tmp_path / "a.gif")
    assert not list(tmp_path.iterdir())


def test_five_channels_are_no_picture(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="1 to 4 channels, not 5"):
        save_png(pictures(1, 2, 2, 5)[0], tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
