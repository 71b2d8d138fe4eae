"""Precision, recall, density, coverage: loops over points, closed forms, awkward sets."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import limner.metrics.neighbours as neighbours
from limner.core.errors import UserError
from limner.core.shares import wilson
from limner.metrics.neighbours import Coverage, Density, Neighbours, Precision, Recall, expected_coverage

ALL = (Precision, Recall, Density, Coverage)


def apart(a: Tensor, b: Tensor) -> float:
    return float((a - b).square().sum().sqrt())


def radius(x: Tensor, i: int, k: int) -> float:
    return sorted(apart(x[i], x[j]) for j in range(len(x)) if j != i)[k - 1]


def precision(real: Tensor, fake: Tensor, k: int) -> float:
    radii = [radius(real, i, k) for i in range(len(real))]
    return sum(any(apart(y, x) <= r for x, r in zip(real, radii, strict=True)) for y in fake) / len(fake)


def recall(real: Tensor, fake: Tensor, k: int) -> float:
    return precision(fake, real, k)


def density(real: Tensor, fake: Tensor, k: int) -> float:
    radii = [radius(real, i, k) for i in range(len(real))]
    return sum(apart(y, x) <= r for y in fake for x, r in zip(real, radii, strict=True)) / (k * len(fake))


def coverage(real: Tensor, fake: Tensor, k: int) -> float:
    return sum(any(apart(y, x) <= radius(real, i, k) for y in fake) for i, x in enumerate(real)) / len(real)


@pytest.mark.parametrize("block", [3, 10_000])
@pytest.mark.parametrize(
    ("metric", "loops"), [(Precision, precision), (Recall, recall), (Density, density), (Coverage, coverage)]
)
def test_loops(
    monkeypatch: pytest.MonkeyPatch, metric: type[Neighbours], loops: Callable[..., float], block: int
) -> None:
    monkeypatch.setattr(neighbours, "rows_per_block", lambda columns: block)
    for seed in range(3):
        rng = torch.Generator().manual_seed(seed)
        real = torch.randn(25, 3, generator=rng).double()
        fake = torch.randn(20, 3, generator=rng).double() * 0.8 + 0.4
        for k in (1, 3, 5):
            assert metric(k)(real, fake) == pytest.approx(loops(real, fake, k), abs=1e-12)


def test_points_on_a_line() -> None:
    real = torch.tensor([[0.0], [1.0], [2.0], [10.0]])
    fake = torch.tensor([[0.5], [3.5], [9.0], [50.0]])
    # balls of the nearest neighbour: [-1, 1], [0, 2], [1, 3], [2, 18]
    assert Precision(1)(real, fake) == 3 / 4
    assert Density(1)(real, fake) == 4 / 4
    assert Coverage(1)(real, fake) == 3 / 4
    # balls of the generated: [-2.5, 3.5], [0.5, 6.5], [3.5, 14.5], [9, 91]
    assert Recall(1)(real, fake) == 1


def test_exact_copies_lie_inside_balls_of_no_radius() -> None:
    real = torch.randn(10, 6).repeat(5, 1) * 1000 + 5
    assert Precision(3)(real, real.clone()) == 1
    assert Coverage(3)(real, real.clone()) == 1
    assert Precision(3)(real, real + 1e-3) == 0


@pytest.mark.parametrize(("n", "m", "k"), [(60, 60, 5), (40, 80, 3), (50, 20, 1)])
def test_coverage_of_equal_distributions_is_known(n: int, m: int, k: int) -> None:
    scores = torch.tensor([Coverage(k)(torch.randn(n, 4), torch.randn(m, 4)) for _ in range(300)])
    assert abs(scores.mean() - expected_coverage(n, m, k)) < 4 * scores.std() / 300**0.5


def test_density_of_equal_distributions_is_one() -> None:
    scores = torch.tensor([Density()(torch.randn(80, 4), torch.randn(80, 4)) for _ in range(200)])
    assert abs(scores.mean() - 80 / 79) < 4 * scores.std() / 200**0.5


def test_mode_dropping_lowers_recall_and_coverage_and_noise_lowers_precision_and_density() -> None:
    real = torch.randn(600, 2) + 6 * torch.randint(0, 2, (600, 1))
    one = torch.randn(600, 2)
    assert Precision()(real, one) > 0.9 and Recall()(real, one) < 0.6 and Coverage()(real, one) < 0.6
    both = torch.randn(600, 2) + 6 * torch.randint(0, 2, (600, 1))
    noisy = both + 2 * torch.randn(600, 2)
    assert Precision()(real, noisy) < Precision()(real, both) - 0.1
    assert Density()(real, noisy) < 0.7 * Density()(real, both)


@pytest.mark.filterwarnings("ignore")
def test_equals_torch_fidelity(fidelity: None) -> None:
    from torch_fidelity.metric_prc import prc_features_to_metric

    real, fake = torch.randn(300, 8).double(), torch.randn(300, 8).double() * 0.8
    want = prc_features_to_metric(fake, real, prc_neighborhood=3, prc_batch_size=100, save_cpu_ram=False, verbose=False)
    assert Precision()(real, fake) == pytest.approx(want["precision"], abs=1e-6)
    assert Recall()(real, fake) == pytest.approx(want["recall"], abs=1e-6)


def test_equals_prdc() -> None:
    """The reference package of Naeem et al., on drawn features."""
    prdc = pytest.importorskip("prdc", reason="the reference package is not installed: pip install --no-deps prdc")
    rng = torch.Generator().manual_seed(0)
    for k, scale in ((3, 0.8), (5, 1.2)):
        real, fake = torch.randn(250, 7, generator=rng).double(), torch.randn(250, 7, generator=rng).double() * scale
        want = prdc.compute_prdc(real.numpy(), fake.numpy(), nearest_k=k)
        for metric in ALL:
            assert metric(k)(real, fake) == pytest.approx(want[metric.__name__.lower()], abs=1e-12)


def test_memory_is_bounded() -> None:
    """No block of distances is larger than 64 MB, however many images there are."""
    sizes: list[int] = []
    for block in neighbours.squared_distances(torch.randn(3000, 2), torch.randn(9000, 2)):
        sizes.append(block.numel() * block.element_size())
    assert sum(sizes) == 3000 * 9000 * 8 and max(sizes) <= 64_000_000


def test_wilson() -> None:
    assert wilson(0.5, 100, 1.96) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert wilson(1.0, 100, 1.96) == pytest.approx((0.9630, 1.0), abs=1e-4)


def test_too_few() -> None:
    for metric in ALL:
        with pytest.raises(UserError, match="too few"):
            metric(5)(torch.zeros(5, 2), torch.zeros(5, 2))
