"""CycleGAN and paired translation against their formulas, the history of fakes against a list in Python."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from limner.core.errors import UserError
from limner.core.moment import Moment
from limner.core.pixels import Image
from limner.data.pairs import Pair
from limner.models.base import Critic, Judgement, Translator
from limner.models.history import History
from limner.objectives.cyclegan import CycleGAN
from limner.objectives.games import Relativistic
from limner.objectives.paired import Paired, exhibit
from limner.objectives.penalties import R1

IMAGE, N = Image(1, 2, 2), 5


class Affine(Translator):
    """x → scale · x + shift."""

    def __init__(self, scale: float, shift: float) -> None:
        super().__init__()
        self.image = IMAGE
        self.scale, self.shift = nn.Parameter(torch.tensor(scale)), nn.Parameter(torch.tensor(shift))

    def forward(self, x: torch.Tensor, label: Any = None) -> torch.Tensor:
        return self.scale * x + self.shift


class Linear(Critic):
    """weight · x."""

    def __init__(self, weight: list[float]) -> None:
        super().__init__()
        self.image, self.head = Image(len(weight) // 4, 2, 2), Judgement(len(weight), 0)
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, x: torch.Tensor, label: Any = None) -> torch.Tensor:
        return x.flatten(1) @ self.weight


def moment(kept: dict[str, torch.Tensor] | None = None, n: int = N, seed: int = 1) -> Moment:
    return Moment(0, 0.5, torch.Generator().manual_seed(seed), n, kept={} if kept is None else kept)


def pair() -> Pair:
    a, b = torch.rand(2, N, 1, 2, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return Pair(a, b, matched=False)


def cycle_nets(there: Translator, back: Translator) -> nn.ModuleDict:
    critics = {"critic": Linear([0.3, -0.2, 0.5, 0.1]), "critic_back": Linear([-0.1, 0.4, 0.2, -0.6])}
    return nn.ModuleDict({"translator": there, "translator_back": back, **critics})


def numbers(x: torch.Tensor) -> list[list[float]]:
    return x.detach().flatten(1).tolist()


def apply(net: Any, row: list[float]) -> list[float]:
    return [net.scale.item() * v + net.shift.item() for v in row]


def apart(x: list[float], y: list[float]) -> float:
    return sum(abs(u - v) for u, v in zip(x, y, strict=True)) / len(x)


def score(net: Any, row: list[float]) -> float:
    return sum(w * v for w, v in zip(net.weight.tolist(), row, strict=True))


def test_cyclegan_is_its_formula() -> None:
    """Zhu et al. 2017, eq. 1-3 with squares, and the identity term of section 5.2, row by row."""
    there, back = Affine(-0.7, 0.1), Affine(0.4, -0.2)
    nets, batch, kept = cycle_nets(there, back), pair(), {}
    objective = CycleGAN(cycle=8.0, identity=0.5)
    moved = objective.loss("translator", nets, batch, moment(kept))
    judged = objective.loss("critic", nets, batch, moment(kept))
    forth, home = nets["critic"], nets["critic_back"]
    for i, (a, b) in enumerate(zip(numbers(batch.x), numbers(batch.other), strict=True)):
        fake_b, fake_a = apply(there, a), apply(back, b)
        cycle = apart(apply(back, fake_b), a) + apart(apply(there, fake_a), b)
        stays = apart(apply(there, b), b) + apart(apply(back, a), a)
        wanted = {
            "game": (score(forth, fake_b) - 1) ** 2 / 2,
            "game_back": (score(home, fake_a) - 1) ** 2 / 2,
            "cycle": 8 * cycle,
            "identity": 4 * stays,
        }
        assert {k: v[i].item() for k, v in moved.items()} == pytest.approx(wanted, rel=1e-5)
        wanted = {
            "game": ((score(forth, b) - 1) ** 2 + score(forth, fake_b) ** 2) / 2,
            "game_back": ((score(home, a) - 1) ** 2 + score(home, fake_a) ** 2) / 2,
        }
        assert {k: v[i].item() for k, v in judged.items()} == pytest.approx(wanted, rel=1e-5)


def test_a_planted_bijection_costs_nothing_on_the_way_round() -> None:
    nets = cycle_nets(Affine(-2.0, 0.5), Affine(-0.5, 0.25))
    terms = CycleGAN().loss("translator", nets, pair(), moment())
    assert terms["cycle"].abs().max().item() < 1e-5 and "identity" not in terms
    assert CycleGAN(identity=1.0).loss("translator", nets, pair(), moment())["identity"].min().item() > 0.1


@pytest.mark.parametrize("game", [CycleGAN().game, Relativistic()])
def test_each_critic_has_its_own_penalties(game: Any) -> None:
    nets = cycle_nets(Affine(1.0, 0.0), Affine(1.0, 0.0))
    terms = CycleGAN(game=game, penalties=(R1(2.0),)).loss("critic", nets, pair(), moment())
    squared = [float(nets[role].weight.detach().square().sum()) for role in ("critic", "critic_back")]
    assert terms["R1"].tolist() == pytest.approx([squared[0]] * N)
    assert terms["R1_back"].tolist() == pytest.approx([squared[1]] * N)


def test_paired_is_its_formula_and_the_critic_sees_what_it_has_room_for() -> None:
    batch, there = pair(), Affine(0.3, 0.2)
    both, alone = Linear([0.1, 0.2, -0.3, 0.4, 0.5, -0.6, 0.7, 0.8]), Linear([0.5, -0.6, 0.7, 0.8])
    assert exhibit(both, batch.x, batch.other).shape == (N, 2, 2, 2)
    assert exhibit(alone, batch.x, batch.other) is batch.other
    objective = Paired(game=CycleGAN().game, weight=3.0, adversarial=0.5)
    for critic, asked in ((both, True), (alone, False)):
        terms = objective.loss("translator", nn.ModuleDict({"translator": there, "critic": critic}), batch, moment())
        for i, (x, y) in enumerate(zip(numbers(batch.x), numbers(batch.other), strict=True)):
            answer = apply(there, x)
            seen = [*x, *answer] if asked else answer
            assert terms["distance"][i].item() == pytest.approx(3 * apart(answer, y), rel=1e-5)
            assert terms["game"][i].item() == pytest.approx(0.25 * (score(critic, seen) - 1) ** 2, rel=1e-5)


def levels(first: int, n: int) -> torch.Tensor:
    """n pictures, no two alike: all pixels of one are one level of 256."""
    return (torch.arange(first, first + n).view(n, 1, 1, 1).expand(n, 1, 2, 2) / 127.5 - 1).float()


def told(x: torch.Tensor) -> list[int]:
    return ((x[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


def test_history_is_the_published_one() -> None:
    """Shrivastava et al. 2017: filled first; then, half of the time, an old fake for a new one, which is kept."""
    history, stored = History(IMAGE, size=7), []
    for step in range(20):
        at, again = moment(seed=step, n=6), torch.Generator().manual_seed(step)
        fresh = list(range(6 * step, 6 * step + 6))
        wanted = []
        for row, (coin, place) in enumerate(torch.rand(6, 2, generator=again).tolist()):
            if len(stored) < 7:
                stored.append(fresh[row])
                wanted.append(fresh[row])
            elif coin < 0.5:
                slot = int(place * 7)
                wanted.append(stored[slot])
                stored[slot] = fresh[row]
            else:
                wanted.append(fresh[row])
        assert told(history(levels(6 * step, 6), at)) == wanted
        assert told(history.kept.float() / 127.5 - 1)[: len(stored)] == stored
        if step > 1:
            assert len(set(wanted)) == 6


def test_history_shows_old_and_new_alike_often_and_none_if_empty() -> None:
    history, old = History(IMAGE, size=10), 0
    for step in range(400):
        fresh = torch.full((8, 1, 2, 2), -1.0 + step / 200)
        shown = history(fresh, moment(seed=step, n=8))
        old += int((shown != fresh).flatten(1).any(1).sum())
    assert 0.4 < old / 3200 < 0.5  # half, less those that were exchanged for one of the same batch
    x = levels(0, 4)
    assert History(IMAGE, size=0)(x, moment(n=4)) is x


def test_critics_remember_and_translators_do_not() -> None:
    nets = cycle_nets(Affine(0.5, 0.0), Affine(0.5, 0.0))
    nets["history"], nets["history_back"] = History(IMAGE, size=5), History(IMAGE, size=5)
    first, second = pair(), Pair(pair().other, pair().x, matched=False)
    for batch in (first, second):
        kept: dict[str, torch.Tensor] = {}
        moved = CycleGAN().loss("translator", nets, batch, moment(kept))
        judged = CycleGAN().loss("critic", nets, batch, moment(kept, seed=5))
    fresh = CycleGAN().loss("critic", cycle_nets(Affine(0.5, 0.0), Affine(0.5, 0.0)), second, moment())
    assert int(nets["history"].count) == 5 and not any(t.requires_grad for t in nets["history"].buffers())
    assert set(moved) == {"game", "game_back", "cycle"}
    assert not torch.allclose(judged["game"], fresh["game"])


def test_networks_of_other_shapes_are_refused() -> None:
    nets = dict(cycle_nets(Affine(1.0, 0.0), Affine(1.0, 0.0)).items())
    CycleGAN().check(nets)
    with pytest.raises(UserError, match="critic_back is made for 2×2 colour, but will be shown 2×2 grey; type -o"):
        CycleGAN().check(nets | {"critic_back": Linear([0.1] * 12)})
    for weights in ([0.1] * 4, [0.1] * 8):
        Paired().check({"translator": nets["translator"], "critic": Linear(weights)})
    with pytest.raises(UserError, match=r"nets.critic.image=Image\(2, 2, 2\)"):
        Paired().check({"translator": nets["translator"], "critic": Linear([0.1] * 12)})
