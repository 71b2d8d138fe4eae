"""Goals: they add and scale, five steps raise each, they are read and not executed, and say what they cannot do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from limner.core.errors import UserError
from limner.core.latent import Gaussian
from limner.core.pixels import Image, save_png
from limner.core.rng import generator
from limner.core.spec import build, catalog, spec
from limner.distances.pixel import Absolute, Squared
from limner.explore.climb import climb
from limner.explore.spaces import space, starts
from limner.goals.base import Goal, Scene, Sum, View, Weighted
from limner.goals.code import Direction, LogPrior, Prior
from limner.goals.critic import Class, Plausible, Unit
from limner.goals.picture import Diverse, Like, Match, Smooth
from limner.likeness import Likeness
from limner.models.plain import PlainCritic, PlainGenerator

IMAGE = Image(1, 8, 8)
NAMES = ("rose", "iris", "tulip")


@pytest.fixture(scope="module")
def scene() -> Scene:
    torch.manual_seed(3)
    critic = PlainCritic(IMAGE, classes=3, width=32, depth=2)
    torch.nn.init.normal_(critic.head.label.rows.weight)  # projections start at 0
    nets = {"generator": PlainGenerator(IMAGE, Gaussian(6), width=32, depth=2), "critic": critic}
    return Scene({role: net.eval().requires_grad_(False) for role, net in nets.items()}, NAMES)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, scene: Scene) -> Path:
    folder = tmp_path_factory.mktemp("goals")
    save_png(np.full((8, 8, 1), 200, np.uint8), folder / "photo.png")
    save_png(np.full((9, 8, 1), 200, np.uint8), folder / "tall.png")
    save_file({"smile": torch.arange(6.0), "short": torch.ones(2)}, folder / "ways.safetensors")
    Likeness({"critic": scene.critic}, NAMES).save(folder / "judge.safetensors")
    return folder


def every(files: Path) -> dict[str, Goal]:
    """A member of each class of the catalogue."""
    match = Match(torch.full((2, 1, 8, 8), 0.5))
    return {
        "Class": Class("iris"),
        "Class of": Class("iris", of=str(files / "judge.safetensors")),
        "LogPrior": LogPrior(),
        "Direction": Direction("2"),
        "Direction file": Direction("smile", str(files / "ways.safetensors")),
        "Diverse": Diverse(),
        "Like": Like(str(files / "photo.png"), Absolute()),
        "Match": match,
        "Match down": Match(torch.full((2, 1, 4, 4), 0.5), Halved()),
        "Plausible": Plausible(),
        "Prior": Prior(),
        "Smooth": Smooth(),
        "Sum": Smooth() + Prior(),
        "Unit": Unit(3),
        "Weighted": 2.0 * Plausible(),
    }


class Halved:
    def measure(self, x: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(x, 2)


def seen(scene: Scene, n: int = 6, starts_: int = 3) -> View:
    z = 1.5 * scene.generator.latent.sample(n, generator(0))
    item = torch.arange(n // starts_).repeat_interleave(starts_)
    return View(scene.generator(z), z, item, starts_, scene.generator.latent, scene)


def test_all_are_here(files: Path) -> None:
    assert {type(goal).__name__ for goal in every(files).values()} == {*catalog(Goal), "Match"}


def test_goals_add_and_scale(scene: Scene, files: Path) -> None:
    view, other = seen(scene), Plausible()
    for name, goal in every(files).items():
        value = goal(view)
        assert value.shape == (6,) and value.isfinite().all(), name
        assert torch.allclose((goal + other)(view), value + other(view)), name
        assert torch.allclose((goal - 0.5 * other)(view), value - 0.5 * other(view)), name
        assert torch.allclose((-goal * 3)(view), -3 * value), name


def test_five_steps_raise_every_goal(scene: Scene, files: Path) -> None:
    z = 1.5 * starts(space(scene), "prior", [0, 1], 3, seed=1)
    for name, goal in every(files).items():
        first, *_, last = climb(scene, goal, z, steps=5, optimizer="Adam(0.02)", hold="free")
        assert (last.values > first.values).all(), name


def test_brute_force(scene: Scene) -> None:
    view = seen(scene)
    x = view.x
    for i in range(6):
        mates = [j for j in range(6) if j // 3 == i // 3 and j != i]
        apart = sum((x[i] - x[j]).square().mean() for j in mates) / len(mates)
        assert torch.allclose(Diverse()(view)[i], apart, atol=1e-6)
        down = sum((x[i, 0, r + 1, c] - x[i, 0, r, c]).abs() for r in range(7) for c in range(8)) / 56
        right = sum((x[i, 0, r, c + 1] - x[i, 0, r, c]).abs() for r in range(8) for c in range(7)) / 56
        assert torch.allclose(Smooth()(view)[i], -(down + right), atol=1e-5)
    y = torch.rand(2, 1, 8, 8)
    assert torch.allclose(Match(y)(view), -(x - y[view.item]).square().mean((1, 2, 3)))
    assert torch.allclose(Match(y)(view), Match(y, distance=Squared())(view))
    assert torch.allclose(torch.stack([Class(n)(view) for n in NAMES]).exp().sum(0), torch.ones(6))
    assert torch.equal(Class("1")(view), Class("iris")(view))


def test_what_people_type() -> None:
    told = build("Class('7') + 0.1*Plausible() - Smooth/2", Goal)
    assert told == Sum((Class("7"), Weighted(0.1, Plausible()), Weighted(-1.0, Weighted(0.5, Smooth()))))
    assert build(spec(told), Goal) == told
    assert build("-Class(rose) * 2", Goal) == Weighted(2.0, Weighted(-1.0, Class("rose")))
    assert build("Plausible", Goal) == Plausible()
    assert build("Like('a b.png', distance=Huber(0.2))", Goal).picture == "a b.png"
    assert build("Smooth + (Prior - Plausible)", Goal).parts[1] == Prior()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Clas('7')", "did you mean Class"),
        ("Class('7') +", "cannot be read"),
        ("Plausible * Smooth", "cannot be read"),
        ("Smooth / 0", "cannot be read"),
        ("__import__('os').system('true')", "cannot be read"),
        ("[x for x in (1,)]", "cannot be read"),
        ("3", "cannot be read"),
        ("Class(nme='7')", "did you mean name"),
        ("Class()", "name of Class is missing"),
    ],
)
def test_what_is_mistyped(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        build(text, Goal)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_asked(scene: Scene, files: Path) -> None:
    view = seen(scene)
    alone = View(view.x, view.z, view.item, 1, view.latent, Scene({"generator": scene.generator}))
    wrong: list[tuple[Goal, View, str]] = [
        (Class("daisy"), view, "there are iris, rose, tulip"),
        (Class("3"), view, "no class '3'"),
        (Class("²"), view, "no class '²'"),
        (Plausible(), alone, "generator only"),
        (Unit(99), view, "units 0 to 31"),
        (Diverse(), alone, "--starts"),
        (Direction("9"), view, "0 to 5"),
        (Direction("²"), view, "0 to 5"),
        (Direction("grin", str(files / "ways.safetensors")), view, "there are short, smile"),
        (Direction("short", str(files / "ways.safetensors")), view, "2 numbers"),
        (Direction("x", str(files / "photo.png")), view, "not a safetensors file of named vectors"),
        (Like(str(files / "none.png"), Squared()), view, "no such file"),
        (Like(str(files / "tall.png"), Squared()), view, "is 9×8"),
        (Like(str(files / "ways.safetensors"), Squared()), view, "not a picture"),
        (Match(torch.zeros(2, 1, 4, 4)), view, "1 × 4 × 4"),
        (Plausible(of=str(files / "photo.png")), view, "not a whole safetensors"),
    ]
    for goal, where, says in wrong:
        with pytest.raises(UserError, match=says):
            goal(where)


def test_a_goal_of_ones_own(scene: Scene) -> None:
    @dataclass(frozen=True)
    class Bright(Goal):
        def __call__(self, view: View) -> Tensor:
            return view.x.mean((1, 2, 3))

    z = starts(space(scene), "prior", [0], 4)
    rule: dict[str, Any] = {"steps": 30, "optimizer": "Adam"}
    first, *_, last = climb(scene, Bright() + 0.1 * Prior(), z, **rule)
    assert last.pictures().mean() > first.x.mean() + 0.1
