"""Successive halving, checked against the same climb without it; rows that leave; pictures that are made, counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from limner.core.errors import UserError
from limner.core.latent import Gaussian
from limner.core.pixels import Image
from limner.core.rng import generator
from limner.core.schedule import Cosine
from limner.core.schedule import value as value_at
from limner.explore.ascents import LAST
from limner.explore.climb import Standing, Stop, climb
from limner.explore.halving import Halving
from limner.explore.invert import Inversion, invert
from limner.explore.spaces import space, starts
from limner.goals.base import Goal, Scene, View
from limner.goals.picture import Diverse, Match
from limner.models.base import Generator
from limner.models.linear import LinearGenerator
from limner.models.plain import PlainCritic, PlainGenerator
from limner.operators.mask import Mask
from limner.operators.noise import Noise
from limner.restoring.cases import Case, damaged
from limner.restoring.climbing import ByClimbing, posterior

CURVES = torch.logspace(0, -2, 8, dtype=torch.float64)


@dataclass(frozen=True)
class Bowl(Goal):
    """-½ Σ λ z²."""

    def __call__(self, view: View) -> Tensor:
        return -(CURVES * view.z.square()).sum(1) / 2


def bowl() -> Scene:
    return Scene({"critic": PlainCritic(Image(1, 1, 8), width=4, depth=1).double()})


def model() -> Scene:
    torch.manual_seed(1)
    net = PlainGenerator(Image(1, 8, 8), Gaussian(6), width=32, depth=2)
    return Scene({"generator": net.double().eval().requires_grad_(False)})


def planted(world: Scene, n: int) -> Tensor:
    return world.generator(world.generator.latent.sample(n, generator(5, 0, "planted")).double())


def linear() -> LinearGenerator:
    torch.manual_seed(2)
    net = LinearGenerator(Image(1, 4, 4), Gaussian(3), output="linear").eval().requires_grad_(False)
    net.entry.dense.weight.mul_(5)
    return net


def halves(net: LinearGenerator, n: int) -> list[Case]:
    x = net(net.latent.sample(n, torch.Generator().manual_seed(5))).clamp(-1, 1)
    pixels = ((x + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return [
        damaged(one, Noise(0.2) @ Mask(half="left"), 0, number, f"{number}.png") for number, one in enumerate(pixels)
    ]


def last(*given: Any, **more: Any) -> Standing:
    *_, standing = climb(*given, **more)
    return standing


def counted(net: Generator) -> list[int]:
    """How many pictures a generator makes in each call from here on."""
    made: list[int] = []
    net.register_forward_hook(lambda _net, _given, x: made.append(len(x)))
    return made


def test_rounds_grow_as_starts_become_fewer() -> None:
    assert Halving().rounds(8) == {4: 4, 8: 2, 16: 1}
    assert Halving(3, first=5).rounds(8) == {5: 3, 15: 1}
    assert Halving(least=2).rounds(7) == {4: 4, 8: 2}
    assert Halving(first=0).rounds(4) == {0: 2, 2: 1}
    assert Halving(4).rounds(8) == {4: 2, 16: 1}
    assert Halving().rounds(1) == Halving(least=9).rounds(8) == {}
    for wrong in ({"rate": 1}, {"first": -1}, {"least": 0}):
        with pytest.raises(UserError, match="Halving"):
            Halving(**wrong)


@pytest.mark.parametrize("name", ["Adam", "LBFGS", "Langevin"])
@pytest.mark.parametrize("halving", [Halving(), Halving(3, first=2), Halving(least=3)], ids=str)
def test_halving_is_the_full_climb_with_the_losers_struck_out(name: str, halving: Halving) -> None:
    """Reference: all starts climb to the end, and the rounds are played on the values that were written down."""
    world = model()
    y, begin = planted(world, 4), starts(space(world), "prior", list(range(4)), 6)
    how: dict[str, Any] = {"steps": 24, "optimizer": name, "seed": 2}
    full = list(climb(world, Match(y), begin, **how))
    found = last(world, Match(y), begin, halving=halving, **how)
    going, end = torch.ones(4, 6, dtype=torch.bool), torch.full((4, 6), 24)
    for step, kept in halving.rounds(6).items():
        order = full[step].best.where(going, -torch.inf).argsort(1, descending=True)
        beaten = going.scatter(1, order[:, :kept], False)
        going, end = going & ~beaten, end.where(~beaten, step)
    assert torch.equal(found.going, going) and found.going.sum(1).unique().tolist() == [min(halving.rounds(6).values())]
    best, codes = (torch.stack([getattr(s, of) for s in full]) for of in ("best", "codes"))
    torch.testing.assert_close(found.best, best.gather(0, end[None])[0], rtol=1e-9, atol=1e-12)
    wide = end[None, :, :, None].expand(1, *codes.shape[1:])
    torch.testing.assert_close(found.codes, codes.gather(0, wide)[0], rtol=1e-7, atol=1e-9)
    kept = full[-1].best.where(going, -torch.inf)
    assert torch.equal(found.winner, kept.argmax(1))
    torch.testing.assert_close(found.answer, full[-1].codes[torch.arange(4), kept.argmax(1)], rtol=1e-7, atol=1e-9)


def test_without_halving_a_climb_is_adam_to_the_last_bit() -> None:
    """The loop that anybody would write, on all rows at once."""
    world = model()
    y, begin = planted(world, 3), starts(space(world), "prior", [0, 1, 2], 4)
    z = begin.flatten(0, 1).clone()
    adam, rates, goal = torch.optim.Adam([z], fused=True), Cosine(0.1, 0.1 * LAST), y.repeat_interleave(4, 0)
    best, codes = torch.full((12,), -torch.inf).double(), z
    for step in range(31):
        point = z.clone().requires_grad_()
        value = -(world.generator(point) - goal).square().flatten(1).mean(1)
        better = value.detach() > best
        best = torch.where(better, value.detach(), best)
        codes = torch.where(better[:, None], point.detach(), codes)
        (slopes,) = torch.autograd.grad(value.sum(), point)
        adam.param_groups[0]["lr"], z.grad = value_at(rates, step / 30), -slopes
        adam.step()
    found = last(world, Match(y), begin, steps=30)
    assert torch.equal(found.best.flatten(), best) and torch.equal(found.codes.flatten(0, 1), codes)
    assert found.going.all()


@pytest.mark.parametrize("name", ["Adam", "LBFGS"])
def test_rows_that_leave_change_nothing_for_the_others(name: str) -> None:
    """Every row of the bowl is computed by itself, so the others are the same to the last bit."""
    begin = torch.randn(5, 4, 8, generator=torch.Generator().manual_seed(0)).double()
    begin *= torch.tensor([100.0, 1e-3, 10.0, 0.3, 100.0]).double()[:, None, None]
    how: dict[str, Any] = {"steps": 20, "optimizer": name, "within": "pixels", "hold": "free", "halving": Halving()}
    alone = [last(bowl(), Bowl(), begin[k : k + 1], numbers=[k], **how) for k in range(5)]
    seen = list(climb(bowl(), Bowl(), begin, stop=Stop(target=-1e-3), **how))
    done = seen[-1].done
    assert seen[0].done.tolist() == [False, True, False, False, False] and done.any() and not done.all()
    for k in range(5):
        if not done[k]:
            assert torch.equal(seen[-1].best[k], alone[k].best[0]) and torch.equal(seen[-1].codes[k], alone[k].codes[0])
    rows = [(s.going & ~s.done[:, None]).sum().item() for s in seen]
    # what stands after a step is what climbs in the next one, but for those given up on that step
    assert seen[-1].decoded <= 20 + sum(rows[:-1]) and seen[-1].decoded < 20 + 20 * 20 / 2


@pytest.mark.parametrize("name", ["Adam", "LBFGS"])
def test_pictures_that_are_made_are_counted_and_few(name: str) -> None:
    """Three targets, eight starts: all for four steps, four for four, two for eight, one for the rest."""
    world = model()
    made = counted(world.generator)
    begin = starts(space(world), "prior", [0, 1, 2], 8)
    found = last(world, Match(torch.zeros(3, 1, 8, 8)), begin, steps=30, optimizer=name, halving=Halving())
    assert sum(made) == found.decoded == 3 * (8 * (1 + 4) + 4 * 4 + 2 * 8 + 1 * 14)
    assert len(made) == found.looks == 31


def test_what_climbs_on_is_the_same_alone_and_in_a_batch() -> None:
    world, numbers = model(), list(range(5))
    y, begin = planted(world, 5), starts(space(world), "prior", numbers, 6, seed=3)
    how: dict[str, Any] = {"steps": 20, "optimizer": "LBFGS", "halving": Halving(least=2), "stop": Stop(patience=4)}
    many = last(world, Match(y) + 0.01 * Diverse(), begin, **how)
    for k in (0, 3):
        one = last(world, Match(y[k : k + 1]) + 0.01 * Diverse(), begin[k : k + 1], numbers=[k], **how)
        assert torch.equal(one.going[0], many.going[k])
        torch.testing.assert_close(one.best[0], many.best[k], rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(one.answer[0], many.answer[k], rtol=1e-4, atol=1e-6)


def test_half_precision_does_not_bring_back_a_start_that_was_given_up() -> None:
    """Values in half precision are not comparable with those at the end; who was given up stays so."""
    world = Scene({"generator": model().generator.float()})
    y = world.generator(world.generator.latent.sample(3, torch.Generator().manual_seed(1))).detach()
    begin = starts(space(world), "prior", [0, 1, 2], 8)
    found = last(world, Match(y), begin, steps=10, optimizer="LBFGS", halving=Halving(), precision="bf16")
    rows = torch.arange(3)
    assert found.going[rows, found.winner].all()
    error = (found.pictures()[rows, found.winner] - y).square().flatten(1).mean(1)
    torch.testing.assert_close(found.best[rows, found.winner], -error, rtol=1e-4, atol=1e-6)


def test_an_inversion_keeps_two_starts_and_judges_by_them() -> None:
    world = model()
    y, made = planted(world, 3).float().double(), counted(world.generator)
    *_, standing, found = invert(world, y, Match, each=8, steps=40, controls=2, how="prior", stop=None)
    assert isinstance(standing, Standing) and isinstance(found, Inversion)
    assert found.others.shape == (3, 2) and torch.equal(found.others.amin(1), found.error)
    assert standing.decoded == 5 * (8 * 5 + 4 * 4 + 2 * 32)
    assert sum(made) == standing.decoded + 2 + 5 * 8, "beside the climb: what is planted, and all starts at the end"
    *_, whole = invert(world, y, Match, each=8, steps=40, controls=2, how="prior", stop=None, halving=None)
    assert isinstance(whole, Inversion) and whole.others.shape == (3, 8)
    assert (found.error <= 2 * whole.error + 1e-9).all()


def restored(**how: Any) -> tuple[list[Tensor], int]:
    """Two pictures, three answers each, and how many pictures were made for them."""
    net = linear()
    cases = halves(net, 2)
    made = counted(net)
    answers = ByClimbing(Scene({"generator": net}), samples=3, fit=0.0, **how)(cases)
    return [answer.samples for answer in answers], sum(made)


def test_restoring_makes_few_pictures_and_finds_the_same() -> None:
    """With one maximum, as a linear generator has it, all ways lead there."""
    whole, most = restored(halving=None, stop=None, steps=60)
    quick, few = restored(stop=Stop(patience=8, change=1e-6), steps=60)
    shared, fewer = restored(stop=Stop(patience=8, change=1e-6), steps=60, shared=4)
    assert most == 6 * (8 * 61 + 1)
    assert few <= 6 * (8 * 5 + 4 * 4 + 2 * 8 + 44 + 1) and fewer < few < most / 4
    for other in (quick, shared):
        for a, b in zip(whole, other, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=2e-3)


def test_restoring_as_before_is_one_climb_to_the_last_bit() -> None:
    """Adam, all starts to the end, starts of each answer's own: the settings of the published tables."""
    how: dict[str, Any] = {"optimizer": "Adam", "steps": 25}
    (answers, _) = restored(halving=None, stop=None, shared=0, **how)
    net = linear()
    cases = halves(net, 2)
    within, told = space(Scene({"generator": net})), [case.operator for case in cases]
    goal = posterior(cases, told, within, 3, 0.0, net.entry.dense.weight)
    begin = starts(within, "prior", list(range(6)), 8)
    found = last(within, goal, begin, numbers=list(range(6)), **how)
    assert torch.equal(torch.stack(answers).flatten(0, 1), net(found.codes[torch.arange(6), found.best.argmax(1)]))


def test_the_mean_of_ends_needs_all_of_them() -> None:
    how: dict[str, Any] = {"estimate": "mean", "steps": 12, "stop": None}
    with_, without = (restored(**how, halving=halving) for halving in (Halving(), None))
    assert with_[1] == without[1] and all(torch.equal(a, b) for a, b in zip(with_[0], without[0], strict=True))
