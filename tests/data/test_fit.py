"""Pictures cropped, padded and cut to a model's size, and put together again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from limner.data.fit import Fit, fit
from limner.data.whole import Whole


def whole(height: int, width: int, channels: int = 3, alpha: bool = False) -> Whole:
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Whole("a/b.jpg", colours, colours[:, :, 0] if alpha else None, {"dpi": (3, 3)})


@pytest.mark.parametrize("size", [(8, 8), (9, 21), (33, 17), (5, 40), (3, 4), (100, 64)])
def test_tiles_put_together_are_the_picture(size: tuple[int, int]) -> None:
    """Exactly: what all tiles agree on is not changed by blending them."""
    one = whole(*size)
    cut = fit(one, (8, 12), 3, "tile")
    assert cut.pieces.shape[1:] == (8, 12, 3) and np.array_equal(cut.joined(cut.pieces), one.colours)
    assert cut.whole.info == one.info
    covered = np.zeros(size, int)
    for top, left in cut.places:
        covered[top : top + 8, left : left + 12] += 1
    assert covered.min() >= 1


def test_neighbouring_tiles_fade_into_each_other() -> None:
    cut = fit(whole(8, 20, 1), (8, 12), 1, "tile")
    pieces = np.stack([np.full((8, 12, 1), 100 * k, np.uint8) for k in range(len(cut.pieces))])
    row = cut.joined(pieces)[4, :, 0].astype(int)
    assert row[0] == 0 and row[-1] == 100 * (len(pieces) - 1) and (np.diff(row) >= 0).all() and np.diff(row).max() < 60


@pytest.mark.parametrize(("size", "place"), [((20, 10), (8, 4)), ((10, 20), (4, 8)), ((4, 2), (8, 4))])
def test_a_padded_picture_is_whole_and_in_the_middle(size: tuple[int, int], place: tuple[int, int]) -> None:
    cut = fit(whole(*size), (8, 8), 3, "pad")
    assert cut.pieces.shape == (1, 8, 8, 3)
    made = cut.joined(cut.pieces)
    assert made.shape[:2] == place and np.array_equal(made, cut.whole.colours)
    side = (8 - place[1]) // 2
    if side:
        assert np.array_equal(cut.pieces[0][:, 0], cut.pieces[0][:, side])  # the edge is repeated


def test_a_cropped_picture_is_the_middle_reduced_as_data_is() -> None:
    from PIL import Image

    from limner.data.decode import fitted

    one = whole(40, 90, alpha=True)
    cut = fit(one, (8, 8), 3)
    assert np.array_equal(cut.pieces[0], fitted(Image.fromarray(one.colours), (8, 8), 3))
    assert cut.whole.alpha is not None and cut.whole.alpha.shape == (8, 8)
    assert np.array_equal(cut.joined(cut.pieces), cut.pieces[0])


@pytest.mark.parametrize("how", ["crop", "pad", "tile"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_any_colouring_fits_any_model(how: Fit, channels: int) -> None:
    for given in (whole(20, 30, 1), whole(20, 30, 3), whole(20, 30, 3, alpha=True)):
        cut = fit(given, (8, 8), channels, how)
        assert cut.pieces.shape[1:] == (8, 8, channels) and cut.pieces.dtype == np.uint8
        if channels in (2, 4) and given.alpha is None:
            assert (cut.pieces[..., -1] == 255).all()


def test_a_picture_of_the_size_is_left_alone() -> None:
    one = whole(8, 8)
    ways: list[Any] = ["crop", "pad", "tile"]
    for how in ways:
        assert np.array_equal(fit(one, (8, 8), 3, how).pieces[0], one.colours)
