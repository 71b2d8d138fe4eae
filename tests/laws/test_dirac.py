"""The Dirac-GAN (Mescheder et al. 2018, section 2): a point at θ learns to be at 0 against a critic ψ·x.

Both players take simultaneous gradient steps of size h. Where the game's slope at the equilibrium is f'(0), the
Jacobian of a step is [[1, h f'], [-h f', 1 - h γ]]: with γ = 0 its eigenvalues are outside the unit circle, with
R1 or R2 they are √(1 - h γ + h² f'²) < 1 in size. Everything here goes through the real training loop.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from limner.core import spec
from limner.core.events import Progress
from limner.core.latent import Gaussian, Latent
from limner.core.optim import SGD
from limner.core.pixels import Image
from limner.models.base import Critic, Generator, Labels
from limner.objectives.base import Game, Penalty
from limner.objectives.games import Hinge, LeastSquares, Minimax, NonSaturating, Relativistic, Wasserstein
from limner.objectives.gan import GAN
from limner.objectives.penalties import R1, R2, GradientPenalty, WeightClip
from limner.run import Player, Run
from limner.train import Budget, State, train

H, GAMMA = 0.2, 0.5
POINT, CODES = Image(1, 1, 1), Gaussian(1)
SLOPES = dict.fromkeys((Minimax(), NonSaturating(), Relativistic(), LeastSquares()), 0.5)
SLOPES |= dict.fromkeys((Hinge(), Wasserstein()), 1.0)
"""Game → f'(0), the pull of a critic that is right about everything."""

each_game = pytest.mark.parametrize("game", SLOPES, ids=lambda g: type(g).__name__)


class DiracPoint(Generator):
    """Every code → θ."""

    def __init__(self, image: Image = POINT, latent: Latent = CODES, theta: float = 1.0) -> None:
        super().__init__()
        self.image, self.latent, self.classes = image, latent, 0
        self.theta = nn.Parameter(torch.tensor(theta))

    def forward(self, z: Tensor, label: Labels | None = None) -> Tensor:
        return self.theta * torch.ones(len(z), 1, 1, 1)


class DiracSlope(Critic):
    """x → ψ·x + offset; squares to 0 and 1 are undecided at 1/2, all other games at 0."""

    def __init__(self, image: Image = POINT, psi: float = 1.0, offset: float = 0.0) -> None:
        super().__init__()
        self.image, self.classes, self.offset = image, 0, offset
        self.psi = nn.Parameter(torch.tensor(psi))

    def forward(self, x: Tensor, label: Labels | None = None) -> Tensor:
        return self.psi * x.flatten(1)[:, 0] + self.offset


