"""Layers that are faster than torch's own compute the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limner.models.layers import Dropout, Transposed, doubled


@pytest.mark.parametrize(("taps", "size"), [(4, (8, 8)), (4, (7, 8)), (2, (8, 8))])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_doubling_has_every_gradient_of_a_transposed_convolution(
    taps: int, size: tuple[int, int], dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    parts = [torch.randn(3, 6, 4, 4), torch.randn(6, 5, taps, taps), torch.randn(5)]
    x, kernel, bias = (part.to(dtype).requires_grad_() for part in parts)

    def gradients(y: Tensor) -> tuple[Tensor, ...]:
        """First, and through them second ones."""
        (slope,) = torch.autograd.grad(y.sin().sum(), x, create_graph=True)
        return y, *torch.autograd.grad(slope.square().sum() + y.square().sum(), (x, kernel, bias))

    plain = F.conv_transpose2d(x, kernel, bias, stride=2, padding=taps // 2 - 1)[:, :, : size[0], : size[1]]
    for a, b in zip(gradients(doubled(x, kernel, bias, size)), gradients(plain), strict=True):
        error = float((a - b).detach().norm() / b.detach().norm())
        assert error < (1e-12 if dtype == torch.float64 else 0.01)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("shape", [(1000, 999), (31, 8, 60, 67)])
def test_dropout_drops_its_share_and_keeps_the_mean(share: float, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.ones(shape)
    x = x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x
    y = Dropout(share)(x)
    n, dropped = y.numel(), float((y == 0).float().mean())
    assert abs(dropped - share) < 4.5 * (share * (1 - share) / n) ** 0.5 + 2**-17
    kept = y[y != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - round(share * 2**16) / 2**16)))
    assert y.stride() == x.stride()
    zero = (y.flatten() == 0).float() - share
    near = float((zero[1:] * zero[:-1]).mean() / (share * (1 - share)))
    assert abs(near) < 4.5 / n**0.5, "neighbours are dropped independently"


def test_dropout_follows_the_seed_and_does_nothing_where_there_is_nothing_to_do() -> None:
    x = torch.randn(50, 50)
    draws: list[Tensor] = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(Dropout(0.5)(x))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert not Dropout(1.0)(x).any()
    assert Dropout(0.3)(torch.ones(0, 3)).shape == (0, 3)
    assert isinstance(Dropout(0.3), nn.Dropout)


@pytest.mark.parametrize("taps", [2, 4])
def test_a_transposed_layer_is_torchs_and_is_heard_by_hooks(taps: int) -> None:
    torch.manual_seed(0)
    layer, x, heard = Transposed(6, 5, taps), torch.randn(3, 6, 4, 4), list[Tensor]()
    layer.register_forward_hook(lambda _, __, made: heard.append(made))
    torch.testing.assert_close(layer(x), nn.ConvTranspose2d.forward(layer, x))
    assert layer(x, (7, 8)).shape == (3, 5, 7, 8)
    assert len(heard) == 2


def test_a_frozen_bias_learns_nothing() -> None:
    x, kernel = torch.randn(1, 2, 3, 3), torch.randn(2, 1, 4, 4, requires_grad=True)
    bias = torch.zeros(1)
    doubled(x, kernel, bias, (6, 6)).sum().backward()
    assert bias.grad is None
    assert kernel.grad is not None


def test_dropouts_gradient_has_its_mask() -> None:
    x = torch.randn(8, 4, 6, 6).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = Dropout(0.25)(x)
    (slope,) = torch.autograd.grad(y.square().sum() / 2, x, create_graph=True)
    torch.testing.assert_close(slope, torch.where(y == 0, 0.0, x / 0.75**2))
    (curve,) = torch.autograd.grad(slope.sum(), x)
    torch.testing.assert_close(curve, torch.where(y == 0, 0.0, torch.tensor(1 / 0.75**2)))
