"""A caption stands below a picture, which stays as it was, and is broken into lines where it is too long."""

from __future__ import annotations

import numpy as np
import pytest

from limner.core.caption import captioned

WORDS = ["12,000 images", "lattice 1.1", "tiling 1.0", "burnt 1.3 (!)", "contrast 1.0", "near-twins 0.9"]


@pytest.mark.parametrize("c", [1, 2, 3, 4])
@pytest.mark.parametrize("wide", [514, 200, 20])
def test_the_picture_stays_and_words_stand_below_it(wide: int, c: int) -> None:
    sheet = np.random.default_rng(0).integers(0, 256, (60, wide, c), dtype=np.uint8)
    made = captioned(sheet, WORDS)
    assert made.dtype == np.uint8 and np.array_equal(made[:60], sheet)
    strip = made[60:]
    assert np.array_equal(captioned(sheet, WORDS), made), "the same words give the same pixels"
    colours = strip[:, :, : c if c in (1, 3) else c - 1]
    assert (colours == colours[:, :, :1]).all() and colours.max() == 255 and colours.min() < 80
    assert c in (1, 3) or (strip[:, :, -1] == 255).all()


def test_long_captions_take_more_lines_and_lose_no_word() -> None:
    """Ink is the same in one line and in several: nothing is cut off where there is room for the longest word."""
    sheets = [np.zeros((10, wide, 1), np.uint8) for wide in (600, 260, 110)]
    strips = [captioned(sheet, WORDS)[10:] for sheet in sheets]
    heights = [len(strip) for strip in strips]
    assert heights == sorted(heights) and heights[0] < heights[1] < heights[2]
    ink = [int((255 - strip.astype(int)).sum()) for strip in strips]
    assert max(ink) - min(ink) < 0.03 * max(ink)
