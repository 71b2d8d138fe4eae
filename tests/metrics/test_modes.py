"""Modes of known mixtures, planted sample by sample."""

from __future__ import annotations

import math

import pytest
import torch

from limner.metrics.modes import modes_covered

CENTRES = torch.tensor([[math.cos(a), math.sin(a)] for a in torch.arange(8) * math.pi / 4])


def test_samples_of_the_mixture_cover_it() -> None:
    samples = CENTRES[torch.randint(0, 8, (20_000,))] + 0.01 * torch.randn(20_000, 2)
    found = modes_covered(samples, CENTRES, 0.01)
    assert found.covered == 8
    # in two dimensions P(r > 3σ) is exp(-9 / 2)
    assert found.high_quality == pytest.approx(1 - math.exp(-4.5), abs=0.004)


def test_planted() -> None:
    samples = torch.stack([CENTRES[0], CENTRES[0], CENTRES[3] + torch.tensor([0.0299, 0.0]), CENTRES[5] * 1.0301])
    assert modes_covered(samples, CENTRES, 0.01) == (2, 0.75)
    assert modes_covered(torch.zeros(5, 2), CENTRES, 0.01) == (0, 0.0)
