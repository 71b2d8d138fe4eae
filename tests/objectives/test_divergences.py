"""f-divergences against their definitions, and the two games made of them, on grids, tables and known densities."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from limner.core.spec import build, catalog
from limner.objectives.base import Game
from limner.objectives.divergences import CAP, Divergence, tame_exp
from limner.objectives.fgan import RatioMatching, Variational

U = torch.linspace(-3, 3, 25, dtype=torch.float64).exp()
V = torch.linspace(-4, 4, 33, dtype=torch.float64)

each = pytest.mark.parametrize("divergence", [build(name, Divergence) for name in catalog(Divergence)],
                               ids=lambda d: type(d).__name__)  # fmt: skip
each_form = pytest.mark.parametrize("form", [Variational, RatioMatching], ids=lambda f: f.__name__)


def slope_of(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(function(x).sum(), x)
    return slope


def tables(seed: int = 0, cells: int = 12) -> tuple[Tensor, Tensor]:
    """Two distributions over a few cells."""
    rng = torch.Generator().manual_seed(seed)
    p, q = torch.rand(2, cells, generator=rng, dtype=torch.float64) + 0.05
    return p / p.sum(), q / q.sum()


# (u, f(u), t, f*(t)) from Nowozin et al. 2016, tables 1, 2 and 5, by hand
BY_HAND = {
    "ForwardKL": (2.0, 2 * math.log(2), 1.5, math.exp(0.5)),
    "ReverseKL": (2.0, -math.log(2), -0.5, -1 - math.log(0.5)),
    "Pearson": (3.0, 4.0, 2.0, 3.0),
    "Neyman": (4.0, 9 / 4, 0.75, 1.0),
    "SquaredHellinger": (4.0, 1.0, 0.5, 1.0),
    "JensenShannon": (3.0, 3 * math.log(3) - 4 * math.log(2), 0.0, 0.0),
    "ImportanceFitting": (3.0, 2.0, 2.0, 4.0),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_values_by_hand(name: str) -> None:
    divergence = build(name, Divergence)
    u, f, t, conjugate = BY_HAND[name]
    assert divergence.f(torch.tensor([u])).item() == pytest.approx(f, rel=1e-6)
    assert divergence.conjugate(torch.tensor([t])).item() == pytest.approx(conjugate, rel=1e-6, abs=1e-7)


def test_every_divergence_is_here() -> None:
    assert set(catalog(Divergence)) == set(BY_HAND)


@each
def test_f_is_convex_and_zero_at_one(divergence: Divergence) -> None:
    assert divergence.f(torch.ones(1, dtype=torch.float64)).item() == pytest.approx(0, abs=1e-12)
    left, right = U[:-1], U[1:]
    assert (divergence.f((left + right) / 2) < (divergence.f(left) + divergence.f(right)) / 2).all()


@each
def test_slope_is_the_derivative_of_f(divergence: Divergence) -> None:
    torch.testing.assert_close(divergence.slope(U), slope_of(divergence.f, U))


@each
def test_fenchel_young(divergence: Divergence) -> None:
    """f(u) + f*(t) ≥ ut, with equality at t = f'(u) and nowhere else."""
    t = divergence.slope(U)
    assert (t < divergence.supremum).all()
    gap = divergence.f(U)[:, None] + divergence.conjugate(t)[None] - U[:, None] * t[None]
    torch.testing.assert_close(gap.diagonal(), torch.zeros_like(U), rtol=0, atol=1e-9)
    apart = ~torch.eye(len(U), dtype=torch.bool)
    assert (gap[apart] > 0).all()


@each
def test_conjugate_of_the_conjugate_is_f(divergence: Divergence) -> None:
    """f(u) = sup (ut - f*(t)), by brute force over a hundred thousand t between those of neighbours."""
    t = divergence.slope(torch.linspace(-4, 4, 100_003, dtype=torch.float64).exp())
    best = torch.stack([(u * t - divergence.conjugate(t)).max() for u in U])
    torch.testing.assert_close(best, divergence.f(U), rtol=1e-6, atol=1e-6)


@each
def test_cost_is_the_conjugate_of_the_activation(divergence: Divergence) -> None:
    torch.testing.assert_close(divergence.cost(V), divergence.conjugate(divergence.activation(V)))


@each
def test_ratio_is_the_derivative_of_the_conjugate(divergence: Divergence) -> None:
    """Danskin: the u at which f* is attained; and `logit` is its inverse."""
    torch.testing.assert_close(divergence.ratio(V), slope_of(divergence.conjugate, divergence.activation(V)))
    torch.testing.assert_close(divergence.ratio(divergence.logit(U.log())), U)


@each
def test_activation_rises_into_the_domain_of_the_conjugate(divergence: Divergence) -> None:
    t = divergence.activation(torch.linspace(-30, 30, 601, dtype=torch.float64))
    assert (t.diff() >= 0).all() and (t.diff()[200:400] > 0).all() and (t <= divergence.supremum).all()


@each
@each_form
def test_the_best_critic_knows_the_divergence_and_the_ratio(form: type, divergence: Divergence) -> None:
    """On a table: the loss, minimised by Newton from the game alone, is -D_f, at the logits of p/q."""
    p, q = tables()
    game, none = form(divergence), torch.zeros(12, dtype=torch.float64)
    exact = (q * divergence.f(p / q)).sum()

    def loss(v: Tensor) -> Tensor:
        return (p * (game.critic(v, none) - game.critic(none, none))
                + q * (game.critic(none, v) - game.critic(none, none)) + p * game.critic(none, none)).sum()  # fmt: skip

    best = (p / q).log() if form is RatioMatching else divergence.logit((p / q).log())
    torch.testing.assert_close(-loss(best), exact)
    torch.testing.assert_close(slope_of(loss, best), torch.zeros_like(best), rtol=0, atol=1e-12)
    rng = torch.Generator().manual_seed(1)
    for size in (0.01, 0.3, 3.0):
        other = best + size * torch.randn(12, generator=rng, dtype=torch.float64)
        assert -loss(other) < exact, "the bound is a bound"


