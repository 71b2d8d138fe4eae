"""What a goal is: a look at a batch of pictures → one number each, higher is better. Goals are values with + - *.

wish = Class("7") + 0.1 * Plausible()          in Python
build("Class('7') + 0.1*Plausible()", Goal)    as people type it; nothing that is typed is executed
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.core.errors import UserError
from limner.core.latent import Latent
from limner.core.spec import Spec, parse, register
from limner.models.base import Critic, Generator, Labels, Model

EXAMPLE = "\"Class('7') + 0.1*Plausible()\""


@dataclass(frozen=True)
class Scene:
    """What a goal may ask about beside the pictures: the model that they are looked at with.

    nets: networks by role, in evaluation mode
    names: of the classes
    numbered: whether it was told several numbers, named so, instead of one class
    """

    nets: Mapping[str, Model]
    names: tuple[str, ...] = ()
    numbered: bool = False

    @property
    def generator(self) -> Generator:
        """z → x. Raises UserError when the model has none."""
        net = self.nets.get("generator")
        if not isinstance(net, Generator):
            raise UserError(f"this model has no generator (it has {', '.join(self.nets)}); take one that has")
        return net

    @property
    def critic(self) -> Critic:
        """x → score. Raises UserError when the model has none."""
        net = self.nets.get("critic")
        if not isinstance(net, Critic):
            known = ", ".join(self.nets)
            raise UserError(
                f"this goal asks a critic, and the model has {known} only; name another: of='model.safetensors'"
            )
        return net


@dataclass(frozen=True)
class View:
    """A batch being looked at: R starts for each of B targets are n = B·R rows, a target's rows side by side.

    x: pictures in [-1, 1]
    z: the points that they were made from, in the space that is climbed
    item: which target a row is for
    starts: rows of each target
    latent: prior of the space that is climbed
    label: what the generator was told
    """

    x: Float[Tensor, "n c h w"]
    z: Float[Tensor, "n d"]
    item: Int[Tensor, " n"]
    starts: int
    latent: Latent
    scene: Scene = field(default_factory=lambda: Scene({}))
    label: Labels | None = None


class Goal:
    """View → (n,): how good each row is."""

    def __call__(self, view: View) -> Float[Tensor, " n"]:
        """Higher is better; differentiable in the pictures or the points, or climb it with CMAES."""
        raise NotImplementedError

    def __add__(self, other: Goal) -> Goal:
        return Sum((*_parts(self), *_parts(other)))

    def __sub__(self, other: Goal) -> Goal:
        return self + -1.0 * other

    def __mul__(self, weight: float) -> Goal:
        return Weighted(float(weight), self)

    def __rmul__(self, weight: float) -> Goal:
        return self * weight

    def __neg__(self) -> Goal:
        return -1.0 * self

    @staticmethod
    def read(text: str) -> Spec | str:
        """The spec of a goal as people type it. Raises UserError when it is not one."""
        try:
            return _expression(ast.parse(text.strip(), mode="eval").body)
        except (SyntaxError, ValueError):
            raise UserError(
                f"goal {text!r} cannot be read; write names, numbers, + - *, for example {EXAMPLE}"
            ) from None


@register
@dataclass(frozen=True)
class Sum(Goal):
    """Several goals at once.

    parts: what is added
    """

    parts: tuple[Goal, ...]

    def __call__(self, view: View) -> Float[Tensor, " n"]:
        return torch.stack([part(view) for part in self.parts]).sum(0)


@register
@dataclass(frozen=True)
class Weighted(Goal):
    """A goal times a number.

    weight: how much it counts; below 0 it is to be avoided
    goal: what is weighed
    """

    weight: float
    goal: Goal

    def __call__(self, view: View) -> Float[Tensor, " n"]:
        return self.weight * self.goal(view)


def _parts(goal: Goal) -> tuple[Goal, ...]:
    return goal.parts if isinstance(goal, Sum) else (goal,)


def _expression(node: ast.expr) -> Any:
    """A spec from names, calls, sums and products; ValueError for anything else."""
    match node:
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return {"is": "Sum", "parts": [*_terms(left), *_terms(right)]}
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return {"is": "Sum", "parts": [*_terms(left), _scaled(-1.0, _expression(right))]}
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            weight, goal = (left, right) if _number(left) is not None else (right, left)
            return _scaled(_number(weight), _expression(goal))
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            by = _number(right)
            return _scaled(1 / by if by else None, _expression(left))
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return _scaled(-1.0, _expression(inner))
        case ast.Call() | ast.Name():
            found = parse(ast.unparse(node))
            if isinstance(found, str) and not found.isidentifier():
                raise ValueError(found)
            return found
        case _:
            raise ValueError(ast.dump(node))


def _terms(node: ast.expr) -> list[Any]:
    found = _expression(node)
    return found["parts"] if isinstance(found, dict) and found["is"] == "Sum" and "parts" in found else [found]


def _scaled(weight: float | None, goal: Any) -> Spec:
    if weight is None:
        raise ValueError("a goal times a goal")
    return {"is": "Weighted", "weight": weight, "goal": goal}


def _number(node: ast.expr) -> float | None:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return None
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
