"""Distances: zero at equality, per sample, differentiable in x, and what their formulas say."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from limner.core.spec import build, catalog, options
from limner.distances.base import Distance

# a distance that reads weights from a file cannot come from nothing; see tests/metrics/test_rebuilt.py
BUILDABLE = [name for name, cls in catalog(Distance).items() if not any(o.required for o in options(cls))]
every = pytest.mark.parametrize("name", BUILDABLE)


def pair(size: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    return torch.rand(5, 3, size, size, generator=rng) * 2 - 1, torch.rand(5, 3, size, size, generator=rng) * 2 - 1


@every
def test_zero_only_where_equal(name: str) -> None:
    distance, (x, y) = build(name, Distance), pair()
    assert distance(x, x).abs().max() < 1e-6
    assert (distance(x, y) > 0).all()


@every
def test_per_sample(name: str) -> None:
    distance, (x, y) = build(name, Distance), pair()
    one_by_one = torch.cat([distance(a[None], b[None]) for a, b in zip(x, y, strict=True)])
    torch.testing.assert_close(distance(x, y), one_by_one)


@every
def test_a_step_down_the_gradient_comes_closer(name: str) -> None:
    distance, (x, y) = build(name, Distance), pair()
    x.requires_grad_()
    (slope,) = torch.autograd.grad(distance(x, y).sum(), x)
    assert (distance(x - 1e-3 * slope / slope.norm(), y).sum() < distance(x, y).sum()).item()


def test_formulas() -> None:
    x, y = pair(4)
    known = {
        "Squared": lambda a, b: (a - b).pow(2).mean(),
        "Absolute": F.l1_loss,
        "Huber": lambda a, b: F.huber_loss(a, b, delta=0.1) / 0.1,
    }
    for name, formula in known.items():
        expected = torch.stack([formula(a, b) for a, b in zip(x, y, strict=True)])
        torch.testing.assert_close(build(name, Distance)(x, y), expected)
