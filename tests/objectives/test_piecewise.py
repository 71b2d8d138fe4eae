"""Piecewise linear critics: what the tape tells equals differentiating twice, and no other critic is taken for one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limner.core.pixels import Image
from limner.core.spec import build
from limner.models.base import Critic
from limner.objectives.base import slope
from limner.objectives.piecewise import judge, judge_both, piecewise_linear

LINEAR = ("Light", "Residual", "Plain", "Growing", "Patch", "Small", "Dense", "Logistic")
OTHERS = ("DCGAN", "Attentive", "Autoencoder")
CONDITIONAL = ("Light", "Residual", "Growing", "Conditional", "Plain")
SIZE = {"Attentive": (16, 16), "Autoencoder": (16, 16)}
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "of both": lambda logits, slopes: logits.sin() + slopes.flatten(1).square().sum(1),
    "of logits": lambda logits, slopes: logits.square(),
    "of slopes": lambda logits, slopes: (slopes.flatten(1).norm(dim=1) - 1).square(),
}


def critic_named(name: str, classes: int = 0) -> Critic:
    torch.manual_seed(0)
    made = build(f"{name}Critic", Critic, image=Image(2, *SIZE.get(name, (15, 18))), classes=classes)
    for weight in made.parameters():
        if weight.ndim == 1:
            nn.init.normal_(weight, std=0.1)
    return made


def rows(critic: nn.Module, n: int) -> Tensor:
    image = critic.image
    assert isinstance(image, Image)
    return torch.randn(n, image.channels, image.height, image.width, generator=torch.Generator().manual_seed(1))


def gradients(loss: Tensor, critic: nn.Module) -> list[Tensor]:
    weights = list(critic.parameters())
    found = torch.autograd.grad(loss, weights, allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for g, w in zip(found, weights, strict=True)]


def alike(a: Tensor, b: Tensor, within: float) -> None:
    assert (a - b).norm() <= within * b.norm(), f"{(a - b).norm():.3g} of {b.norm():.3g}"


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("n", [1, 5, 6])
@pytest.mark.parametrize(("name", "classes"), [(n, 0) for n in LINEAR] + [(n, 3) for n in CONDITIONAL])
def test_gradients_are_those_of_differentiating_twice(
    name: str, classes: int, n: int, loss: Callable[[Tensor, Tensor], Tensor]
) -> None:
    critic = critic_named(name, classes)
    x, label = rows(critic, n), torch.arange(n) % 3 if classes else None
    assert piecewise_linear(critic, x, label)
    torch.manual_seed(2)
    said = judge(critic, x, label)
    found = gradients(loss(said.logits, said.slope).sum(), critic)
    torch.manual_seed(2)
    logits = critic(x.requires_grad_(), label)
    slopes = slope(x, logits)
    torch.testing.assert_close(said.logits, logits)
    alike(said.slope, slopes, 1e-5)
    for a, b in zip(found, gradients(loss(logits, slopes).sum(), critic), strict=True):
        alike(a, b, 1e-5)


def test_in_bfloat16_they_are_as_near_the_exact_ones_as_those_of_differentiating_twice() -> None:
    critic = critic_named("Light")
    x = rows(critic, 16)

    def loss(logits: Tensor, slopes: Tensor) -> Tensor:
        return F.softplus(-logits).mean() + slopes.float().square().sum((1, 2, 3)).mean()

    def twice() -> list[Tensor]:
        seen = x.clone().requires_grad_()
        logits = critic(seen)
        return gradients(loss(logits, slope(seen, logits)), critic)

    exact = twice()
    with torch.autocast("cpu", torch.bfloat16):
        said = judge(critic, x, None)
        ours, theirs = gradients(loss(said.logits, said.slope), critic), twice()
    assert said.logits.dtype == torch.float32

    def error(found: list[Tensor]) -> float:
        return sum(float((a - b).norm() / b.norm()) for a, b in zip(found, exact, strict=True)) / len(exact)

    assert error(ours) < 1.1 * error(theirs) < 0.1, (error(ours), error(theirs))


def test_two_batches_at_once_are_judged_as_one_by_one() -> None:
    critic = critic_named("Light", 3)
    real, fake, label = rows(critic, 7), rows(critic, 7).flip(0).bfloat16(), torch.arange(7) % 3
    together = judge_both(critic, real, fake, label)
    for found, x in zip(together, (real, fake.float()), strict=True):
        alone = judge(critic, x, label)
        torch.testing.assert_close(found.logits, alone.logits)
        torch.testing.assert_close(found.slope, alone.slope)


def test_what_is_learned_of_logits_alone_needs_no_slopes() -> None:
    critic = critic_named("Light")
    x = rows(critic, 4)
    said = judge(critic, x, None)
    for a, b in zip(gradients(said.logits.exp().sum(), critic), gradients(critic(x).exp().sum(), critic), strict=True):
        alike(a, b, 1e-5)
    assert "slope" not in vars(said)


@pytest.mark.parametrize("name", OTHERS)
def test_critics_that_are_curved_or_compare_rows_are_known(name: str) -> None:
    critic = critic_named(name)
    before, state = {k: v.clone() for k, v in critic.state_dict().items()}, torch.get_rng_state()
    assert not piecewise_linear(critic, rows(critic, 4), None)
    assert all(torch.equal(v, before[k]) for k, v in critic.state_dict().items()), "the trial changed the critic"
    assert torch.equal(torch.get_rng_state(), state), "the trial drew random numbers"


@pytest.mark.parametrize("progress", [0.0, 0.3, 0.35, 0.5, 0.65, 1.0])
def test_a_growing_critic_is_linear_at_every_moment(progress: float) -> None:
    critic = critic_named("Growing", 3)
    critic.pace(progress)
    x, label = rows(critic, 4), torch.arange(4) % 3
    assert piecewise_linear(critic, x, label)
    said = judge(critic, x, label)
    found = gradients((said.logits * said.slope.square().sum((1, 2, 3))).sum(), critic)
    logits = critic(x.requires_grad_(), label)
    twice = gradients((logits * slope(x, logits).square().sum((1, 2, 3))).sum(), critic)
    for a, b in zip(found, twice, strict=True):
        alike(a, b, 1e-5)


def test_a_critic_that_changes_its_ways_is_differentiated_twice() -> None:
    critic = Odd(F.relu)
    x = torch.randn(6, 3)
    assert piecewise_linear(critic, x, None)
    critic.how = torch.tanh
    assert piecewise_linear(critic, x, None), "it was asked before"
    said = judge(critic, x, None)
    found = gradients((said.logits * said.slope.square().sum(1)).sum(), critic)
    logits = critic(x.requires_grad_())
    twice = gradients((logits * slope(x, logits).square().sum(1)).sum(), critic)
    for a, b in zip(found, twice, strict=True):
        alike(a, b, 1e-5)


class Doubled(torch.autograd.Function):
    """An operation that no tape sees."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x * x

    @staticmethod
    def backward(ctx: object, *by: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return by[0]


ODD: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": lambda h: h.tanh(),
    "a product of rows": lambda h: h * h,
    "centred": lambda h: h + h.mean(0),
    "normed": lambda h: h / h.norm(dim=1, keepdim=True),
    "other rows": lambda h: h[torch.arange(len(h)).flip(0)],
    "some rows": lambda h: h[1:],
    "in place": lambda h: h.relu_(),
    "in place, otherwise": lambda h: F.leaky_relu(h, 0.2, inplace=True),
    "added in place": lambda h: h.clone().add_(h.exp()),
    "unseen": lambda h: Doubled.apply(h),  # pyright: ignore
    "unseen, added": lambda h: h + Doubled.apply(h),  # pyright: ignore
    "unseen, multiplied": lambda h: h * Doubled.apply(h),  # pyright: ignore
    "stacked": lambda h: torch.cat([h, h.exp()], 1)[:, :4],
    "a weight of rows": lambda h: F.linear(h, h.exp()[:4, :4].contiguous() if len(h) > 3 else h.new_zeros(4, 4)),
}


