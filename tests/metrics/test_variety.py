"""Vendi score, bins and the two-sample test: closed forms, brute force, and rates in simulation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch

from limner.metrics.bins import DifferentBins, different
from limner.metrics.clusters import k_means, nearest_centre
from limner.metrics.two_sample import TwoSampleTest, by_guessing
from limner.metrics.vendi import VendiScore, vendi


@pytest.mark.parametrize("k", [1, 2, 5, 10])
@pytest.mark.parametrize("power", [1, 3])
def test_k_groups_of_equal_images_score_k(k: int, power: int) -> None:
    groups = torch.linalg.qr(torch.randn(12, 12, dtype=torch.float64)).Q[:k] * torch.arange(1, k + 1)[:, None]
    x = groups.repeat_interleave(7, 0)[torch.randperm(7 * k)]
    assert VendiScore(power)(x, x) == pytest.approx(k, abs=1e-8)
    # length is not likeness: twice as many images of each change nothing
    assert VendiScore(power)(x, torch.cat([x, 3 * x])) == pytest.approx(k, abs=1e-8)


def test_vendi_of_uneven_groups_is_the_exponential_of_their_entropy() -> None:
    x = torch.eye(3).repeat_interleave(torch.tensor([5, 3, 2]), 0)
    p = np.array([0.5, 0.3, 0.2])
    assert VendiScore()(x, x) == pytest.approx(np.exp(-(p * np.log(p)).sum()), abs=1e-8)


@pytest.mark.parametrize("shape", [(40, 6), (6, 40)])
def test_vendi_by_the_definition(shape: tuple[int, int]) -> None:
    x = torch.randn(shape, dtype=torch.float64)
    cosine = torch.nn.functional.cosine_similarity(x[:, None], x[None], dim=2)
    for power in (1, 2):
        values = np.linalg.eigvalsh((cosine**power).numpy() / len(x)).clip(1e-300)
        want = np.exp(-(values * np.log(values)).sum())
        assert VendiScore(power)(x, x) == pytest.approx(want, rel=1e-8)
    assert vendi(torch.eye(4).double()) == pytest.approx(4)


def test_k_means_finds_planted_clusters_wherever_it_starts() -> None:
    rng = torch.Generator().manual_seed(0)
    planted = 20 * torch.randn(6, 3, generator=rng).double()
    label = torch.randint(6, (600,), generator=rng)
    x = planted[label] + 0.1 * torch.randn(600, 3, generator=rng)
    found = nearest_centre(x, k_means(x, 6))
    assert len({(int(a), int(b)) for a, b in zip(found, label, strict=True)}) == 6
    assert len(k_means(torch.zeros(9, 2), 4)) == 4  # all alike: no empty draw


def test_the_test_of_a_bin_is_the_textbook_one() -> None:
    a, b = torch.tensor([30.0, 70.0, 0.0]).double(), torch.tensor([45.0, 150.0, 0.0]).double()
    z = different(a, b)
    for i in (0, 1):
        p, q = a[i] / a.sum(), b[i] / b.sum()
        pooled = (a[i] + b[i]) / (a.sum() + b.sum())
        assert z[i] == pytest.approx(float((q - p) / (pooled * (1 - pooled) * (1 / 100 + 1 / 195)).sqrt()), abs=1e-12)
        table = [[a[i], a.sum() - a[i]], [b[i], b.sum() - b[i]]]
        assert z[i] ** 2 == pytest.approx(scipy.stats.chi2_contingency(table, correction=False)[0], abs=1e-9)
    assert z[2] == 0


def test_equal_sets_differ_in_as_many_bins_as_the_level_says() -> None:
    rng = torch.Generator().manual_seed(2)
    draws = [DifferentBins(20)(*torch.randn(2, 600, 3, generator=rng)) for _ in range(40)]
    assert abs(np.mean(draws) - 0.05) < 3 * np.std(draws) / 40**0.5 + 0.01


def test_a_missing_mode_is_a_different_bin() -> None:
    rng = torch.Generator().manual_seed(3)
    modes = 10 * torch.eye(8)
    real, fake = (modes[torch.randint(k, (800,), generator=rng)] for k in (8, 6))
    noise = 0.1 * torch.randn(2, 800, 8, generator=rng)
    assert DifferentBins(8)(real + noise[0], fake + noise[1]) >= 2 / 8


def test_by_guessing_is_the_binomial_tail() -> None:
    assert by_guessing(8, 10) == pytest.approx(56 / 1024, abs=1e-12)
    assert by_guessing(0, 10) == 1


def test_the_two_sample_test_is_wrong_as_often_as_it_says() -> None:
    rng = torch.Generator().manual_seed(4)
    found = []
    for _ in range(20):
        real, fake = torch.randn(2, 100, 4, generator=rng)
        found.append(by_guessing(round(TwoSampleTest(width=8)(real, fake) * 100), 100))
    # 20 true p-values lie below 0.05 five times or more once in 400 tries
    assert sum(p < 0.05 for p in found) < 5
    assert abs(np.mean(found) - 0.5) < 3 * 0.29 / 20**0.5 + 0.04


def test_the_two_sample_test_sees_what_differs() -> None:
    rng = torch.Generator().manual_seed(5)
    real, fake = torch.randn(2, 600, 4, generator=rng)
    shifted, wider = TwoSampleTest()(real, fake + 0.8), TwoSampleTest()(real, 1.7 * fake)
    # the best accuracy for a shift of δ in each of four features is Φ(δ √4 / 2)
    assert shifted == pytest.approx(scipy.stats.norm.cdf(0.8), abs=0.06) and wider > 0.65
    assert TwoSampleTest()(real, fake + 5) == 1
