"""Times, counts and sizes as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.cli.values import amount, count, duration, seconds, size
from limner.core.errors import UserError


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90), ("90", 90), ("10m", 600), ("1h30m", 5400), ("1.5h", 5400), ("2d", 172_800), ("1h2m3s", 3723)],
)
def test_times(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("60_000", 60_000), ("500k", 500_000), ("2M", 2_000_000), ("1.5M", 1_500_000)]
)
def test_counts(text: str, expected: int) -> None:
    assert count(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("64", (64, 64)), ("96x64", (96, 64)), ("96×64", (96, 64))])
def test_sizes(text: str, expected: tuple[int, int]) -> None:
    assert size(text) == expected


@pytest.mark.parametrize("read", [seconds, count, size])
@pytest.mark.parametrize("text", ["", "0", "-1", "x", "1y", "m", "1..2", "1m30", "64x", "x64", "1.0000001"])
def test_nonsense_is_answered_with_how_to_write_it(read: object, text: str) -> None:
    good = {(seconds, "1m30"), (seconds, "1.0000001")}
    if (read, text) in good:
        return
    with pytest.raises(UserError, match="write"):
        read(text)  # type: ignore[operator]


@given(st.integers(1, 10**6), st.sampled_from("smhd"))
def test_times_scale_with_their_unit(number: int, unit: str) -> None:
    assert seconds(f"{number}{unit}") == number * seconds(f"1{unit}")


@given(st.text(max_size=12))
def test_any_text_is_a_value_or_a_user_error(text: str) -> None:
    for read in (seconds, count, size):
        try:
            assert read(text)
        except UserError as error:
            assert "\n" not in repr(str(error))[1:-1]


@pytest.mark.parametrize(
    ("span", "text"), [(0, "0 s"), (60, "1 min"), (200, "3 min 20 s"), (3600, "1 h"), (3900, "1 h 5 min")]
)
def test_duration(span: float, text: str) -> None:
    assert duration(span) == text


@pytest.mark.parametrize(
    ("number", "text"), [(820, "820"), (1234, "1.23k"), (999_600, "1000k"), (2_000_000, "2M"), (7e9, "7G")]
)
def test_amount(number: float, text: str) -> None:
    assert amount(number) == text
