"""The climbing loop: known rates on quadratic goals, one row like many, the best kept, planted codes found."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from limner.core.errors import UserError
from limner.core.latent import Gaussian, Sparse, Sphere
from limner.core.optim import SGD, AdaGrad, Adam, RMSprop
from limner.core.pixels import Image
from limner.core.rng import generator
from limner.explore.ascents import Langevin, ascent
from limner.explore.climb import Standing, Stop, climb
from limner.explore.cmaes import CMAES
from limner.explore.lbfgs import LBFGS
from limner.explore.spaces import space, starts
from limner.goals.base import Goal, Scene, View
from limner.goals.picture import Diverse, Match
from limner.models.base import Generator
from limner.models.plain import PlainCritic, PlainEncoder, PlainGenerator
from limner.models.sparse import SparseGenerator
from limner.models.style import StyleGenerator

IMAGE = Image(1, 1, 8)
CURVES = torch.logspace(0, -2, 8, dtype=torch.float64)
"""Curvatures of the bowl: its condition number is 100."""
OPTIMIZERS = ["SGD", "SGD(1.0, momentum=0.9)", "AdaGrad", "RMSprop", "Adam", "LBFGS", "CMAES", "Langevin"]


@dataclass(frozen=True)
class Bowl(Goal):
    """-½ Σ λ z²."""

    def __call__(self, view: View) -> Tensor:
        return -(CURVES.to(view.z) * view.z.square()).sum(1) / 2


def scene() -> Scene:
    return Scene({"critic": PlainCritic(IMAGE, width=4, depth=1).double()})


def last(*given: Any, **more: Any) -> Standing:
    *_, standing = climb(*given, **more)
    return standing


def bowl(optimizer: Any, steps: int, z: Tensor | None = None, **more: Any) -> Standing:
    z = torch.ones(1, 1, 8, dtype=torch.float64) if z is None else z
    return last(scene(), Bowl(), z, steps=steps, optimizer=optimizer, within="pixels", hold="free", **more)


def test_gradient_ascent_is_the_geometric_series() -> None:
    z = bowl(SGD(0.5), 20).points[0, 0]
    assert torch.allclose(z, (1 - 0.5 * CURVES) ** 20, rtol=1e-12)


def test_momentum_has_polyaks_rate() -> None:
    """Heavy ball at its best: ρ = (√κ - 1)/(√κ + 1), where gradient ascent has (κ - 1)/(κ + 1) (Polyak 1964)."""
    rate, share = 4 / (1 + 0.1) ** 2, ((10 - 1) / (10 + 1)) ** 2
    long, short = (bowl(SGD(rate, momentum=share), k).points.norm().item() for k in (100, 60))
    assert (long / short) ** (1 / 40) == pytest.approx(9 / 11, rel=0.02)
    assert long < 1e-4 * bowl(SGD(2 / 1.01), 100).points.norm()


@pytest.mark.parametrize(
    "rule",
    [AdaGrad(0.5), RMSprop(0.01, alpha=0.9), Adam(0.05)],
    ids=lambda rule: type(rule).__name__,
)
def test_adaptive_rules_are_their_recurrences(rule: AdaGrad | RMSprop | Adam) -> None:
    z, m, v = torch.ones(8, dtype=torch.float64), torch.zeros(8, dtype=torch.float64), torch.zeros(8).double()
    for k in range(1, 31):
        g = CURVES * z
        if isinstance(rule, AdaGrad):
            v = v + g * g
            z = z - 0.5 * g / (v.sqrt() + rule.eps)
        elif isinstance(rule, RMSprop):
            v = 0.9 * v + 0.1 * g * g
            z = z - 0.01 * g / (v.sqrt() + rule.eps)
        else:
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            z = z - 0.05 * (m / (1 - 0.9**k)) / ((v / (1 - 0.999**k)).sqrt() + rule.eps)
    assert torch.allclose(bowl(rule, 30).points[0, 0], z, rtol=1e-9, atol=1e-12)


def test_lbfgs_is_superlinear() -> None:
    """With as many pairs as dimensions a quadratic is done in little more steps than it has dimensions."""
    seen = list(climb(scene(), Bowl(), torch.ones(1, 1, 8).double(), steps=45, optimizer=LBFGS(), within="pixels",
                hold="free"))  # fmt: skip
    # a step whose trial brought too little leaves the row where it is: only moves are counted
    values = [s.values.item() for before, s in itertools.pairwise(seen) if not torch.equal(s.points, before.points)]
    values = [seen[0].values.item(), *values][:31]
    assert values[-1] > -1e-13
    assert values[20] > -1e-6 and values[-1] / min(values[15], -1e-300) < 1e-4


def test_lbfgs_remembers_as_many_steps_as_it_is_told() -> None:
    """The first steps go alike; after that, who remembers one pair goes elsewhere than who remembers all."""
    one, two, ten = (bowl(LBFGS(memory=k), 12).points for k in (1, 2, 10))
    assert not torch.equal(one, two) and not torch.equal(two, ten)
    assert torch.equal(bowl(LBFGS(memory=1), 2).points, bowl(LBFGS(memory=10), 2).points)
    with pytest.raises(UserError, match="1 or more"):
        LBFGS(memory=0)


def test_cmaes_converges_linearly_without_gradients() -> None:
    pytest.importorskip("cma")
    found = bowl(CMAES(0.5), 140)
    assert found.best.item() > -1e-6


def test_langevin_has_its_known_variance() -> None:
    """Unadjusted, of curvature λ and step ε: 1/(λ (1 - ελ/4)) in place of 1/λ."""
    eps = 1.0
    found = bowl(Langevin(eps), 150, torch.zeros(40, 25, 8).double()).points.flatten(0, 1)
    sharp = CURVES > 0.1
    expected = 1 / (CURVES * (1 - eps * CURVES / 4))
    ratio = found.var(0)[sharp] / expected[sharp]
    # 1,000 independent rows: a variance is known to 2·√(2/1000)
    assert (ratio - 1).abs().max() < 4 * math.sqrt(2 / 1000)


def test_rates_fall_along_a_cosine() -> None:
    rule = ascent("Adam", rate=0.2)
    assert rule.rate(0) == pytest.approx(0.2) and rule.rate(0.5) == pytest.approx(0.11) and rule.rate(1) < 0.021
    assert ascent("Adam(0.3)").rate(0.7) == 0.3


def models(kind: str = "plain") -> Scene:
    image = Image(1, 8, 8)
    torch.manual_seed(1)
    net: Generator
    match kind:
        case "style":
            net = StyleGenerator(image, Gaussian(6), width=4, widest=8, depth=2)
        case "sparse":
            net = SparseGenerator(image, Sparse(32, 4))
        case "sphere":
            net = PlainGenerator(image, Sphere(6), width=32, depth=2)
        case _:
            net = PlainGenerator(image, Gaussian(6), width=32, depth=2)
    encoder = PlainEncoder(image, net.latent, width=16, depth=1)
    nets = {"generator": net, "encoder": encoder, "critic": PlainCritic(image)}
    return Scene({role: n.double().eval().requires_grad_(False) for role, n in nets.items()})


def planted(world: Scene, n: int) -> Tensor:
    z = world.generator.latent.sample(n, generator(5, 0, "planted")).double()
    return world.generator(z).detach()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_item_alone_is_as_in_a_batch(name: str) -> None:
    if name == "CMAES":
        pytest.importorskip("cma")
    world, y = models(), planted(models(), 5)
    within = space(world)
    more: dict[str, Any] = {"steps": 12, "optimizer": name, "seed": 3, "stop": Stop(target=-1e-4)}
    z = starts(within, "prior", list(range(5)), 3, seed=3)
    many = last(world, Match(y) + 0.01 * Diverse(), z, **more)
    for k in (0, 3):
        own = starts(within, "prior", [k], 3, seed=3)
        assert torch.equal(own[0], z[k])
        one = last(world, Match(y[k : k + 1]) + 0.01 * Diverse(), own, numbers=[k], **more)
        assert torch.allclose(one.best[0], many.best[k], rtol=1e-6, atol=1e-9)
        assert torch.allclose(one.codes[0], many.codes[k], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_best_is_kept_and_true(name: str) -> None:
    if name == "CMAES":
        pytest.importorskip("cma")
    world = models()
    y = planted(world, 2)
    seen = list(climb(world, Match(y), starts(space(world), "prior", [0, 1], 2), steps=8, optimizer=name))
    assert [s.step for s in seen] == list(range(9))
    for before, after in itertools.pairwise(seen):
        assert (after.best >= before.best).all() and (after.best >= after.values).all()
    final = seen[-1]
    x = final.pictures()
    errors = -(x - y[:, None]).square().flatten(2).mean(2)
    assert torch.allclose(errors, final.best)
    assert torch.equal(final.answer, final.codes[[0, 1], final.best.argmax(1)])


def test_planted_codes_are_found_again() -> None:
    world = models()
    y = planted(world, 20)
    z = starts(space(world), "prior", list(range(20)), 4)
    found = last(world, Match(y), z, steps=250, optimizer="Adam")
    assert ((-found.best.amax(1)) < 1e-3).double().mean() >= 0.95


def test_half_precision_finds_planted_codes_too() -> None:
    """The end is climbed in single precision, so what is said of it is true."""
    torch.manual_seed(1)
    net = PlainGenerator(Image(1, 6, 6), width=32, depth=2).eval().requires_grad_(False)
    world = Scene({"generator": net})
    y = net(torch.cat([net.latent.sample(1, generator(5, k, "planted")) for k in range(20)]))
    z = starts(space(world), "prior", list(range(20)), 4)
    whole, half = (last(world, Match(y), z, steps=500, precision=precision) for precision in ("fp32", "bf16"))
    errors = (half.pictures() - y[:, None]).square().flatten(2).mean(2)
    torch.testing.assert_close(half.best, -errors, rtol=1e-4, atol=1e-6)
    assert (errors.amin(1) < 1.5e-3).double().mean() >= 0.95
    assert half.x.dtype == half.best.dtype == torch.float32 and not torch.equal(half.best, whole.best)


@pytest.mark.parametrize("kind", ["style", "sparse", "sphere"])
def test_every_space_climbs_and_keeps_its_points(kind: str) -> None:
    world = models(kind)
    y = planted(world, 2)
    name = "w" if kind == "style" else "z"
    within = space(world, name)
    for how in ("prior", "mean"):
        z = starts(within, how, [0, 1], 3)
        assert z.shape[:2] == (2, 3)
        for hold in ("allowed", "typical"):
            *_, found = climb(within, Match(y), z, steps=15, hold=hold)
            x = within.decode(z.flatten(0, 1)).unflatten(0, (2, 3))
            assert (found.best > -(x - y[:, None]).square().flatten(2).mean(2)).any()
    if kind == "sparse":
        assert ((found.codes != 0).sum(2) <= 4).all() and (found.codes >= 0).all()
    if kind == "sphere":
        assert torch.allclose(found.codes.norm(dim=2), torch.tensor(6.0).sqrt().double())


def test_starts_of_an_encoder_begin_with_its_mean() -> None:
    world = models()
    y = planted(world, 3)
    z = starts(space(world), "encoder", [0, 1, 2], 2, pictures=y)
    assert torch.equal(z[:, 0], world.nets["encoder"](y).mean) and not torch.equal(z[:, 0], z[:, 1])
    with pytest.raises(UserError, match="pixels need no encoder"):
        starts(space(world, "pixels"), "encoder", [0], 1, pictures=y)


def test_climbs_end_when_they_are_told_to() -> None:
    z = torch.ones(3, 1, 8).double()
    z[1] *= 0.01

    def bowl_stop(**rule: Any) -> list[Standing]:
        told: dict[str, Any] = {"steps": 50, "optimizer": SGD(0.5), "within": "pixels", "hold": "free"}
        return list(climb(scene(), Bowl(), z, stop=Stop(**rule), **told))

    reached = bowl_stop(target=-0.2)
    assert reached[0].done.tolist() == [False, True, False] and reached[-1].done.all() and len(reached) < 51
    assert torch.equal(reached[-1].points[1], z[1])  # it was not climbed on
    assert len(bowl_stop(patience=3, change=0.5)) < 20
    assert len(bowl_stop(seconds=1e-9)) == 1
    assert len(bowl_stop()) == 51


def test_what_cannot_be_climbed_is_said() -> None:
    @dataclass(frozen=True)
    class Steps(Goal):
        def __call__(self, view: View) -> Tensor:
            return view.z.detach().round().sum(1)

    @dataclass(frozen=True)
    class Wrong(Goal):
        def __call__(self, view: View) -> Tensor:
            return view.z.sum(1) * torch.nan

    z = torch.ones(1, 1, 8).double()
    with pytest.raises(UserError, match="CMAES"):
        last(scene(), Steps(), z, within="pixels")
    with pytest.raises(UserError, match="not a number"):
        last(scene(), Wrong(), z, within="pixels")
    with pytest.raises(UserError, match="no styles"):
        space(models(), "w")
    with pytest.raises(UserError, match="there are z"):
        space(models(), "y")
    with pytest.raises(UserError, match="did you mean Adam"):
        ascent("Adm")
    with pytest.raises(UserError, match="eval"):
        space(Scene({"generator": PlainGenerator(IMAGE)}))
    if pytest.importorskip("cma"):
        assert last(scene(), Steps(), z, within="pixels", hold="free", optimizer="CMAES", steps=5).best > 8


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_thousand_planted_codes_of_a_dcgan() -> None:
    """≥ 99 % of 1,000 codes are found again to < 1e-3, the starts that have not arrived given up as others do."""
    from limner.core.spec import build

    torch.manual_seed(0)
    net = build("DCGANGenerator", Generator, image=Image(1, 28, 28)).eval().requires_grad_(False)
    world, found = Scene({"generator": net}), 0
    for first in range(0, 1000, 50):
        numbers = list(range(first, first + 50))
        codes = [net.latent.sample(1, generator(5, number, "planted")) for number in numbers]
        y = net(torch.cat(codes))
        z = starts(space(world), "prior", numbers, 4)
        done = last(world, Match(y), z, steps=300, stop=Stop(target=-5e-4), numbers=numbers)
        found += int((-done.best.amax(1) < 1e-3).sum())
    assert found >= 990
