"""Do 95 % intervals hold the mean score over fresh draws? Found out by drawing afresh."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from limner.metrics.base import Metric
from limner.metrics.bins import DifferentBins
from limner.metrics.frechet import FrechetDistance
from limner.metrics.infinity import FrechetInfinity
from limner.metrics.kernel import KernelDistance
from limner.metrics.neighbours import Coverage, Density, Precision, Recall
from limner.metrics.two_sample import TwoSampleTest
from limner.metrics.vendi import VendiScore

METRICS = [FrechetDistance(), KernelDistance(), Precision(), Recall(), Density(), Coverage()]
NEW = [FrechetInfinity(), VendiScore(), DifferentBins(10), TwoSampleTest(width=8)]
KINDS = ("same", "shifted", "narrower", "mixture")


def draw(kind: str, n: int, d: int, rng: torch.Generator) -> Tensor:
    z = torch.randn(n, d, generator=rng)
    if kind == "shifted":
        return z + 0.2
    if kind == "narrower":
        return z * 0.8
    if kind == "mixture":
        wide = torch.rand(n, 1, generator=rng) < 0.5
        return torch.where(wide, 1.2 * z, 0.6 * z + 0.3)
    return z


def hits(metric: Metric, kind: str, n: int, d: int, draws: int, intervals: int) -> float:
    """Share of the intervals that hold the mean score of other draws."""
    rng = torch.Generator().manual_seed(3)

    def pair() -> tuple[Tensor, Tensor]:
        return draw("same", n, d, rng), draw(kind, n, d, rng)

    mean = sum(metric(*pair()) for _ in range(draws)) / draws
    held = 0
    for _ in range(intervals):
        real, fake = pair()
        low, high = metric.interval(real, fake, metric(real, fake))
        held += low <= mean <= high
    return held / intervals


@pytest.mark.parametrize("kind", ["same", "mixture"])
@pytest.mark.parametrize("metric", METRICS, ids=lambda m: type(m).__name__)
def test_intervals_hold_the_mean(metric: Metric, kind: str) -> None:
    """60 intervals: a true share of 0.95 shows less than 0.85 once in 500 times; see the slow test for more."""
    assert hits(metric, kind, n=200, d=8, draws=150, intervals=60) >= 0.85


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["same", "mixture"])
@pytest.mark.parametrize("metric", NEW, ids=lambda m: type(m).__name__)
def test_intervals_of_further_scores_hold_the_mean(metric: Metric, kind: str) -> None:
    assert hits(metric, kind, n=200, d=4, draws=100, intervals=100) >= 0.88


@pytest.mark.slow
@pytest.mark.parametrize("d", [4, 32])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", METRICS, ids=lambda m: type(m).__name__)
def test_intervals_hold_the_mean_as_often_as_they_say(metric: Metric, kind: str, d: int) -> None:
    # 89 % is more than three standard errors of 150 trials below 95 %; equal sets err to the safe side
    assert 0.89 <= hits(metric, kind, n=200, d=d, draws=300, intervals=150) < 1


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: type(m).__name__)
def test_more_images_narrower_interval(metric: Metric) -> None:
    rng = torch.Generator().manual_seed(0)

    def width(n: int) -> float:
        real, fake = draw("same", n, 6, rng), draw("mixture", n, 6, rng)
        low, high = metric.interval(real, fake, metric(real, fake))
        return high - low

    few, many = sum(width(150) for _ in range(4)), sum(width(1350) for _ in range(4))
    assert 0.15 < many / few < 0.6  # nine times as many: a third, or a ninth where the first order vanishes


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: type(m).__name__)
def test_the_interval_holds_its_value_and_stays_in_bounds(metric: Metric) -> None:
    rng = torch.Generator().manual_seed(5)
    for kind in KINDS:
        real, fake = draw("same", 120, 3, rng), draw(kind, 120, 3, rng)
        value = metric(real, fake)
        low, high = metric.interval(real, fake, value)
        assert metric.bounds[0] <= low <= value + 1e-12 and value - 1e-12 <= high <= metric.bounds[1] and low < high
