"""What depends on time, against closed forms: curves over progress, and averages with a half-life in images."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from limner.core.ema import Average
from limner.core.errors import UserError
from limner.core.rng import generator
from limner.core.schedule import Cosine, Curve, Geometric, Ramp, Step, value

numbers = st.floats(-1e3, 1e3)
shares = st.floats(0, 1)


@given(numbers, numbers, shares)
def test_ramp_is_a_line(start: float, end: float, progress: float) -> None:
    expected = (1 - progress) * start + progress * end
    assert Ramp(start, end).at(progress) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(numbers, numbers, shares)
def test_cosine_is_half_a_wave(start: float, end: float, progress: float) -> None:
    """Loshchilov & Hutter 2017, eq. 5, with its minimum at the end."""
    expected = end + (start - end) * 0.5 * (1 + math.cos(progress * math.pi))
    assert Cosine(start, end).at(progress) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(st.floats(1e-6, 1e3), st.floats(1e-6, 1e3), shares)
def test_geometric_is_a_line_of_logarithms(start: float, end: float, progress: float) -> None:
    expected = math.exp((1 - progress) * math.log(start) + progress * math.log(end))
    assert Geometric(start, end).at(progress) == pytest.approx(expected, rel=1e-9)
    with pytest.raises(UserError, match="above 0"):
        Geometric(start, 0.0)


@pytest.mark.parametrize("kind", [Ramp, Cosine])
def test_a_curve_waits_moves_and_rests(kind: type[Curve]) -> None:
    curve = kind(10.0, 2.0, begin=0.2, finish=0.6)
    assert [curve.at(p) for p in (0.0, 0.1, 0.2)] == [10.0] * 3
    assert [curve.at(p) for p in (0.6, 0.8, 1.0)] == [2.0] * 3
    assert curve.at(0.4) == pytest.approx(6.0)
    moving = [curve.at(0.2 + 0.04 * k) for k in range(11)]
    assert moving == sorted(moving, reverse=True) and len(set(moving)) == 11


@pytest.mark.parametrize("kind", [Ramp, Cosine, Geometric, Step])
def test_a_curve_of_no_width_jumps(kind: type[Curve]) -> None:
    curve = kind(1.0, 3.0, begin=0.5, finish=0.5)
    assert [curve.at(p) for p in (0.0, 0.49, 0.5, 1.0)] == [1.0, 1.0, 3.0, 3.0]


def test_step_jumps_at_its_finish() -> None:
    assert [Step(1.0, 3.0, finish=0.7).at(p) for p in (0.0, 0.69, 0.7, 1.0)] == [1.0, 1.0, 3.0, 3.0]


def test_a_number_is_its_own_schedule() -> None:
    assert [value(0.3, p) for p in (0.0, 0.5, 1.0)] == [0.3] * 3
    assert value(Ramp(1.0, 0.0), 0.25) == 0.75


def net(value: float) -> nn.ModuleDict:
    """One weight, and batch norm's running statistics and counter."""
    layers = nn.ModuleDict({"dense": nn.Linear(1, 1, bias=False), "norm": nn.BatchNorm1d(1, affine=False)})
    nn.init.constant_(layers["dense"].weight, value)  # type: ignore[arg-type]
    return layers


def weight(nets: nn.ModuleDict) -> float:
    return next(nets.parameters()).item()


@pytest.mark.parametrize("batch", [10, 50, 500, 1000])
def test_after_a_half_life_the_past_weighs_one_half(batch: int) -> None:
    """Weights jump from 0 to 1: after h images the average is 1/2, after 2 h it is 3/4, for any batch."""
    nets = net(0.0)
    average = Average(nets, halflife=1000, warmup=math.inf)
    with torch.no_grad():
        next(nets.parameters()).fill_(1.0)
    for nimg in range(batch, 2000 + batch, batch):
        average.update(nimg, batch)
        assert weight(average.nets) == pytest.approx(1 - 0.5 ** (nimg / 1000), abs=1e-4)


def test_average_of_any_path_is_the_weighted_sum() -> None:
    """Σ w_k 2^(-(K - k) b / h) (1 - 2^(-b / h)), plus the start's share."""
    halflife, batch, steps = 300.0, 64, 30
    path = torch.randn(steps, generator=generator(0)).tolist()
    nets = net(5.0)
    average = Average(nets, halflife, warmup=math.inf)
    for k, w in enumerate(path):
        with torch.no_grad():
            next(nets.parameters()).fill_(w)
        average.update((k + 1) * batch, batch)
    kept = 0.5 ** (batch / halflife)
    expected = 5.0 * kept**steps + sum(w * (1 - kept) * kept ** (steps - 1 - k) for k, w in enumerate(path))
    assert weight(average.nets) == pytest.approx(expected, abs=1e-5)


def test_the_random_start_is_forgotten() -> None:
    """The half-life is at most 5 % of the images seen, so after one batch 2^-20 of the start is left, or less."""
    nets = net(1000.0)
    average = Average(nets, halflife=1e6)
    with torch.no_grad():
        next(nets.parameters()).fill_(1.0)
    average.update(64, 64)
    assert weight(average.nets) == pytest.approx(1.0, abs=1e-2)


def test_counters_are_copied_and_nothing_is_shared() -> None:
    nets = net(0.0)
    average = Average(nets, 100)
    nets["norm"].train()(torch.ones(4, 1))
    average.update(10, 10)
    assert int(average.nets["norm"].num_batches_tracked) == 1  # type: ignore[arg-type]
    assert not any(p.requires_grad for p in average.nets.parameters()) and not average.nets.training
    assert {p.data_ptr() for p in nets.parameters()}.isdisjoint(p.data_ptr() for p in average.nets.parameters())


def test_follow_averages_other_networks() -> None:
    average = Average(net(0.0), 100, warmup=math.inf)
    average.follow(net(8.0))
    average.update(100, 100)
    assert weight(average.nets) == pytest.approx(4.0)
