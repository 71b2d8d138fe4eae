"""What there is to choose from: the kinds of the catalogue and how their options read as text."""

from __future__ import annotations

import types
from importlib import import_module
from typing import Any, Literal, Union, get_args, get_origin

from limner.core.errors import unknown
from limner.core.spec import parse

HOMES = {
    "Generator": "limner.models.base",
    "Encoder": "limner.models.base",
    "Critic": "limner.models.base",
    "JointCritic": "limner.models.base",
    "CodeCritic": "limner.models.base",
    "CodePrior": "limner.models.base",
    "Translator": "limner.models.base",
    "Sparsity": "limner.models.sparsity",
    "Distance": "limner.distances.base",
    "Objective": "limner.objectives.base",
    "Game": "limner.objectives.base",
    "Penalty": "limner.objectives.base",
    "Divergence": "limner.objectives.divergences",
    "Likelihood": "limner.objectives.likelihoods",
    "Optimizer": "limner.core.optim",
    "Goal": "limner.goals.base",
    "Ascent": "limner.explore.ascents",
    "Augment": "limner.augments.base",
    "Operator": "limner.operators.base",
    "Latent": "limner.core.latent",
    "Curve": "limner.core.schedule",
    "Metric": "limner.metrics.base",
    "Extractor": "limner.metrics.base",
    "Baseline": "limner.baselines.base",
    "Completer": "limner.baselines.completion",
}
"""Kind → the module of its base class; the package around it is the shelf."""


def kind(name: str) -> type:
    """The base class of a kind."""
    if name not in HOMES:
        raise unknown("kind", name, HOMES)
    return getattr(import_module(HOMES[name]), name)


def kinds() -> dict[str, type]:
    """Every kind, in the order a user meets them."""
    return {name: kind(name) for name in HOMES}


def summary(thing: Any) -> str:
    """The first line of a docstring."""
    return (thing.__doc__ or "").strip().partition("\n")[0]


def typed(value: Any) -> str:
    """A value or spec as `limner.core.spec.parse` reads it: `R1(gamma=0.1)`, `[1, 2]`, `none`."""
    if isinstance(value, dict) and "is" in value:
        inner = ", ".join(f"{k}={typed(v)}" for k, v in value.items() if k != "is")
        return f"{value['is']}({inner})" if inner else value["is"]
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(typed, value))}]"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    # a name may stand bare; a path or nothing at all is quoted
    bare = not isinstance(value, str) or (value.isidentifier() and parse(value) == value)
    return str(value) if bare else repr(value)


def type_name(declared: Any) -> str:
    """A type as a user would say it: `number`, `R1 or none`, `one of a, b`."""
    plain = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "none", Any: "any"}
    if declared in plain:
        return plain[declared]
    origin, inner = get_origin(declared), get_args(declared)
    if origin in (Union, types.UnionType):
        return " or ".join(type_name(t) for t in inner)
    if origin is Literal:
        return "one of " + ", ".join(map(str, inner))
    if origin is tuple:
        items = [t for t in inner if t is not Ellipsis]
        return "list of " + (type_name(items[0]) if len(items) < len(inner) else ", ".join(map(type_name, items)))
    return getattr(declared, "__name__", str(declared))