@each
def test_matching_ratios_is_a_bregman_divergence(divergence: Divergence) -> None:
    """E_Q [f(r*) - f(r) - f'(r)(r* - r)] and the critic's loss differ by D_f, whatever r is (Sugiyama et al. 2012)."""
    p, q = tables()
    r = (torch.randn(12, generator=torch.Generator().manual_seed(2), dtype=torch.float64) / 2).exp()
    true = p / q
    bregman = (q * (divergence.f(true) - divergence.f(r) - divergence.slope(r) * (true - r))).sum()
    game, w = RatioMatching(divergence), r.log()
    loss = (q * divergence.cost(divergence.logit(w)) - p * divergence.activation(divergence.logit(w))).sum()
    torch.testing.assert_close(loss + (q * divergence.f(true)).sum(), bregman)
    torch.testing.assert_close(game.critic(w, w), divergence.cost(divergence.logit(w)) - divergence.slope(r))


@each
def test_the_generators_of_either_game_follow_the_true_gradient(divergence: Divergence) -> None:
    """d/dθ D_f(P‖Q_θ) of a shifted Gaussian, by quadrature, is that of the saddle, the critic held still."""
    x = torch.linspace(-10, 11, 200_001, dtype=torch.float64)

    def density(mean: float) -> Tensor:
        return (-(x - mean).square() / 2).exp() / math.sqrt(2 * math.pi)

    def whole(mean: float) -> Tensor:
        q = density(mean)
        inside = (density(0.0) > 1e-14) & (q > 1e-14)
        return torch.trapezoid(torch.where(inside, q * divergence.f(density(0.0).clamp(1e-14) / q.clamp(1e-14)), 0), x)

    mean, h = 0.6, 1e-4
    true = (whole(mean + h) - whole(mean - h)) / (2 * h)
    log_ratio = mean * mean / 2 - mean * x
    q = density(mean)

    def followed(game: Game, logit: Callable[[Tensor], Tensor]) -> Tensor:
        """E_Q of the slope in x of the generator's loss: what a shift of all samples does to it."""
        seen = x.clone().requires_grad_()
        loss = game.generator(seen, logit(mean * mean / 2 - mean * seen))
        (slope,) = torch.autograd.grad(loss.sum(), seen)
        return torch.trapezoid(q * slope, x)

    assert log_ratio.abs().max() < CAP
    for game, logit in (
        (Variational(divergence, saddle=True), divergence.logit),
        (RatioMatching(divergence), lambda w: w),
    ):
        torch.testing.assert_close(followed(game, logit), true, rtol=2e-3, atol=1e-5)


def test_the_plug_in_generator_does_not_follow_it() -> None:
    """f(r) with the ratio held still is another gradient: for Pearson it even changes sign where the ratio passes 1."""
    fake = torch.tensor([-0.5, 0.5], requires_grad=True)
    (slope,) = torch.autograd.grad(
        RatioMatching(build("Pearson", Divergence), plug_in=True).generator(fake, fake).sum(), fake
    )
    assert slope[0] < 0 < slope[1]


@each
@pytest.mark.parametrize("option", [False, True], ids=["default", "option"])
@each_form
def test_far_out_everything_is_finite_and_pulls_the_right_way(form: type, divergence: Divergence, option: bool) -> None:
    """The contract of games, for every divergence and option: tests/contracts sees the defaults only."""
    game = form(divergence, option)
    real = torch.tensor([-3e4, -500.0, -12.0, 0.0, 12.0, 500.0, 3e4], requires_grad=True)
    for fake in (real.detach(), -real.detach()):
        fake.requires_grad_()
        loss = game.critic(real, fake) + game.generator(real, fake)
        slopes = torch.autograd.grad(loss.sum(), (real, fake))
        assert all(t.isfinite().all() for t in (loss, *slopes))
    near, far = torch.tensor([0.2, -0.3], requires_grad=True), torch.tensor([0.1, 0.4], requires_grad=True)
    up, down = torch.autograd.grad(game.critic(near, far).sum(), (near, far))
    assert (up < 0).all() and (down > 0).all()
    if not (form is RatioMatching and option):
        (better,) = torch.autograd.grad(game.generator(near.detach(), far).sum(), far)
        assert (better < 0).all()


@each
@each_form
def test_beyond_the_cap_the_critic_still_comes_back(form: type, divergence: Divergence) -> None:
    """With as many real as generated images at a place, its loss falls towards a ratio of 1 from however far."""
    for start in (-40.0, -15.0, 15.0, 40.0):
        v = torch.tensor([start], dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(form(divergence).critic(v, v).sum(), v)
        assert slope.sign().item() == math.copysign(1, start), start


def test_the_tame_exponential_is_one_up_to_the_cap_and_its_tangent_beyond() -> None:
    t = torch.tensor([-1e4, -2.0, 0.0, CAP], dtype=torch.float64)
    assert torch.equal(tame_exp(t), t.exp())
    beyond = torch.tensor([CAP + 3], dtype=torch.float64)
    assert tame_exp(beyond).item() == pytest.approx(4 * math.exp(CAP))
    assert slope_of(tame_exp, beyond).item() == pytest.approx(math.exp(CAP))
