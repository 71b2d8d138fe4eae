"""Distances: zero at equality, per sample, differentiable in x, and what their formulas say."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from limner.core.errors import UserError
from limner.core.spec import build, catalog, options
from limner.distances.base import Distance
from limner.distances.msssim import MSSSIM, WEIGHTS

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


@pytest.mark.parametrize(("side", "scales"), [(8, 1), (28, 2), (64, 3), (128, 4), (192, 5)])
def test_small_pictures_have_fewer_scales(side: int, scales: int) -> None:
    assert MSSSIM().scales(side) == scales
    assert MSSSIM(window=5).scales(28) == 3


def test_similarity_at_several_scales_window_by_window() -> None:
    """Against a loop over windows (Wang, Simoncelli & Bovik 2003, eq. 7), two scales of 24×24 pixels."""
    x, y = (a[:1, :1, :24, :24].double() for a in pair(32))
    y = 0.7 * x + 0.3 * y
    at = torch.arange(11) - 5.0
    bell = torch.exp(-(at[:, None] ** 2 + at**2) / 4.5).double()
    bell /= bell.sum()

    def compared(a: torch.Tensor, b: torch.Tensor) -> tuple[float, float]:
        both, shapes = [], []
        for i in range(len(a) - 10):
            for j in range(len(a) - 10):
                p, q = a[i : i + 11, j : j + 11], b[i : i + 11, j : j + 11]
                mp, mq = (bell * p).sum(), (bell * q).sum()
                vp, vq, c = (bell * p * p).sum() - mp**2, (bell * q * q).sum() - mq**2, (bell * p * q).sum() - mp * mq
                shapes.append((2 * c + 0.03**2) / (vp + vq + 0.03**2))
                both.append(shapes[-1] * (2 * mp * mq + 0.01**2) / (mp**2 + mq**2 + 0.01**2))
        return float(sum(both) / len(both)), float(sum(shapes) / len(shapes))

    fine = (x[0, 0] + 1) / 2, (y[0, 0] + 1) / 2
    coarse = tuple(a.view(12, 2, 12, 2).mean((1, 3)) for a in fine)
    first, second = (w / sum(WEIGHTS[:2]) for w in WEIGHTS[:2])
    expected = 1 - compared(*fine)[1] ** first * compared(*coarse)[0] ** second
    found = build("MSSSIM", Distance)(x.float(), y.float()).item()
    assert found == pytest.approx(expected, abs=1e-5)


def test_the_backbones_distance_is_that_of_its_unit_features() -> None:
    from limner.models.backbone import backbone

    x, y = pair(64)
    total = torch.zeros(5)
    for a, b in zip(backbone(x)(x), backbone(y)(y), strict=True):
        for row in range(5):
            places = F.normalize(a[row].flatten(1), dim=0) - F.normalize(b[row].flatten(1), dim=0)
            total[row] += places.square().sum(0).mean() / 4
    torch.testing.assert_close(build("BackboneDistance", Distance)(x, y), total, rtol=1e-4, atol=1e-5)


def test_the_backbones_distance_sees_shapes_where_pixels_see_colours() -> None:
    """A picture moved by two pixels is nearer to itself than to another picture of about the same colours."""
    rng = torch.Generator().manual_seed(0)
    spots = F.interpolate(torch.rand(8, 3, 8, 8, generator=rng) * 2 - 1, size=(64, 64), mode="bicubic").clamp(-1, 1)
    moved, other = spots.roll(2, 3), spots.roll(1, 0)
    distance = build("BackboneDistance", Distance)
    assert (distance(moved, spots) < 0.5 * distance(other, spots)).all()


@pytest.mark.parametrize("bad", ["BackboneDistance(side=16)", "BackboneDistance(maps=0)", "BackboneDistance(maps=5)"])
def test_sizes_the_backbone_cannot_take(bad: str) -> None:
    with pytest.raises(UserError, match="side must be 32 or more, maps 1 to 4"):
        build(bad, Distance)