@dataclass(frozen=True)
class Zeros:
    """The data: a point at 0."""

    x: Tensor
    label: None = None

    def at(self, nimg: int, rows: slice | None = None) -> Zeros:
        return self


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both networks are in the catalogue for the length of a test."""
    for cls in (DiracPoint, DiracSlope):
        monkeypatch.setitem(spec._classes, cls.__name__, cls)


def path(game: Game, *penalties: Penalty, steps: int, theta: float = 0.1, psi: float = 0.0, h: float = H) -> Tensor:
    """(steps + 1, 2): θ and ψ before training and after each step."""
    offset = 0.5 if isinstance(game, LeastSquares) else 0.0
    nets = {"generator": DiracPoint(theta=theta), "critic": DiracSlope(psi=psi, offset=offset)}
    player = Player(SGD(h))
    run = Run(GAN(game, penalties), nets, {"generator": player, "critic": player}, batch=1)
    state = State(run, torch.device("cpu"))

    def now() -> Iterator[float]:
        return (p.item() for p in state.nets.parameters())

    places = [[theta, psi]]
    for event in train(state, run, Zeros(torch.zeros(1, 1, 1, 1)), until=Budget(images=steps), looks=1):
        if isinstance(event, Progress):
            places.append(list(now()))
    return torch.tensor(places, dtype=torch.float64)


def rate(places: Tensor) -> float:
    """By what factor the distance to (0, 0) changes a step: the slope of its logarithm."""
    distance = places.norm(dim=1).log()
    step = torch.arange(len(distance), dtype=torch.float64)
    step = step - step.mean()
    return math.exp(float((step * distance).sum() / step.square().sum()))


@each_game
def test_without_a_penalty_it_does_not_converge(game: Game) -> None:
    """Lemma 2.4: eigenvalues 1 ± i h f', so near the equilibrium the distance grows by √(1 + h² f'²) a step."""
    places = path(game, steps=100, theta=0.01)
    assert rate(places) == pytest.approx(math.sqrt(1 + (H * SLOPES[game]) ** 2), abs=2e-4)
    assert places[-1].norm() > 1.2 * places[0].norm()


@each_game
def test_with_r1_it_converges(game: Game) -> None:
    """Section 4.1: eigenvalues inside the unit circle; the distance shrinks by √(1 - h γ + h² f'²) a step."""
    places, slope = path(game, R1(GAMMA), steps=100), SLOPES[game]
    assert 2 * slope > GAMMA, "the formula is for complex eigenvalues"
    assert rate(places[20:]) == pytest.approx(math.sqrt(1 - H * GAMMA + (H * slope) ** 2), abs=1.5e-3)
    assert places[-1].norm() < 0.1 * places[0].norm()


@pytest.mark.parametrize("game", [Relativistic(), Wasserstein()], ids=["Relativistic", "Wasserstein"])
def test_r2_of_a_linear_critic_is_r1(game: Game) -> None:
    torch.testing.assert_close(path(game, R2(GAMMA), steps=40), path(game, R1(GAMMA), steps=40), rtol=0, atol=1e-6)


def test_r1_and_r2_together_have_both_weights() -> None:
    both = path(Relativistic(), R1(GAMMA / 2), R2(GAMMA / 2), steps=40)
    torch.testing.assert_close(both, path(Relativistic(), R1(GAMMA), steps=40), rtol=0, atol=1e-6)


@pytest.mark.parametrize("theta", [0.4, 1.2])
def test_non_saturating_ends_on_a_circle(theta: float) -> None:
    """On average a step of finite size adds h² r²/4 to r² and the flow takes h r⁴/8: every path ends at r² = 2 h."""
    places = path(NonSaturating(), steps=250, theta=theta, h=0.3)
    assert places[-60:].square().sum(1).mean().item() == pytest.approx(2 * 0.3, rel=0.05)


def test_a_pair_with_a_real_at_zero_is_the_non_saturating_game() -> None:
    pair, alone = path(Relativistic(), steps=40, theta=1.0), path(NonSaturating(), steps=40, theta=1.0)
    torch.testing.assert_close(pair, alone, rtol=0, atol=1e-6)


def test_wasserstein_spirals_out_exactly() -> None:
    """Simultaneous steps on θψ: the squared distance grows by 1 + h² each step, from anywhere."""
    squared = path(Wasserstein(), steps=60, theta=0.3, psi=-0.7).square().sum(1)
    torch.testing.assert_close(squared[1:] / squared[:-1], torch.full((60,), 1 + H**2).double(), rtol=0, atol=1e-5)


@each_game
def test_a_gradient_penalty_keeps_it_away(game: Game) -> None:
    """Section 3.2, WGAN-GP: a slope of 1 is asked for where none is due; the distance, 0.1 at first, stays above 1."""
    places = path(game, GradientPenalty(0.5), steps=160)
    assert places[80:].norm(dim=1).min() > 1


def test_clipping_keeps_it_away() -> None:
    """Section 3.2, WGAN with |ψ| ≤ c: a slope at its limit makes the point run, and it never comes to rest."""
    places = path(Wasserstein(), WeightClip(0.5), steps=160)
    assert places[:, 1].abs().max().item() == 0.5
    assert places[80:].norm(dim=1).min() > 4 * places[0].norm()
