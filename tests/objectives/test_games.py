"""Every game against the papers' formulas, written again as Python loops over five pairs of logits."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from limner.core.spec import catalog
from limner.objectives.base import Game
from limner.objectives.games import Hinge, LeastSquares, Minimax, NonSaturating, Relativistic, Wasserstein

REAL = [-2.0, -0.7, 0.0, 0.3, 3.0]
FAKE = [1.5, -0.4, 0.0, -2.2, 0.9]
Formula = Callable[[float, float], float]


def sigmoid(t: float) -> float:
    return 1 / (1 + math.exp(-t))


def cross_entropy(real: float, fake: float) -> float:
    """-log D(x) - log(1 - D(G(z))) (Goodfellow et al. 2014, eq. 1)."""
    return -math.log(sigmoid(real)) - math.log(1 - sigmoid(fake))


FORMULAS: dict[type[Game], tuple[Formula, Formula]] = {
    Minimax: (cross_entropy, lambda real, fake: math.log(1 - sigmoid(fake))),
    NonSaturating: (cross_entropy, lambda real, fake: -math.log(sigmoid(fake))),
    LeastSquares: (lambda real, fake: 0.5 * (real - 1) ** 2 + 0.5 * fake**2, lambda real, fake: 0.5 * (fake - 1) ** 2),
    Hinge: (lambda real, fake: -min(0, -1 + real) - min(0, -1 - fake), lambda real, fake: -fake),
    Wasserstein: (lambda real, fake: -(real - fake), lambda real, fake: -fake),
    Relativistic: (
        lambda real, fake: -math.log(sigmoid(real - fake)),
        lambda real, fake: -math.log(sigmoid(fake - real)),
    ),
}
"""Game → what its critic and its generator minimise for one pair."""

each_game = pytest.mark.parametrize("game", FORMULAS, ids=lambda g: g.__name__)


def pairs() -> tuple[Tensor, Tensor]:
    return torch.tensor(REAL, dtype=torch.float64), torch.tensor(FAKE, dtype=torch.float64)


def test_every_game_has_a_formula_here() -> None:
    shipped = {game for game in catalog(Game).values() if game.__module__ == "limner.objectives.games"}
    assert shipped == set(FORMULAS)


@each_game
def test_equals_the_loop(game: type[Game]) -> None:
    critic, generator = FORMULAS[game]
    real, fake = pairs()
    by_hand = [critic(r, f) for r, f in zip(REAL, FAKE, strict=True)]
    assert game().critic(real, fake).tolist() == pytest.approx(by_hand, rel=1e-12, abs=1e-12)
    by_hand = [generator(r, f) for r, f in zip(REAL, FAKE, strict=True)]
    assert game().generator(real, fake).tolist() == pytest.approx(by_hand, rel=1e-12, abs=1e-12)


@each_game
def test_players_pull_in_opposite_directions(game: type[Game]) -> None:
    """Where the critic is undecided, its descent raises real and lowers fake, the generator's raises fake."""
    real, fake = torch.zeros(5, requires_grad=True), torch.zeros(5, requires_grad=True)
    up_real, down_fake = torch.autograd.grad(game().critic(real, fake).sum(), (real, fake))
    (up_fake,) = torch.autograd.grad(game().generator(real, fake).sum(), fake)
    assert (up_real < 0).all() and (up_fake < 0).all()
    assert (down_fake >= 0).all() if game is LeastSquares else (down_fake > 0).all()


@each_game
def test_rows_do_not_mix(game: type[Game]) -> None:
    real, fake = pairs()
    order = torch.tensor([3, 0, 4, 1, 2])
    for player in (game().critic, game().generator):
        torch.testing.assert_close(player(real, fake)[order], player(real[order], fake[order]), rtol=0, atol=0)


@each_game
def test_extreme_logits_stay_finite(game: type[Game]) -> None:
    """A naive log sigmoid is -inf from 40 on in float32, and its gradient is no number."""
    real = torch.tensor([-500.0, 500.0, 500.0, -500.0], requires_grad=True)
    fake = torch.tensor([500.0, -500.0, 500.0, -500.0], requires_grad=True)
    loss = game().critic(real, fake) + game().generator(real, fake)
    loss.sum().backward()
    assert all(t is not None and t.isfinite().all() for t in (loss, real.grad, fake.grad))


def test_values_where_the_critic_knows_nothing() -> None:
    """log 4 for two cross-entropies (Goodfellow et al. 2014, theorem 1), log 2 for a pair, 1/2 for squares."""
    zero = torch.zeros(5, dtype=torch.float64)
    for game, value in (
        (Minimax(), math.log(4)),
        (NonSaturating(), math.log(4)),
        (Relativistic(), math.log(2)),
        (LeastSquares(), 0.5),
        (Hinge(), 2.0),
        (Wasserstein(), 0.0),
    ):
        assert game.critic(zero, zero).tolist() == pytest.approx([value] * 5, rel=1e-12)


def test_least_squares_is_at_rest_at_one_half() -> None:
    """Mao et al. 2017, eq. 11 with a = 0 and b = 1: the best critic of equal distributions is 1/2, at a loss of 1/4."""
    real, fake = torch.full((3,), 0.5, requires_grad=True), torch.full((3,), 0.5, requires_grad=True)
    loss = LeastSquares().critic(real, fake)
    up, down = torch.autograd.grad(loss.sum(), (real, fake))
    assert loss.tolist() == [0.25] * 3 and torch.equal(up + down, torch.zeros(3))


def test_minimax_and_non_saturating_share_the_critic() -> None:
    real, fake = pairs()
    assert torch.equal(Minimax().critic(real, fake), NonSaturating().critic(real, fake))


def test_non_saturating_is_minimax_with_stronger_gradients() -> None:
    """-log D and log(1 - D) have slopes D - 1 and -D in the logit: they differ by 1 - 2 D."""
    _, fake = pairs()
    fake.requires_grad_()
    (saturating,) = torch.autograd.grad(Minimax().generator(fake, fake).sum(), fake)
    (steady,) = torch.autograd.grad(NonSaturating().generator(fake, fake).sum(), fake)
    torch.testing.assert_close(saturating, -fake.sigmoid())
    torch.testing.assert_close(steady - saturating, 2 * fake.sigmoid() - 1)


def test_relativistic_sees_only_the_difference() -> None:
    """A constant added to the critic changes nothing, and the two players are mirror images."""
    real, fake = pairs()
    game = Relativistic()
    torch.testing.assert_close(game.critic(real + 7, fake + 7), game.critic(real, fake))
    torch.testing.assert_close(game.generator(real, fake), game.critic(fake, real))


def test_zero_sum_games_are_zero_sum() -> None:
    """In the generator's logit, minimax and Wasserstein generators minimise what their critics maximise."""
    real, fake = pairs()
    fake.requires_grad_()
    for game in (Minimax(), Wasserstein()):
        (critic,) = torch.autograd.grad(game.critic(real, fake).sum(), fake)
        (generator,) = torch.autograd.grad(game.generator(real, fake).sum(), fake)
        torch.testing.assert_close(critic, -generator)


def test_hinge_ignores_what_is_beyond_the_margin() -> None:
    real = torch.tensor([1.5, 0.5], requires_grad=True)
    fake = torch.tensor([-1.5, -0.5], requires_grad=True)
    up, down = torch.autograd.grad(Hinge().critic(real, fake).sum(), (real, fake))
    assert up.tolist() == [0, -1] and down.tolist() == [0, 1]
