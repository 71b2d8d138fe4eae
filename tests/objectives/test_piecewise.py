"""Piecewise linear critics: what a trace tells equals differentiating twice, and no other critic is taken for one."""

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
from limner.objectives.piecewise import TRIAL, ask, ask_both, piecewise_linear

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
    said = ask(critic, x, label)
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
        said = ask(critic, x, None)
        ours, theirs = gradients(loss(said.logits, said.slope), critic), twice()
    assert said.logits.dtype == torch.float32

    def error(found: list[Tensor]) -> float:
        return sum(float((a - b).norm() / b.norm()) for a, b in zip(found, exact, strict=True)) / len(exact)

    assert error(ours) < 1.1 * error(theirs) < 0.1, (error(ours), error(theirs))


def test_two_batches_at_once_are_judged_as_one_by_one() -> None:
    critic = critic_named("Light", 3)
    real, fake, label = rows(critic, 7), rows(critic, 7).flip(0).bfloat16(), torch.arange(7) % 3
    together = ask_both(critic, real, fake, label)
    for found, x in zip(together, (real, fake.float()), strict=True):
        alone = ask(critic, x, label)
        torch.testing.assert_close(found.logits, alone.logits)
        torch.testing.assert_close(found.slope, alone.slope)


def test_what_is_learned_of_logits_alone_needs_no_slopes() -> None:
    critic = critic_named("Light")
    x = rows(critic, 4)
    said = ask(critic, x, None)
    for a, b in zip(gradients(said.logits.exp().sum(), critic), gradients(critic(x).exp().sum(), critic), strict=True):
        alike(a, b, 1e-5)
    assert "slope" not in vars(said)


@pytest.mark.parametrize(("name", "linear"), [*((name, False) for name in OTHERS), ("Dense", True), ("Spectral", True)])
def test_a_trial_tells_critics_apart_and_leaves_no_trace(name: str, linear: bool) -> None:
    critic = critic_named(name)
    before, state = {k: v.clone() for k, v in critic.state_dict().items()}, torch.get_rng_state()
    assert piecewise_linear(critic, rows(critic, 4), None) == linear
    assert all(torch.equal(v, before[k]) for k, v in critic.state_dict().items()), "the trial changed the critic"
    assert torch.equal(torch.get_rng_state(), state), "the trial drew random numbers"


@pytest.mark.parametrize("progress", [0.0, 0.3, 0.35, 0.5, 0.65, 1.0])
def test_a_growing_critic_is_linear_at_every_moment(progress: float) -> None:
    critic = critic_named("Growing", 3)
    critic.pace(progress)
    x, label = rows(critic, 4), torch.arange(4) % 3
    assert piecewise_linear(critic, x, label)
    said = ask(critic, x, label)
    found = gradients((said.logits * said.slope.square().sum((1, 2, 3))).sum(), critic)
    logits = critic(x.requires_grad_(), label)
    twice = gradients((logits * slope(x, logits).square().sum((1, 2, 3))).sum(), critic)
    for a, b in zip(found, twice, strict=True):
        alike(a, b, 1e-5)


