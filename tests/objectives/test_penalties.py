"""Penalties against closed forms: a linear critic's slope is its weight vector, whatever the images."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from limner.core.errors import UserError
from limner.core.moment import Moment
from limner.core.pixels import Image
from limner.core.rng import generator
from limner.core.schedule import Cosine, Ramp
from limner.models.base import Critic, Labels
from limner.models.plain import PlainCritic
from limner.objectives.base import Game, Penalty, Scene, verdict
from limner.objectives.games import Hinge, NonSaturating, Relativistic, Wasserstein
from limner.objectives.penalties import L1, L2, R1, R2, GradientPenalty, WeightClip

N, SHAPE = 5, (2, 3, 1)


class Formula(Critic):
    """A critic that is a formula of the flattened image and of its weights."""

    def __init__(self, formula: Callable[[Tensor, Tensor], Tensor], *weights: Tensor) -> None:
        nn.Module.__init__(self)
        self.formula = formula
        self.weights = nn.ParameterList(nn.Parameter(w.clone()) for w in weights)

    def forward(self, x: Tensor, label: Labels | None = None) -> Tensor:
        return self.formula(x.flatten(1), *self.weights)


def linear(w: Tensor) -> Formula:
    return Formula(lambda x, w, b: x @ w + b, w, torch.tensor(0.7, dtype=w.dtype))


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def scene(critic: Critic, progress: float = 0.0, rows: slice = slice(None)) -> Scene:
    """What the critic's turn shows its penalties."""
    real, fake = draw(N, *SHAPE, seed=1)[rows].requires_grad_(), draw(N, *SHAPE, seed=2)[rows].requires_grad_()
    at = Moment(nimg=0, progress=progress, rng=generator(3), total=N, rows=rows)
    return Scene(critic, real, fake, None, critic(real), critic(fake), at)


@pytest.mark.parametrize("penalty", [R1(0.3), R2(0.3)])
def test_slope_penalties_of_a_linear_critic(penalty: Penalty) -> None:
    """γ/2 ‖w‖², the same for each image."""
    w = draw(6)
    expected = torch.full((N,), 0.15 * w.square().sum().item())
    torch.testing.assert_close(penalty(scene(linear(w))), expected)


@pytest.mark.parametrize("kind", [R1, R2])
def test_once_in_so_many_steps_it_is_as_many_times_as_strong(kind: type[R1] | type[R2]) -> None:
    """The same on average over the steps (Karras et al. 2020, section 3.1)."""
    found = []
    for step in range(8):
        here = scene(linear(draw(6)))
        here.at = dataclasses.replace(here.at, nimg=step * N)
        found.append(kind(0.3, every=4)(here))
    whole = kind(0.3)(scene(linear(draw(6))))
    torch.testing.assert_close(torch.stack(found).mean(0), whole)
    assert [bool(term.any()) for term in found] == [True, False, False, False] * 2
    with pytest.raises(UserError, match="every=0"):
        kind(0.3, every=0)


def test_two_penalties_of_one_kind_add_up() -> None:
    here = scene(linear(draw(6)))
    terms = verdict(NonSaturating(), (R1(0.3), R1(0.2), R2(0.1)), here)
    assert list(terms) == ["game", "R1", "R2"]
    torch.testing.assert_close(terms["R1"], R1(0.5)(here))


@pytest.mark.parametrize(("game", "alone"), [(NonSaturating(), True), (Hinge(), True), (Wasserstein(), False),
                                             (Relativistic(), False)])  # fmt: skip
def test_a_critic_is_sure_of_a_real_image_by_0_or_by_its_fake(game: Game, alone: bool) -> None:
    """Where a game is blind to a constant added to every logit, so is the sign that ADA follows."""
    here = scene(linear(draw(6)))
    verdict(game, (), here)
    expected = here.real_logits if alone else here.real_logits - here.fake_logits
    torch.testing.assert_close(here.at.notes["real"], expected.detach())


def test_r1_looks_at_real_and_r2_at_generated_images() -> None:
    """Of ‖x‖²/2 the slope is x itself."""
    half_square = Formula(lambda x: x.square().sum(1) / 2)
    shown = scene(half_square)
    torch.testing.assert_close(R1(1.0)(shown), (shown.real.square().flatten(1).sum(1) / 2).float())
    torch.testing.assert_close(R2(1.0)(shown), (shown.fake.square().flatten(1).sum(1) / 2).float())


@pytest.mark.parametrize("target", [1.0, 0.0])
def test_gradient_penalty_of_a_linear_critic(target: float) -> None:
    """λ (‖w‖ - 1)², the same for each pair; target 0 is the variant of Thanh-Tung et al. 2019."""
    w = draw(6)
    expected = torch.full((N,), 10 * (w.norm().item() - target) ** 2)
    torch.testing.assert_close(GradientPenalty(10.0, target)(scene(linear(w))), expected)


def test_gradient_penalty_looks_between_pairs() -> None:
    """Of ‖x‖²/2 the slope is the place itself: each is one random point on the line from its fake to its real."""
    places: list[Tensor] = []

    def half_square(x: Tensor) -> Tensor:
        places.append(x)
        return x.square().sum(1) / 2

    shown = scene(Formula(half_square))
    penalty = GradientPenalty(2.0)(shown)
    between, real, fake = places[-1], shown.real.flatten(1), shown.fake.flatten(1)
    torch.testing.assert_close(penalty, (2 * (between.norm(dim=1) - 1).square()).float())
    shares = (between - fake) / (real - fake)
    torch.testing.assert_close(shares, shares[:, :1].expand_as(shares))
    assert ((shares > 0) & (shares < 1)).all()
    assert len(shares[:, 0].unique()) == N


