"""What a recipe is: a function of what is known of the data and the machine.

A recipe's docstring says what it is for, what it costs and what to expect; its name is the function's.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

import torch

from limner.core.errors import UserError, unknown
from limner.core.pixels import Image
from limner.core.spec import Spec, catalog, check, override, spec
from limner.models.base import kind_of
from limner.train import Run


@dataclass(frozen=True)
class Facts:
    """What a recipe may depend on."""

    image: Image
    count: int
    classes: int
    device: str
    seed: int = 0

    @property
    def precision(self) -> str:
        """bf16 where the hardware multiplies it natively, fp32 elsewhere."""
        if self.device == "cuda":
            return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
        native = torch.cpu._is_avx512_bf16_supported()  # pyright: ignore[reportPrivateUsage]
        return "bf16" if self.device == "cpu" and native else "fp32"

    def net(self, name: str, **options: object) -> Spec:
        """The spec of a network for this data."""
        return {"is": name, "image": spec(self.image), "classes": self.classes} | options


Recipe = Callable[[Facts], Spec]

_recipes: dict[str, Recipe] = {}


def recipe(function: Recipe) -> Recipe:
    """File a function under its own name, which must be free among the recipes that come with Limner."""
    taken = _recipes.get(function.__name__)
    if taken and taken.__module__.startswith("limner.recipes.") and taken.__module__ != function.__module__:
        raise UserError(f"recipe {function.__name__}: {taken.__module__} has one of that name; give yours another")
    _recipes[function.__name__] = function
    return function


def recipes() -> dict[str, Recipe]:
    """Every recipe by name."""
    _import_all()
    return dict(sorted(_recipes.items()))


def plan(name: str, facts: Facts, assignments: tuple[str, ...] = ()) -> Spec:
    """The checked spec of a Run: a recipe with `option=value` assignments applied in order.

    `generator.width=32` is short for `nets.generator.width=32`, `lr=2e-4` for every player's rate, `damage=…` for the
    objective's.
    Raises UserError for an unknown recipe, option or value.
    """
    known = recipes()
    if name not in known:
        raise unknown("recipe", name, known)
    run = check(known[name](facts), Run)
    for assignment in assignments:
        for whole in _spelled_out(assignment, run, facts):
            run = override(run, whole, Run)
    return run


def _spelled_out(assignment: str, run: Spec, facts: Facts) -> list[str]:
    path, _, value = (part.strip() for part in assignment.partition("="))
    kind = kind_of(path.split(".")[0])
    if kind and "." not in path and value.isidentifier() and value in catalog(kind):
        # it takes over from the net in its place, which may see another shape than the data's
        data: Spec = {"image": spec(facts.image), "classes": facts.classes}
        before: Spec = run["nets"].get(path, data)
        before = before if "image" in before else data
        channels, height, width = (before["image"][side] for side in ("channels", "height", "width"))
        told = f"image=Image({channels}, {height}, {width})"
        told += f", classes={before['classes']}" if "classes" in before else ""
        return [f"nets.{path}={value}({told})"]
    if kind:
        return [f"nets.{assignment}"]
    if path.partition(".")[0] == "damage":
        return [f"objective.{assignment}"]
    if path == "lr":
        return [f"players.{turn}.optimizer.{assignment}" for turn in run["players"]]
    return [assignment]


@functools.cache
def _import_all() -> None:
    package = importlib.import_module("limner.recipes")
    for found in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"limner.recipes.{found.name}")
