"""The flow from noise to codes: exact where the answer is known, and the same way back."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limner.models.codeflow import CodeFlow, heun


def fitted(codes: Tensor, label: Tensor | None = None, classes: int = 0, steps: int = 1000) -> CodeFlow:
    flow = CodeFlow(codes.shape[1], classes, width=128, depth=2)
    flow.fit(codes, label, torch.Generator().manual_seed(1), steps)
    return flow


def test_heuns_rule_is_of_second_order() -> None:
    """dx/dt = x from 0 to 1 multiplies by e; halving the steps' length quarters the error."""
    errors = [abs(heun(lambda x, t: x, torch.ones(1, 1).double(), 0, 1, n).item() - math.e) for n in (8, 16, 32)]
    assert 3.6 < errors[0] / errors[1] < 4.2 and 3.8 < errors[1] / errors[2] < 4.1


def test_it_learns_a_gaussian() -> None:
    """Correlated normal codes: the draws have their mean and covariance."""
    rng = torch.Generator().manual_seed(0)
    mix = torch.tensor([[2.0, 0, 0], [1.0, 0.5, 0], [0, -0.3, 1.0]])
    codes = torch.randn(4000, 3, generator=rng) @ mix.T + torch.tensor([1.0, -2.0, 3.0])
    drawn = fitted(codes)(torch.randn(4000, 3, generator=rng))
    assert (drawn.mean(0) - codes.mean(0)).abs().max() < 0.15
    wanted = torch.cov(codes.T)
    assert (torch.cov(drawn.T) - wanted).norm() < 0.15 * wanted.norm()


def test_it_learns_what_no_gaussian_is_and_labels() -> None:
    """Two far clusters: draws lie at one of them, at the one that the label names."""
    rng = torch.Generator().manual_seed(0)
    label = torch.arange(3000) % 2
    codes = torch.randn(3000, 2, generator=rng) * 0.2 + (label[:, None] * 6 - 3)
    flow = fitted(codes, label, classes=2)
    z = torch.randn(1000, 2, generator=rng)
    for k, side in ((0, -3.0), (1, 3.0)):
        drawn = flow(z, torch.full((1000,), k))
        assert ((drawn - side).norm(dim=1) < 1).float().mean() > 0.98
    either = flow(z, torch.full((1000,), -1))
    at_left = ((either + 3).norm(dim=1) < 1.5).float().mean()
    at_right = ((either - 3).norm(dim=1) < 1.5).float().mean()
    assert at_left > 0.15 and at_right > 0.15, "without a label, codes of both kinds"


def test_the_noise_of_a_code_leads_back_to_it() -> None:
    rng = torch.Generator().manual_seed(0)
    codes = torch.randn(2000, 4, generator=rng).exp()
    flow = fitted(codes)
    again = flow(flow.noise(codes[:200]))
    assert (again - codes[:200]).norm() < 0.02 * (codes[:200] - codes.mean(0)).norm()
    noise = flow.noise(codes)
    assert noise.mean(0).abs().max() < 0.2 and (noise.std(0) - 1).abs().max() < 0.25


def test_fitting_twice_gives_the_same_and_leaves_nothing_to_train() -> None:
    codes = torch.randn(300, 3, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(5)
    one = fitted(codes, steps=100)
    torch.manual_seed(5)
    other = fitted(codes, steps=100)
    assert not list(one.parameters())
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b) and not a.requires_grad, name
