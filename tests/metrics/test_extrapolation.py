"""Scores at infinitely many images: free of the bias that scores of few have, and what they extend by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from limner.metrics.frechet import FrechetDistance, between_gaussians
from limner.metrics.inception_score import InceptionScore, inception_score
from limner.metrics.infinity import FrechetInfinity, InceptionInfinity, extrapolated


def test_a_straight_line_is_read_off_exactly() -> None:
    assert extrapolated(600, lambda part: 3 + 7 / (part.stop - part.start)) == pytest.approx(3, abs=1e-9)


def test_the_bias_of_the_frechet_distance_is_gone() -> None:
    """Two Gaussians of known distance, 24 draws of 200: what is taken off is the bias."""
    d, rng = 5, torch.Generator().manual_seed(0)
    scale = torch.linspace(0.5, 1.5, d).double()
    truth = between_gaussians(
        torch.zeros(d), torch.eye(d).double(), torch.full((d,), 0.3).double(), scale.square().diag()
    )
    plain, free = [], []
    for _ in range(24):
        real = torch.randn(200, d, generator=rng).double()
        fake = torch.randn(200, d, generator=rng).double() * scale + 0.3
        plain.append(FrechetDistance()(real, fake))
        free.append(FrechetInfinity()(real, fake))
    assert abs(np.mean(free) - truth) < 3 * np.std(free) / math.sqrt(24)
    taken = np.subtract(plain, free)
    assert taken.mean() > 5 * taken.std() / math.sqrt(24)


def test_inception_score_by_hand() -> None:
    sure, evenly = torch.eye(4).repeat(5, 1).double(), torch.full((8, 4), 0.25).double()
    assert inception_score(sure) == pytest.approx(4, abs=1e-12)
    assert inception_score(evenly) == pytest.approx(1, abs=1e-12)
    p = torch.tensor([[0.9, 0.1], [0.3, 0.7]]).double()
    by_hand = sum(p[i, j] * math.log(p[i, j] / p[:, j].mean()) for i in range(2) for j in range(2)) / 2
    assert inception_score(p) == pytest.approx(math.exp(by_hand), abs=1e-12)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("n", [500, 1003])
def test_inception_score_equals_torch_fidelity(fidelity: None, n: int) -> None:
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = 3 * torch.randn(n, 12, generator=torch.Generator().manual_seed(n)).double()
    want = isc_features_to_metric(logits)["inception_score_mean"]
    assert InceptionScore()(logits, logits.softmax(1)) == pytest.approx(want, abs=1e-6)


def test_inception_score_of_infinitely_many() -> None:
    """Sure answers of six classes score 6; the 300 of a draw are never quite even, and score less."""
    rng = torch.Generator().manual_seed(1)
    drawn = [torch.eye(6).double()[torch.randint(6, (300,), generator=rng)] for _ in range(40)]
    plain, free = np.mean([inception_score(p) for p in drawn]), np.mean([InceptionInfinity()(p, p) for p in drawn])
    assert 6 - plain == pytest.approx(6 * 5 / 600, rel=0.3)
    assert abs(free - 6) < (6 - plain) / 4