def test_gradient_penalty_does_not_blow_up_where_the_critic_is_flat() -> None:
    critic = linear(torch.zeros(6, dtype=torch.float64))
    GradientPenalty()(scene(critic)).sum().backward()
    assert all(w.grad is None or w.grad.isfinite().all() for w in critic.parameters())


def test_weight_clip_costs_nothing_and_cuts_every_weight() -> None:
    assert WeightClip()(scene(linear(draw(6)))).tolist() == [0] * N
    critic = PlainCritic(Image(*SHAPE), width=8, depth=2)
    with torch.no_grad():
        for weight in critic.parameters():
            weight.mul_(3)
    before = [w.detach().clone() for w in critic.parameters()]
    WeightClip(0.1).project(critic)
    assert any(w.abs().max() > 0.1 for w in before)
    for old, new in zip(before, critic.parameters(), strict=True):
        assert torch.equal(new, old.clamp(-0.1, 0.1))


@pytest.mark.parametrize("penalty", [R1(), R2(), GradientPenalty(), L1(), L2()])
def test_other_penalties_move_no_weight_themselves(penalty: Penalty) -> None:
    critic = linear(draw(6))
    before = [w.detach().clone() for w in critic.parameters()]
    penalty.project(critic)
    assert all(torch.equal(old, new) for old, new in zip(before, critic.parameters(), strict=True))


def test_weight_penalties_by_hand() -> None:
    """Weights 1, -2, 3 and bias 0.7."""
    critic = linear(torch.tensor([1.0, -2.0, 3.0]))
    images, logits = torch.zeros(N, *SHAPE), torch.zeros(N)
    shown = Scene(critic, images, images, None, logits, logits, Moment(0, 0.0, generator(0), N))
    torch.testing.assert_close(L1(0.1)(shown), torch.full((N,), 0.1 * (1 + 2 + 3 + 0.7)))
    torch.testing.assert_close(L2(0.1)(shown), torch.full((N,), 0.05 * (1 + 4 + 9 + 0.49)))


@pytest.mark.parametrize(("progress", "gamma"), [(0.0, 10.0), (0.5, 6.0), (1.0, 2.0)])
@pytest.mark.parametrize("kind", [R1, R2, GradientPenalty, L1, L2])
def test_factors_follow_their_schedule(kind: type[Penalty], progress: float, gamma: float) -> None:
    for curve in (Ramp(10.0, 2.0), Cosine(10.0, 2.0)):
        torch.testing.assert_close(
            kind(curve)(scene(linear(draw(6)), progress)), kind(gamma)(scene(linear(draw(6)), progress))
        )


@pytest.mark.parametrize("penalty", [R1(0.7), R2(0.7), GradientPenalty(10.0, 0.5)])
def test_double_backward_equals_finite_differences(penalty: Penalty) -> None:
    """The gradient in the critic's weights of a penalty on its slope, both derivatives by central differences."""
    first, second = draw(6, 4, seed=5), draw(4, seed=6)
    critic = Formula(lambda x, a, b: (x @ a).tanh() @ b, first, second)
    penalty(scene(critic)).double().mean().backward()
    step = 1e-3
    for place in range(6):
        row, column = place % 6, place % 4
        bumped = [first.clone(), first.clone()]
        bumped[0][row, column] += step
        bumped[1][row, column] -= step
        high, low = (_by_differences(penalty, b, second) for b in bumped)
        slope = critic.weights[0].grad
        assert slope is not None
        assert slope[row, column].item() == pytest.approx((high - low) / (2 * step), rel=1e-3, abs=1e-5)


def _by_differences(penalty: Penalty, first: Tensor, second: Tensor) -> float:
    """The penalty's mean from logits alone, with slopes by central differences in float64."""

    def logit(x: Tensor) -> Tensor:
        return (x @ first).tanh() @ second

    real, fake = draw(N, *SHAPE, seed=1).flatten(1), draw(N, *SHAPE, seed=2).flatten(1)
    share = torch.rand(N, 1, 1, 1, generator=generator(3)).flatten(1).double()
    x = {R1: real, R2: fake, GradientPenalty: fake + share * (real - fake)}[type(penalty)]
    h = 1e-5
    slopes = [(logit(x + h * e) - logit(x - h * e)) / (2 * h) for e in torch.eye(6, dtype=torch.float64)]
    squared = torch.stack(slopes, 1).square().sum(1)
    if isinstance(penalty, GradientPenalty):
        return float((10.0 * (squared.sqrt() - penalty.target).square()).mean())
    return float((0.35 * squared).mean())


@pytest.mark.parametrize("penalty", [R1(), R2(), GradientPenalty()])
def test_two_halves_of_a_batch_make_the_whole(penalty: Penalty) -> None:
    """Two processes with half the rows each see what one process with all of them does."""
    critic = Formula(lambda x, w: (x.square() @ w).tanh(), draw(6))
    halves = [penalty(scene(critic, rows=rows)) for rows in (slice(0, 2), slice(2, N))]
    torch.testing.assert_close(torch.cat(halves), penalty(scene(critic)))


def test_a_slope_penalty_of_images_that_the_critic_ignores_is_zero() -> None:
    critic = Formula(lambda x, w: (0 * x).sum(1) + w, torch.tensor(math.pi))
    assert R1()(scene(critic)).tolist() == [0] * N