class Doubled(torch.autograd.Function):
    """An operation that no trace sees."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x * x

    @staticmethod
    def backward(ctx: object, *by: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return by[0]


def unseen(h: Tensor) -> Tensor:
    return Doubled.apply(h)  # pyright: ignore[reportReturnType]


def numbers_only(h: Tensor) -> Tensor:
    with torch.no_grad():
        return h * 2


ODD: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": lambda h: h.tanh(),
    "a product of rows": lambda h: h * h,
    "a product of what is unknown": lambda h: h * h.sigmoid(),
    "a product with its negative": lambda h: h * (-h),
    "centred": lambda h: h + h.mean(0),
    "added up": lambda h: h + h.sum(),
    "scaled by all": lambda h: h * (1 / h.detach().std(0)),
    "normed": lambda h: h / h.norm(dim=1, keepdim=True),
    "other rows": lambda h: h[torch.arange(len(h)).flip(0)],
    "some rows": lambda h: h[1:],
    "each with each": lambda h: (h[:, :1] + h.sum(1)).relu().mean(1, keepdim=True).expand_as(h),
    "each times each": lambda h: (h[:, :1] * h.sum(1).exp())[:, : h.shape[1]],
    "in place": lambda h: h.tanh_(),
    "in place, and what was": lambda h: F.relu(h, inplace=True) + h,
    "added in place": lambda h: h.clone().add_(h.exp()),
    "unseen": unseen,
    "unseen, added": lambda h: h + unseen(h),
    "unseen, multiplied": lambda h: h * unseen(h),
    "numbers only": lambda h: h + numbers_only(h),
    "whole numbers": lambda h: h + (h * 4).to(torch.int32).float(),
    "like another": lambda h: h.relu().to(h),
    "stacked": lambda h: torch.cat([h, h.exp()], 1)[:, : h.shape[1]],
    "a weight of rows": lambda h: F.linear(h, torch.ones(h.shape[1], h.shape[1]) * h.mean()),
    "pairs of rows": lambda h: h.view(-1, 2, h.shape[1]).flatten(0, 1),
}


class Odd(nn.Module):
    def __init__(self, how: Callable[[Tensor], Tensor], width: int = 4) -> None:
        super().__init__()
        self.first, self.last, self.how = nn.Linear(3, width), nn.Linear(width, 1), how

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        return self.last(self.how(self.first(x)))[:, 0]


@pytest.mark.parametrize("width", [4, TRIAL])
@pytest.mark.parametrize("how", ODD.values(), ids=ODD)
def test_what_is_not_linear_row_by_row_is_not_taken_for_it(how: Callable[[Tensor], Tensor], width: int) -> None:
    assert not piecewise_linear(Odd(how, width), torch.zeros(6, 3), None)


def differentiated_twice(critic: nn.Module, x: Tensor) -> list[Tensor]:
    seen = x.clone().requires_grad_()
    logits = critic(seen)
    return gradients((slope(seen, logits).square().flatten(1).sum(1) * logits).sum(), critic)


def traced(critic: nn.Module, x: Tensor) -> list[Tensor]:
    said = ask(critic, x, None)
    return gradients((said.slope.square().flatten(1).sum(1) * said.logits).sum(), critic)


@pytest.mark.parametrize(
    "after", ["tanh", "a product of what is unknown", "a product with its negative", "unseen, added"]
)
def test_a_critic_that_changes_its_ways_is_differentiated_twice(after: str) -> None:
    critic, x = Odd(F.relu), torch.randn(6, 3)
    assert piecewise_linear(critic, x, None)
    critic.how = ODD[after]
    assert piecewise_linear(critic, x, None), "it was asked before"
    for a, b in zip(traced(critic, x), differentiated_twice(critic, x), strict=True):
        alike(a, b, 1e-5)


class Rich(Odd):
    """A critic that also computes what its logits do not need, and one of whose weights is used twice."""

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        h = self.first(x)
        self.last(h * 2).sum(1)
        return self.last(F.leaky_relu(self.last.weight * F.leaky_relu(h, 0.1), inplace=True))[:, 0]


def test_what_is_not_needed_and_what_is_used_twice_is_learned_as_ever() -> None:
    critic, x = Rich(F.relu), torch.randn(6, 3)
    assert piecewise_linear(critic, x, None)
    for a, b in zip(traced(critic, x), differentiated_twice(critic, x), strict=True):
        alike(a, b, 1e-5)


def test_frozen_weights_learn_nothing_and_hinder_nobody() -> None:
    critic = critic_named("Light")
    x = rows(critic, 4)
    frozen = critic.get_parameter("body.shrinks.0.weight").requires_grad_(False)
    said = ask(critic, x, None)
    (said.logits + said.slope.square().sum((1, 2, 3))).sum().backward()
    assert frozen.grad is None
    assert all(weight.grad is not None for weight in critic.parameters() if weight is not frozen)


def test_weights_of_several_labels_at_once_are_learned() -> None:
    critic = critic_named("Light", 3)
    x, label = rows(critic, 4), torch.rand(4, 3)
    label[1] = torch.nan
    assert piecewise_linear(critic, x, label)
    said = ask(critic, x, label)
    found = gradients((said.slope.square().sum((1, 2, 3)) * said.logits).sum(), critic)
    logits = critic(x.requires_grad_(), label)
    twice = gradients((slope(x, logits).square().sum((1, 2, 3)) * logits).sum(), critic)
    for a, b in zip(found, twice, strict=True):
        alike(a, b, 1e-5)


@pytest.mark.parametrize(
    "how",
    [
        F.relu,
        torch.relu,
        lambda h: h * 2 + 1,
        lambda h: 0.5 * h,
        lambda h: h + F.leaky_relu(h),
        lambda h: h.view(-1, 2, 2).flatten(1),
        lambda h: torch.flatten(F.leaky_relu(h, 0.3, inplace=True), 1),
    ],
)
def test_what_is_linear_row_by_row_is_known(how: Callable[[Tensor], Tensor]) -> None:
    critic, x = Odd(how), torch.randn(6, 3)
    assert piecewise_linear(critic, x, None)
    for a, b in zip(traced(critic, x), differentiated_twice(critic, x), strict=True):
        alike(a, b, 1e-5)
