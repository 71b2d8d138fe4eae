"""The kernel distance: by hand, torch-fidelity, unbiased."""

from __future__ import annotations

import pytest
import torch

import limner.metrics.kernel as kernel
from limner.core.errors import UserError
from limner.metrics.kernel import KernelDistance


def by_hand(x: torch.Tensor, y: torch.Tensor) -> float:
    def k(a: torch.Tensor, b: torch.Tensor) -> float:
        return (sum(float(p) * float(q) for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    n, m = len(x), len(y)
    within_x = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_y = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_x + within_y - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def test_by_hand() -> None:
    x, y = torch.randn(7, 3).double(), torch.randn(5, 3).double() + 0.5
    assert KernelDistance()(x, y) == pytest.approx(by_hand(x, y), rel=1e-12)


def test_the_same_tensor_twice_is_two_sets() -> None:
    x = torch.randn(6, 2).double()
    assert KernelDistance()(x, x) == pytest.approx(by_hand(x, x.clone()), rel=1e-12)


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = torch.randn(100, 8), torch.randn(90, 8) * 2
    want = KernelDistance()(x, y), KernelDistance().error(x, y)
    monkeypatch.setattr(kernel, "rows_per_block", lambda columns: 7)
    assert (KernelDistance()(x, y), KernelDistance().error(x, y)) == pytest.approx(want, rel=1e-10)


@pytest.mark.parametrize(("subsets", "size"), [(10, 200), (1, 500)])
def test_equals_torch_fidelity(fidelity: None, subsets: int, size: int) -> None:
    from torch_fidelity.metric_kid import kid_features_to_metric

    x, y = torch.randn(500, 64).double(), torch.randn(600, 64).double() * 1.1 + 0.1
    given = {"kid_subsets": subsets, "kid_subset_size": size, "rng_seed": 2020, "verbose": False}
    want = kid_features_to_metric(y, x, **given)["kernel_inception_distance_mean"]
    assert KernelDistance(subsets, size)(x, y) == pytest.approx(want, rel=1e-6)


def test_full_sample_equals_one_subset_of_everything() -> None:
    x, y = torch.randn(200, 16), torch.randn(200, 16) + 0.2
    assert KernelDistance(1, 200)(x, y) == pytest.approx(KernelDistance()(x, y), rel=1e-9)


def test_unbiased_at_every_n() -> None:
    for n in (4, 40):
        scores = torch.tensor([KernelDistance()(torch.randn(n, 5), torch.randn(n, 5)) for _ in range(400)])
        assert abs(scores.mean()) < 4 * scores.std() / 20


def test_too_few() -> None:
    with pytest.raises(UserError, match="subsets of 1000"):
        KernelDistance(subsets=3)(torch.zeros(10, 2), torch.zeros(10, 2))
    with pytest.raises(UserError, match="2 images"):
        KernelDistance()(torch.zeros(1, 2), torch.zeros(10, 2))
