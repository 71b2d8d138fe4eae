"""What the proofs of codes measure: against brute force and planted truths."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from limner.core.rng import generator
from limner.proofs import aae
from limner.proofs.base import Bench
from limner.proofs.encoding import nearest, neighbour_accuracy


def test_nearest_by_brute_force() -> None:
    known, asked = (torch.randn(n, 4, generator=generator(n)) for n in (30, 700))
    expected = torch.cdist(asked, known).argmin(1)
    assert torch.equal(nearest(known, asked), expected)
    assert neighbour_accuracy(known, torch.arange(30), asked, expected) == 100.0


def test_energy_distance_is_zero_for_equal_laws_and_sees_a_shift_and_a_hole() -> None:
    a, b = (torch.randn(2000, 2, generator=generator(n)) for n in (1, 2))
    equal = abs(aae.energy_distance(a, b))
    assert equal < 0.01 < aae.energy_distance(a + 0.3, b)
    assert aae.energy_distance(2**0.5 * torch.nn.functional.normalize(a), b) > 0.02


def test_marginal_gap_against_scipy() -> None:
    from scipy import stats

    for column in (torch.randn(500, generator=generator(3)), torch.rand(500, generator=generator(4))):
        assert aae.marginal_gap(column) == pytest.approx(
            stats.kstest(column.double().numpy(), "norm").statistic, abs=1e-6
        )


@pytest.mark.slow
def test_codes_of_a_planted_surface_are_spread_like_the_prior(tmp_path: Path) -> None:
    rows = list(aae.aae(Bench(tmp_path, tmp_path, quick=True)))
    assert len(rows) == 2 and all(row.met for row in rows), [(row.what, row.value) for row in rows]
