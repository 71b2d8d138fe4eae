"""What holds for every game, penalty and objective."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from limner.core.moment import Moment
from limner.core.pixels import Image
from limner.core.spec import build, catalog, options
from limner.data.pairs import Pair
from limner.models.base import Critic, Model, kind_of
from limner.objectives.base import Game, Objective, Penalty, Scene

IMAGE = Image(1, 8, 8)
N = 8
SIMPLEST = {"LikelihoodGenerator": "RowLSTMGenerator", "Translator": "LightTranslator"}
"""What plays a role where there is no plain network for it."""
SPECIAL = {"SelfReconstruction": "SmallCritic"}
"""Penalties that need a critic which can do more than judge."""
CLASSES = 3
LOGITS = torch.linspace(-3, 3, 7)

games = pytest.mark.parametrize("name", catalog(Game))
penalties = pytest.mark.parametrize("name", catalog(Penalty))
objectives = pytest.mark.parametrize("name", catalog(Objective))


def moment(purpose: int = 0) -> Moment:
    return Moment(0, 0.5, torch.Generator().manual_seed(purpose), N)


def batch(objective: Objective | None = None) -> Pair:
    """Pictures of two domains; labels too, one unknown, for an objective that needs them."""
    rng = torch.Generator().manual_seed(5)
    x, other = torch.rand(2, N, 1, 8, 8, generator=rng) * 2 - 1
    label = torch.arange(N) % (CLASSES + 1) - 1 if objective and objective.labelled else None
    return Pair(x, other, matched=True, label=label)


def nets(objective: Objective) -> nn.ModuleDict:
    torch.manual_seed(4)
    image = {"is": "Image", **IMAGE.__dict__}
    made: dict[str, Model] = {}
    for role in objective.roles():
        kind = objective.kinds.get(role) or kind_of(role)
        assert kind is not None, role
        there = catalog(kind)
        plain = there.get(f"Plain{kind.__name__}") or there[SIMPLEST.get(kind.__name__, kind.__name__)]
        given = {"image": image, "width": 32, "classes": CLASSES if role in objective.labelled else 0}
        if any(kind.__name__ == "SparseEncoder" for kind in objective.kinds.values()):
            given["latent"] = {"is": "Sparse", "dim": 64}
        fitting = {o.name: given[o.name] for o in options(plain) if o.name in given}
        made[role] = build({"is": plain.__name__} | fitting, kind)
    objective.check(made)
    return nn.ModuleDict(made)


@games
def test_game_is_per_sample_and_finite_far_out(name: str) -> None:
    game = build(name, Game)
    for logits in (LOGITS, 1e4 * LOGITS):
        for loss in (game.critic(logits, -logits), game.generator(logits, -logits)):
            assert loss.shape == (7,) and loss.isfinite().all()
    joint = game.critic(LOGITS, LOGITS.flip(0))
    single = torch.cat([game.critic(r[None], f[None]) for r, f in zip(LOGITS, LOGITS.flip(0), strict=True)])
    torch.testing.assert_close(joint, single)


@games
def test_game_pulls_the_right_way(name: str) -> None:
    game = build(name, Game)
    # between the targets of least squares and within the margin of hinge: no game has saturated there
    real, fake = torch.tensor([0.2, -0.3]).requires_grad_(), torch.tensor([0.1, 0.4]).requires_grad_()
    up, down = torch.autograd.grad(game.critic(real, fake).sum(), (real, fake))
    assert (up < 0).all(), "the critic's loss must fall as logits of real images rise"
    assert (down > 0).all(), "the critic's loss must rise as logits of fakes rise"
    (better,) = torch.autograd.grad(game.generator(real.detach(), fake).sum(), fake)
    assert (better < 0).all(), "the generator's loss must fall as logits of fakes rise"


@penalties
def test_penalty_is_not_negative_and_per_sample(name: str) -> None:
    torch.manual_seed(6)
    kind = SPECIAL.get(name, "PlainCritic")
    critic = build({"is": kind, "image": {"is": "Image", **IMAGE.__dict__}, "width": 16}, Critic)
    real, fake = batch().x.requires_grad_(), (batch().x * 0.5).requires_grad_()
    scene = Scene(critic, real, fake, None, critic(real), critic(fake), moment())
    penalty = build(name, Penalty)
    terms = penalty(scene)
    assert terms.shape == (N,) and terms.isfinite().all() and (terms >= 0).all()
    if terms.requires_grad:
        terms.mean().backward()
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in critic.parameters())
    before = [p.detach().clone() for p in critic.parameters()]
    penalty.project(critic)
    once = [p.detach().clone() for p in critic.parameters()]
    penalty.project(critic)
    assert all(torch.equal(a, b) for a, b in zip(once, critic.parameters(), strict=True)), "projecting twice is once"
    assert terms.requires_grad or not all(torch.equal(a, b) for a, b in zip(before, once, strict=True))


@objectives
def test_objective_names_terms_per_sample_and_moves_its_players(name: str) -> None:
    objective = build(name, Objective)
    players = nets(objective)
    kept: dict[str, torch.Tensor] = {}
    for turn, roles in objective.players.items():
        at = Moment(0, 0.5, torch.Generator().manual_seed(1), N, kept=kept)
        terms = objective.loss(turn, players, batch(objective), at)
        assert terms and all(term.shape == (N,) and term.isfinite().all() for term in terms.values())
        players.zero_grad()
        torch.stack([term.mean() for term in terms.values()]).sum().backward()
        for role in roles:
            grads = [p.grad for p in players[role].parameters()]
            assert any(g is not None and g.abs().sum() > 0 for g in grads), f"{turn} does not move {role}"
        objective.after(turn, players)


RATES = {"InstanceGAN": 1e-4}
"""Its generator begins with small weights before batch norms, so that a step turns them far."""


@objectives
def test_five_steps_of_descent_lower_every_turn(name: str) -> None:
    objective = build(name, Objective)
    for turn, roles in objective.players.items():
        players = nets(objective)
        optimizer = torch.optim.SGD([p for role in roles for p in players[role].parameters()], lr=RATES.get(name, 1e-3))
        losses = []
        for _ in range(6):
            torch.manual_seed(0)  # as the loop does before each turn: networks may draw noise
            terms = objective.loss(turn, players, batch(objective), moment())
            loss = torch.stack([term.mean() for term in terms.values()]).sum()
            losses.append(loss.item())
            players.zero_grad()
            loss.backward()
            optimizer.step()
        assert all(b < a for a, b in itertools.pairwise(losses)), f"{turn}: {losses}"
