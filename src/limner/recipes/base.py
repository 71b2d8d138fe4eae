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
from limner.core.spec import Spec, catalog, check, check_name, options, override, spec
from limner.models.base import Model, kind_of
from limner.run import Run


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
        swapped = _with_another_net(assignment, run, facts)
        if swapped is not None:
            run = check(swapped, Run)
            continue
        for whole in _spelled_out(assignment, run):
            run = override(run, whole, Run)
    return run


def _with_another_net(assignment: str, run: Spec, facts: Facts) -> Spec | None:
    """The run after `role=Network` or `role=Network(option=value, …)`; None when the assignment is something else.

    It takes over what says how it fits in: picture, classes and code of the net in its place, else of the data.
    """
    role, _, value = (part.strip() for part in assignment.partition("="))
    role = role.removeprefix("nets.")
    given = check_name(value) if kind_of(role) and "." not in role else {}
    name = given.get("is")
    if not isinstance(name, str) or name not in catalog(Model) or "*" in given:
        return None
    known = {"image": spec(facts.image), "classes": facts.classes} | run["nets"].get(role, {})
    asked = {option.name for option in options(catalog(Model)[name])}
    fits = {fact: known[fact] for fact in ("image", "classes", "latent") if fact in known and fact in asked}
    return run | {"nets": run["nets"] | {role: fits | given}}


def _spelled_out(assignment: str, run: Spec) -> list[str]:
    path = assignment.partition("=")[0].strip()
    if kind_of(path.split(".")[0]):
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