class Odd(nn.Module):
    def __init__(self, how: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last, self.how = nn.Linear(3, 4), nn.Linear(4, 1), how

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        return self.last(self.how(self.first(x)))[:, 0]


@pytest.mark.parametrize("how", ODD.values(), ids=ODD)
def test_what_is_not_linear_row_by_row_is_not_taken_for_it(how: Callable[[Tensor], Tensor]) -> None:
    assert not piecewise_linear(Odd(how), torch.zeros(6, 3), None)


@pytest.mark.parametrize(
    "how",
    [
        F.relu,
        torch.relu,
        lambda h: h * 2 + 1,
        lambda h: 0.5 * h,
        lambda h: h + F.leaky_relu(h),
        lambda h: h.view(-1, 2, 2).flatten(1),
    ],
)
def test_what_is_linear_row_by_row_is_known(how: Callable[[Tensor], Tensor]) -> None:
    critic, x = Odd(how), torch.randn(6, 3)
    assert piecewise_linear(critic, x, None)
    said = judge(critic, x, None)
    found = gradients((said.slope.square().sum(1) * said.logits).sum(), critic)
    logits = critic(x.requires_grad_())
    twice = gradients((slope(x, logits).square().sum(1) * logits).sum(), critic)
    for a, b in zip(found, twice, strict=True):
        alike(a, b, 1e-5)
