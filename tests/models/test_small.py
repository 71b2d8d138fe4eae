"""The small-data family: gates, quarters, and what rebuilding is asked for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from limner.core.errors import UserError
from limner.core.latent import Gaussian
from limner.core.moment import Moment
from limner.core.pixels import Image
from limner.core.spec import build
from limner.models.light import LightCritic, LightGenerator
from limner.models.small import Excitation, SmallCritic, SmallGenerator
from limner.objectives.base import Penalty, Scene
from limner.objectives.rebuilding import SelfReconstruction

ALL = torch.tensor([[False, False], [False, True], [True, False], [True, True]])


def moment(n: int) -> Moment:
    return Moment(0, 0.5, torch.Generator().manual_seed(0), n)


def scene(critic: Any, x: Tensor) -> Scene:
    return Scene(critic, x, x, None, critic(x), critic(x), moment(len(x)))


@torch.no_grad()
def test_a_gate_scales_channels_by_what_the_coarse_grid_shows() -> None:
    """Liu et al. 2021, eq. 1, by hand: y = 2 σ(W₂ leak(W₁ pool(x_low))) · x_high."""
    gate, fine, coarse = Excitation(6, 5), torch.randn(2, 5, 16, 16), torch.randn(2, 6, 8, 8)
    pooled = coarse.unflatten(2, (4, 2)).unflatten(4, (4, 2)).mean((3, 5))
    hidden = torch.einsum("ncij,ocij->no", pooled, gate.first.weight) + gate.first.bias
    hidden = torch.where(hidden > 0, hidden, 0.2 * hidden)
    scale = torch.sigmoid(hidden @ gate.second.weight[:, :, 0, 0].T + gate.second.bias)
    torch.testing.assert_close(gate(fine, coarse), fine * (2 * scale)[:, :, None, None])


@torch.no_grad()
def test_without_gates_it_is_the_light_generator() -> None:
    image = Image(3, 64, 64)
    torch.manual_seed(0)
    light = LightGenerator(image, Gaussian(8), 3, width=4)
    small = SmallGenerator(image, Gaussian(8), 3, width=4)
    assert len(small.gates) == 3
    for gate in small.gates:
        gate.second.weight.zero_(), gate.second.bias.zero_()
    small.load_state_dict(light.state_dict(), strict=False)
    z, label = torch.randn(4, 8), torch.tensor([0, 1, 2, -1])
    torch.testing.assert_close(small(z, label), light(z, label))


@torch.no_grad()
@pytest.mark.parametrize("size", [(64, 64), (28, 28), (33, 20), (8, 8)])
def test_what_should_be_rebuilt_is_in_the_picture(size: tuple[int, int]) -> None:
    h, w = size
    critic = SmallCritic(Image(3, h, w), width=4, widest=8, features=8)
    x = torch.rand(4, 3, h, w) * 2 - 1
    (whole, small), (part, quarter) = critic.rebuild(x, ALL)
    assert whole.shape == small.shape and part.shape == quarter.shape
    factor = -(-h // small.shape[2]) if h % 2 == 0 and h == w else 0
    if factor and small.shape[2] * factor == h:
        torch.testing.assert_close(small, torch.nn.functional.avg_pool2d(x, factor))
    # the quarter in the upper left is cut from there as it is, the one in the lower right ends where the picture does
    torch.testing.assert_close(quarter[0][:, : h // 2, : w // 2], x[0][:, : h // 2, : w // 2])
    if h % 4 == 0 and w % 4 == 0 and (h // 4) % 2 == 0:
        torch.testing.assert_close(quarter[3], x[3][:, h // 2 :, w // 2 :])
        torch.testing.assert_close(quarter[1], x[1][:, : h // 2, w // 2 :])
        torch.testing.assert_close(quarter[2], x[2][:, h // 2 :, : w // 2])


def test_a_quarter_is_rebuilt_from_maps_of_that_quarter() -> None:
    """What lies far on the other side of the picture has no influence on it."""
    critic = SmallCritic(Image(1, 64, 64), width=4, widest=8, features=8)
    x = torch.rand(1, 1, 64, 64, requires_grad=True)
    _, (part, _) = critic.rebuild(x, torch.tensor([[False, True]]))
    (slope,) = torch.autograd.grad(part.sum(), x)
    assert slope[0, 0, :32, 32:].abs().sum() > 0
    assert slope[0, 0, 44:].abs().sum() == 0 and slope[0, 0, :, :20].abs().sum() == 0


def test_the_term_is_the_sum_of_both_distances_per_sample() -> None:
    critic = SmallCritic(Image(3, 32, 32), width=4, widest=8, features=8)
    x = torch.rand(6, 3, 32, 32) * 2 - 1
    terms = SelfReconstruction(weight=2.0)(scene(critic, x))
    pairs = critic.rebuild(x, moment(6).uniform(2) < 0.5)
    by_hand = [2.0 * sum(float((a[i] - b[i]).detach().abs().mean()) for a, b in pairs) for i in range(6)]
    torch.testing.assert_close(terms, torch.tensor(by_hand))


def test_rebuilding_is_learned_and_uses_only_the_real_pictures() -> None:
    """Two colours and four places are rebuilt after a few steps: the term falls below half."""
    torch.manual_seed(0)
    critic = SmallCritic(Image(3, 32, 32), width=8, widest=32, features=8)
    x = -torch.ones(32, 3, 32, 32)
    for i in range(32):
        top, left = 16 * (i % 2), 16 * (i // 2 % 2)
        x[i, i % 3, top : top + 16, left : left + 16] = 1
    optimizer, losses = torch.optim.Adam(critic.parameters(), 3e-3), []
    for _ in range(40):
        loss = SelfReconstruction()(scene(critic, x)).mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
    assert critic.head.dense.weight.grad is None, "the judgement itself has no part in it"


def test_a_critic_that_cannot_rebuild_is_named() -> None:
    critic = LightCritic(Image(3, 16, 16), width=4)
    with pytest.raises(UserError, match="LightCritic cannot: -o critic=SmallCritic"):
        build("SelfReconstruction", Penalty).check(critic)
