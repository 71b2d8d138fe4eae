"""The size of pictures by the time: against brute force, and the table of learning curves at its own points."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.core.pixels import Image
from limner.recipes.recognisable import COLOUR, GREY, images_needed
from limner.recipes.sizes import TRAINING, Speed, candidates, choose

SIZES = [(32, 32), (64, 64), (128, 128)]


def test_at_its_own_points_the_curve_is_the_table() -> None:
    assert {side: images_needed(Image(3, side, side)) for side in COLOUR} == COLOUR
    assert {side: images_needed(Image(1, side, side)) for side in GREY} == GREY


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_larger_pictures_need_more_and_tiny_ones_no_less_than_the_smallest(channels: int) -> None:
    needed = [images_needed(Image(channels, side, side)) for side in range(8, 300)]
    assert all(a <= b for a, b in pairwise(needed))
    assert needed[0] == images_needed(Image(channels, 28, 28)) == images_needed(Image(channels, 32, 32))


def test_between_two_points_it_is_a_power_law_and_beyond_the_last_it_goes_on() -> None:
    assert images_needed(Image(3, 48, 48)) ** 2 == pytest.approx(
        images_needed(Image(3, 36, 36)) * images_needed(Image(3, 64, 64)), rel=1e-3
    )
    assert images_needed(Image(3, 256, 256)) == pytest.approx(COLOUR[128] ** 2 / COLOUR[64], rel=1e-3)
    assert images_needed(Image(3, 32, 128)) == COLOUR[64], "as many pixels, as many images"


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({(28, 28): 9}, [(28, 28)]),
        ({(32, 32): 9}, [(32, 32)]),
        ({(48, 48): 9}, [(32, 32), (48, 48)]),
        ({(96, 64): 9}, [(32, 32), (96, 64)]),
        ({(128, 128): 9}, [(32, 32), (64, 64), (128, 128)]),
        ({(256, 256): 9}, [(32, 32), (64, 64), (128, 128)]),
        ({(768, 512): 6, (512, 768): 18}, [(32, 32), (64, 64), (128, 128)]),
        ({(100, 120): 5, (90, 200): 5}, [(32, 32), (64, 64)]),
        ({(500, 400): 99, (20, 20): 1}, [(32, 32), (64, 64), (128, 128)]),  # one small one among many
        ({(500, 400): 50, (40, 40): 50}, [(32, 32)]),
        ({(20, 24): 5, (24, 20): 5}, [(32, 32)]),
    ],
)
def test_sizes_worth_trying(sizes: dict[tuple[int, int], int], expected: list[tuple[int, int]]) -> None:
    assert candidates(sizes, 128) == expected


@given(st.floats(1, 1e6), st.lists(st.floats(0.1, 1e5), min_size=3, max_size=3))
def test_the_largest_size_that_can_be_done(seconds: float, speeds: list[float]) -> None:
    """Larger pictures are slower, so what is done in time are the first of the list."""
    table = dict(zip(SIZES, sorted(speeds, reverse=True), strict=True))
    tried: list[tuple[int, int]] = []

    def measure(size: tuple[int, int]) -> Speed:
        tried.append(size)
        return Speed(Image(3, *size), table[size])

    choice = choose(SIZES, measure, seconds)
    fitting = [s for s in SIZES if images_needed(Image(3, *s)) <= seconds * TRAINING * table[s] * (1 + 1e-12)]
    assert choice.speed.image == Image(3, *(fitting or SIZES)[-1 if fitting else 0])
    assert choice.fits == bool(fitting)
    assert tried == SIZES[: len(fitting) + 1], "no time is lost with sizes beyond the first that is too large"
    larger = SIZES[len(fitting)] if 0 < len(fitting) < len(SIZES) else None
    assert (choice.larger and choice.larger.image) == (larger and Image(3, *larger))
