"""Modes of the ring and the grid, found by training; the whole of `limner verify mixtures` is the slow part."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from limner.core import rng
from limner.proofs.base import Bench
from limner.proofs.mixtures import CONTROL, DEFAULT, MIXTURES, PLAIN, mixtures, trial


@pytest.mark.parametrize("name", MIXTURES)
def test_points_are_drawn_round_the_centres_and_do_not_depend_on_processes(name: str) -> None:
    data = MIXTURES[name](64, 3)
    assert len(data.centres) == {"ring": 8, "grid": 25}[name]
    points = data.draw(50_000, rng.generator(0, 0, "test")) * data.scale
    distance, nearest = torch.cdist(points, data.centres).min(1)
    # in two dimensions the mean squared distance is 2σ²
    assert float(distance.square().mean()) == pytest.approx(2 * data.sigma**2, rel=0.03)
    share = torch.bincount(nearest, minlength=len(data.centres)) / len(points)
    assert float((share * len(share) - 1).abs().max()) < 0.1
    assert data.spread(points / data.scale) == pytest.approx(data.sigma * math.sqrt(2 * _cut(3)), rel=0.02)
    halves = [data.at(128, slice(a, a + 32)).x for a in (0, 32)]
    assert torch.equal(torch.cat(halves), data.at(128).x)


@pytest.mark.timeout(600)
def test_eight_modes_are_found_and_a_game_without_penalties_loses_some() -> None:
    ours = trial("ring", DEFAULT, 1, 100_000)
    assert ours.modes == 8 and ours.quality > 90 and 0.3 < ours.spread < 1.2
    control = trial("ring", CONTROL, 1, 100_000, PLAIN)
    assert control.modes < 8


@pytest.mark.slow
def test_both_mixtures_in_full() -> None:
    found = list(mixtures(Bench(Path(), Path(), seeds=(0,))))
    assert [row.what for row in found if row.met is False] == []


def _cut(sigmas: float) -> float:
    """Mean of r² / 2σ² where r ≤ `sigmas`, r of a Gaussian in the plane."""
    u = sigmas**2 / 2
    return 1 - u * math.exp(-u) / (1 - math.exp(-u))
