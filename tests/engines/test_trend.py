"""Planted learning curves are called by their names, forecasts cover what comes, an interruption changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from limner.trend import CELLS, WINDOW, Line, finished, forecast, regular, trend

History = list[dict[str, float]]
TOTAL = 200_000


def history(curve: Callable[[float], float], seed: int = 0, wander: float = 0.05, looks: int = CELLS) -> History:
    """Looks at equal shares of a run: scores that wander about a curve, with a standard error that says so."""
    rng, found = np.random.default_rng(seed), []
    for k in range(looks + 1):
        nimg = TOTAL * k / looks
        true = curve(nimg)
        found.append({"nimg": nimg, "share": k / looks, "score": true * (1 + wander * rng.standard_normal()),
                      "error": wander * true})  # fmt: skip
    return found


def falling(nimg: float) -> float:
    return 0.3 / (1 + nimg / 5_000)


def level(nimg: float) -> float:
    return falling(min(nimg, 50_000))


def rising(nimg: float) -> float:
    return falling(min(nimg, 80_000)) * (1 + max(0.0, nimg - 80_000) / 30_000)


def ends(curve: Callable[[float], float], seed: int, **more: float) -> float:
    """The share at which `--until flat` stops; 1 where it does not."""
    looks = history(curve, seed)
    return next((looks[k - 1]["share"] for k in range(1, len(looks)) if finished(looks[:k])), 1.0)


def test_curves_are_called_by_their_names() -> None:
    assert trend(history(falling)).kind == "improving" and finished(history(falling)) == ""
    found = [trend(history(level, seed)) for seed in range(60)]
    assert np.mean([f.kind == "flat" for f in found]) > 0.75
    assert 50_000 <= np.median([f.since for f in found]) <= 100_000
    worse = trend(history(rising))
    assert worse.kind == "getting worse" and worse.since == 80_000
    assert "getting worse since" in finished(history(rising))
    knows = [look | {"critic gap": 0.9} for look in history(rising)]
    assert trend(knows).kind == "over-fitting" and "by heart" in trend(knows).words


def test_what_still_falls_is_seldom_stopped_and_what_is_level_soon() -> None:
    """The planted level begins at a quarter; a window of six looks needs 0.3 of the run to see it."""
    assert np.mean([ends(falling, seed) == 1.0 for seed in range(60)]) >= 0.9
    assert np.median([ends(level, seed) for seed in range(60)]) <= 0.7
    assert np.median([ends(rising, seed) for seed in range(60)]) <= 0.6


def test_too_few_looks_say_nothing() -> None:
    few = history(level)[:WINDOW]
    assert trend(few).kind == "too early" and finished(few) == "" and finished([]) == ""
    assert "cannot tell" in forecast(few, 1000.0).words("another minute")
    with pytest.raises(ValueError, match="no look"):
        trend([])


def test_an_interruption_changes_no_decision() -> None:
    """It adds a look in the middle of a twentieth; the looks of a longer budget begin a new count."""
    looks = history(level)
    extra = looks[9] | {"nimg": looks[9]["nimg"] + 3_000, "share": looks[9]["share"] + 0.02, "score": 9.0}
    interrupted = [*looks[:10], extra, *looks[10:]]
    assert regular(interrupted) == regular(looks)
    for end in range(1, len(looks) + 1):
        assert finished(looks[:end]) == finished(interrupted[: end + (end >= 10)])
    again = [look | {"share": look["share"] / 2} for look in looks]
    assert len(regular(again)) == CELLS // 2


def test_a_look_without_a_number_is_passed_over() -> None:
    looks = history(falling)
    looks[12] |= {"score": float("nan")}
    assert trend(looks).kind == "improving" and len(regular(looks)) == CELLS - 1


def test_the_forecast_covers_what_comes() -> None:
    """95 % intervals of a power law with 10 % noise, 200 times; binomial bounds of four standard errors."""

    def true(nimg: float) -> float:
        return 0.3 * (1 + nimg / 500) ** -0.6

    found = [forecast(history(true, seed, 0.1), 100_000.0) for seed in range(200)]
    covered = np.mean([f.low <= true(TOTAL + 100_000) <= f.high for f in found])
    assert covered >= 0.95 - 4 * (0.05 * 0.95 / 200) ** 0.5
    assert np.mean([f.sure and f.score < f.now for f in found]) > 0.9, "it falls, and is said to"


def test_of_a_level_curve_the_forecast_cannot_tell() -> None:
    found = [forecast(history(lambda nimg: 0.1, seed), 100_000.0) for seed in range(100)]
    assert np.mean([not f.sure for f in found]) >= 0.9
    assert sum("cannot tell" in f.words("another 10 minutes") for f in found) == sum(not f.sure for f in found)


def test_an_exact_power_law_is_continued_exactly() -> None:
    looks = [look | {"score": look["nimg"] ** -0.5 if look["nimg"] else 1.0, "error": 0.0}
             for look in history(falling)]  # fmt: skip
    found = forecast(looks, 600_000.0)
    assert found.score == pytest.approx((TOTAL + 600_000.0) ** -0.5) and found.low == pytest.approx(found.high)


def test_scores_about_zero_are_continued_as_differences() -> None:
    looks = [look | {"score": 0.001 * np.sin(7.0 * k), "error": 0.001} for k, look in enumerate(history(falling))]
    found = forecast(looks, 100_000.0)
    assert found.low < 0 < found.high and not found.sure


def test_the_line_is_that_of_numpy() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(9), rng.standard_normal(9)
    line, (slope, height) = Line.through(x, y), np.polyfit(x, y, 1)
    assert line.slope == pytest.approx(slope) and line.at(0.3) == pytest.approx(slope * 0.3 + height)
    left = y - slope * x - height
    assert line.scatter == pytest.approx((left @ left / 7) ** 0.5)
    design = np.stack([x, np.ones(9)], 1)
    row = np.array([0.3, 1.0])
    assert line.error(0.3) == pytest.approx(line.scatter * (row @ np.linalg.inv(design.T @ design) @ row) ** 0.5)
