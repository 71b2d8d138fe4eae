"""Critics that are autoencoders: EBGAN's margins, the pull-away term by brute force, BEGAN's equilibrium by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from limner.core.errors import UserError
from limner.core.moment import Moment
from limner.core.pixels import Image
from limner.core.rng import generator
from limner.data.batches import Batch
from limner.models.energy import AutoencoderCritic
from limner.models.plain import PlainCritic, PlainGenerator
from limner.objectives.began import BEGAN
from limner.objectives.ebgan import EBGAN, EnergyMargin, pull_away
from limner.run import Run, check

IMAGE = Image(1, 8, 8)
N = 6


def critic(**options: int) -> AutoencoderCritic:
    torch.manual_seed(1)
    return AutoencoderCritic(IMAGE, **({"width": 4, "widest": 8, "code": 5} | options))


def pictures(n: int = N, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 1, 8, 8, generator=generator(seed)) * 2 - 1


@pytest.mark.parametrize("power", [1, 2])
def test_the_logit_is_minus_the_error_of_the_reconstruction(power: int) -> None:
    net, x = critic(power=power), pictures()
    again = net.reconstruct(x)
    assert again.shape == x.shape and again.abs().max() <= 1
    by_hand = [-sum(abs(a.item() - b.item()) ** power for a, b in zip(one.flatten(), other.flatten(), strict=True)) / 64
               for one, other in zip(x, again, strict=True)]  # fmt: skip
    assert net(x).tolist() == pytest.approx(by_hand, rel=1e-5)
    assert net.features(x).shape == (N, 5)


def test_pull_away_equals_the_double_loop() -> None:
    """Zhao et al. 2017, eq. 7."""
    codes = torch.randn(N, 4, generator=generator(0))
    total = 0.0
    for i in range(N):
        for j in range(N):
            if i != j:
                cosine = torch.dot(codes[i], codes[j]) / (codes[i].norm() * codes[j].norm())
                total += float(cosine) ** 2
    assert pull_away(codes).mean().item() == pytest.approx(total / (N * (N - 1)), rel=1e-5)


def test_pull_away_knows_equal_and_orthogonal_codes() -> None:
    assert pull_away(torch.eye(4)).tolist() == [0.0] * 4
    torch.testing.assert_close(pull_away(torch.ones(4, 3)), torch.ones(4))
    torch.testing.assert_close(pull_away(3 * torch.eye(4) - 5e-7), pull_away(torch.eye(4)), rtol=0, atol=1e-5)
    assert pull_away(torch.ones(1, 3)).tolist() == pytest.approx([0.0], abs=1e-6)


def test_pull_away_does_not_mind_the_length_of_codes() -> None:
    codes = torch.randn(N, 4, generator=generator(0))
    torch.testing.assert_close(pull_away(codes * torch.arange(1.0, N + 1)[:, None]), pull_away(codes))


def test_the_margin_by_hand() -> None:
    """D(x) + [m - D(G(z))]₊ and D(G(z)), where D is minus the logit (Zhao et al. 2017, eq. 1–2)."""
    real, fake = torch.tensor([-0.1, -0.5]), torch.tensor([-0.3, -2.0])
    game = EnergyMargin(1.0)
    torch.testing.assert_close(game.critic(real, fake), torch.tensor([0.1 + 0.7, 0.5]))
    torch.testing.assert_close(game.generator(real, fake), torch.tensor([0.3, 2.0]))


@pytest.mark.parametrize("margin", [0.3, 1.0, 7.0])
def test_the_best_critic_gives_zero_or_the_margin_and_total_variation(margin: float) -> None:
    """Lemma 1 of Zhao et al. 2017 on a table of twelve cells, by brute force over energies: V = m (1 - TV)."""
    p, q = torch.rand(2, 12, generator=generator(0), dtype=torch.float64).softmax(1)
    energies = torch.linspace(0, 2 * margin, 2001, dtype=torch.float64)
    zero = torch.zeros_like(energies)
    game = EnergyMargin(margin)
    real_side, fake_side = game.critic(-energies, zero - margin), game.critic(zero, -energies)
    values = p[:, None] * real_side[None] + q[:, None] * fake_side[None]
    best = energies[values.argmin(1)]
    torch.testing.assert_close(best, torch.where(p < q, margin, 0.0).double())
    variation = (p - q).abs().sum() / 2
    torch.testing.assert_close(values.min(1).values.sum(), margin * (1 - variation))


def nets(judge: nn.Module) -> nn.ModuleDict:
    torch.manual_seed(2)
    return nn.ModuleDict({"generator": PlainGenerator(IMAGE, width=8, depth=2), "critic": judge})


def moment(seed: int, **kept: torch.Tensor) -> Moment:
    return Moment(0, 0.0, generator(seed), N, kept=dict(kept))


def test_ebgan_terms_are_the_paper_s() -> None:
    players, batch = nets(critic()), Batch(pictures(), None)
    at = moment(0)
    generator_terms = EBGAN(0.4, 0.1).loss("generator", players, batch, at)
    fake = at.kept["fake"]
    torch.testing.assert_close(generator_terms["energy"], -players["critic"](fake))
    torch.testing.assert_close(generator_terms["pull"], 0.1 * pull_away(players["critic"].features(fake)))
    terms = EBGAN(0.4, 0.1).loss("critic", players, batch, at)
    by_hand = -players["critic"](batch.x) + (0.4 + players["critic"](fake)).clamp(min=0)
    assert terms.keys() == {"game"}
    torch.testing.assert_close(terms["game"], by_hand)
    assert EBGAN(pull=0.0).loss("generator", players, batch, moment(0)).keys() == {"energy"}


def test_began_three_steps_by_hand() -> None:
    """Eq. 5 with γ 0.7 and λ 0.5: k stays in [0, 1] and moves by λ (γ L(x) - L(G(z)))."""
    players, k = nets(critic()), 0.0
    objective = BEGAN(0.7, 0.5)
    for step in range(3):
        real, fake = pictures(seed=step), 0.1 * pictures(seed=10 + step)
        at = moment(step, fake=fake)
        terms = objective.loss("critic", players, Batch(real, None), at)
        low, high = (-players["critic"](x).detach() for x in (real, fake))
        torch.testing.assert_close(terms["real"].detach(), low)
        torch.testing.assert_close(terms["fake"].detach(), -k * high)
        surplus = 0.7 * low.mean().item() - high.mean().item()
        assert at.notes["measure"].tolist() == pytest.approx([low.mean().item() + abs(surplus)] * N)
        k = min(max(k + 0.5 * surplus, 0.0), 1.0)
        assert players["critic"].balance.item() == pytest.approx(k, rel=1e-5)
    assert 0 < k < 1


@pytest.mark.parametrize(("gain", "end"), [(0.0, 1.0), (30.0, 0.0)])
def test_began_s_balance_stops_at_its_ends(gain: float, end: float) -> None:
    net = critic()
    net.balance.fill_(0.5)
    objective = BEGAN(speed=100.0)
    objective.steer(net, torch.full((N,), 1.0), torch.full((N,), gain))
    assert net.balance.item() == end


def test_began_rests_where_the_energies_are_in_proportion() -> None:
    net = critic()
    net.balance.fill_(0.3)
    measure = BEGAN(diversity=0.5).steer(net, torch.full((N,), 0.2), torch.full((N,), 0.1))
    assert net.balance.item() == pytest.approx(0.3) and measure.tolist() == pytest.approx([0.2] * N)


def test_no_gradient_reaches_the_generator_in_the_critic_s_turn() -> None:
    players = nets(critic())
    for objective in (EBGAN(), BEGAN()):
        terms = objective.loss("critic", players, Batch(pictures(), None), moment(0))
        torch.stack([t.mean() for t in terms.values()]).sum().backward()
        assert all(p.grad is None for p in players["generator"].parameters())


def test_began_says_what_critic_it_needs() -> None:
    run = Run(BEGAN(), {"generator": PlainGenerator(IMAGE), "critic": PlainCritic(IMAGE)})
    with pytest.raises(UserError, match="BEGAN needs a AutoencoderCritic as critic, not PlainCritic"):
        check(run)
    check(Run(EBGAN(), dict(run.nets)))


def test_the_balance_is_saved_with_the_weights() -> None:
    net, other = critic(), critic()
    net.balance.fill_(0.25)
    other.load_state_dict(net.state_dict())
    assert other.balance.item() == 0.25 and math.isclose(net.state_dict()["balance"].item(), 0.25)
