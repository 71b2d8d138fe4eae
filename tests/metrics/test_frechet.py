"""The Fréchet distance: closed forms, reference packages, few samples."""

from __future__ import annotations

import math

import pytest
import scipy.linalg
import torch

from limner.core.errors import UserError
from limner.metrics.frechet import FrechetDistance, between_gaussians


def features(n: int, d: int, seed: int, scale: float = 1.0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, d, generator=rng, dtype=torch.float64) * scale / math.sqrt(d)
    return torch.randn(n, d, generator=rng, dtype=torch.float64) @ mixing + torch.randn(d, generator=rng).double() / 3


def textbook(x: torch.Tensor, y: torch.Tensor) -> float:
    root = scipy.linalg.sqrtm((x.T.cov() @ y.T.cov()).numpy()).real
    return float((x.mean(0) - y.mean(0)).square().sum() + x.T.cov().trace() + y.T.cov().trace() - 2 * root.trace())


def test_commuting_gaussians_in_closed_form() -> None:
    a, b = torch.tensor([1.0, 2.0, 0.5]).double(), torch.tensor([3.0, 2.0, 0.1]).double()
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    shift = torch.tensor([0.3, -1.0, 2.0]).double()
    got = between_gaussians(shift, turn @ a.square().diag() @ turn.T, 0 * shift, turn @ b.square().diag() @ turn.T)
    assert got == pytest.approx(float(shift.square().sum() + (a - b).square().sum()), abs=1e-8)


def test_one_dimension_in_closed_form() -> None:
    x, y = torch.randn(50, 1).double() * 3 + 1, torch.randn(70, 1).double()
    want = float((x.mean() - y.mean()) ** 2 + (x.std() - y.std()) ** 2)
    assert FrechetDistance()(x, y) == pytest.approx(want, abs=1e-10)


@pytest.mark.parametrize("d", [2, 17, 64])
def test_textbook_formula(d: int) -> None:
    x, y = features(300, d, 1), features(300, d, 2, 1.5)
    assert FrechetDistance()(x, y) == pytest.approx(textbook(x, y), rel=1e-8)


def test_equal_sets_have_no_distance_even_with_fewer_rows_than_columns() -> None:
    x = features(20, 64, 3)
    assert FrechetDistance()(x, x) == pytest.approx(0, abs=1e-9)
    assert FrechetDistance()(x, x + 1) == pytest.approx(64, rel=1e-9)


def test_fewer_rows_than_columns_in_a_subspace() -> None:
    x, y = features(200, 5, 4), features(200, 5, 5)
    into = torch.linalg.qr(torch.randn(400, 5, dtype=torch.float64)).Q
    assert FrechetDistance()(x @ into.T, y @ into.T) == pytest.approx(FrechetDistance()(x, y), rel=1e-9)


def test_symmetric_and_blind_to_turns_and_order() -> None:
    x, y = features(200, 9, 6), features(150, 9, 7)
    turn = torch.linalg.qr(torch.randn(9, 9, dtype=torch.float64)).Q
    want = FrechetDistance()(x, y)
    assert FrechetDistance()(y, x) == pytest.approx(want, rel=1e-10)
    assert FrechetDistance()(x @ turn, y @ turn) == pytest.approx(want, rel=1e-10)
    assert FrechetDistance()(x[torch.randperm(200)], y) == pytest.approx(want, rel=1e-10)


@pytest.mark.parametrize("n", [2000, 100])
def test_equals_torch_fidelity(fidelity: None, n: int) -> None:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    x, y = features(n, 64, 8), features(n, 64, 9, 1.2)
    statistics = [fid_features_to_statistics(v) for v in (x, y)]
    want = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert FrechetDistance()(x, y) == pytest.approx(want, rel=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_equals_torchmetrics(fidelity: None) -> None:
    fid = pytest.importorskip("torchmetrics.image.fid")
    x, y = features(500, 32, 10), features(500, 32, 11, 0.7)
    want = float(fid._compute_fid(x.mean(0), x.T.cov(), y.mean(0), y.T.cov()))
    assert FrechetDistance()(x, y) == pytest.approx(want, rel=1e-5)


def test_influence_is_the_derivative() -> None:
    """The variance that one row's weight causes, against finite differences of the weighted distance."""
    x, y = features(40, 3, 12), features(60, 3, 13, 2.0)

    def weighted(w: torch.Tensor) -> float:
        mean = (w[:, None] * x).sum(0)
        covariance = ((w[:, None] * (x - mean)).T @ (x - mean)) * 40 / 39
        return between_gaussians(mean, covariance, y.mean(0), y.T.cov(correction=0))

    even, steps = torch.full((40,), 1 / 40, dtype=torch.float64), []
    for i in range(40):
        towards = torch.zeros(40, dtype=torch.float64).index_fill(0, torch.tensor([i]), 1)
        h = 1e-5
        steps.append((weighted(even + h * (towards - even)) - weighted(even - h * (towards - even))) / (2 * h))
    of_x = float(torch.tensor(steps).double().var()) / 40
    far = torch.cat([y] * 10_000)  # so many rows of y that only x varies
    assert FrechetDistance().error(x, far) == pytest.approx(math.sqrt(of_x), rel=1e-3)


def test_one_row_is_too_few() -> None:
    with pytest.raises(UserError, match="needs 2"):
        FrechetDistance()(torch.zeros(1, 3), torch.zeros(9, 3))
