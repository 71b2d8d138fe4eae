"""What a degradation is: a map A from a picture to what was measured of it, and the noise of the sensor.

Operators compose: `A @ B` does B first. Any object with `A` and `A_adjoint` can stand for one.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from limner.core.errors import UserError
from limner.core.spec import build, register

Pictures = Float[Tensor, "n ..."]
"""(n, c, h, w), or what another operator measured of them."""
Measured = Float[Tensor, "n ..."]
Keep = Float[Tensor, "_ _ h w"]
Self = TypeVar("Self", bound="Operator")


@register
@dataclass(frozen=True)
class Unknown:
    """A number of which only the range is known: drawn anew for each picture in training, estimated in restoring.

    low: the smallest it can be
    high: the largest
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise UserError(f"Unknown({self.low:g}, {self.high:g}): the smaller number comes first")

    def draw(self, rng: torch.Generator) -> float:
        """A number of the range, all as likely."""
        share = torch.rand((), generator=rng, device=rng.device).item()
        return self.low + (self.high - self.low) * share

    def tries(self, n: int) -> list[float]:
        """n numbers from low to high."""
        return torch.linspace(self.low, self.high, n).tolist()


def known(value: float | Unknown) -> float:
    """The number, or the middle of where it lies."""
    return (value.low + value.high) / 2 if isinstance(value, Unknown) else value


class Operator:
    """y = A(x), and noise on it. Pure: what is random in `measure` is a function of the options and the shape.

    Where A is not linear, `adjoint` is the transposed Jacobian at `like`, and what stands for it is said there.
    """

    linear: ClassVar[bool] = True

    def measure(self, x: Pictures) -> Measured:
        """A(x), differentiable in x."""
        raise NotImplementedError

    def noise(self, y: Measured, rng: torch.Generator) -> Measured:
        """What the sensor makes of y."""
        return y

    def adjoint(self, y: Measured, like: Pictures) -> Pictures:
        """Aᵀy, for pictures of the shape of `like`: ⟨Ax, y⟩ = ⟨x, Aᵀy⟩."""
        x = like.detach().requires_grad_()
        with torch.enable_grad():
            return torch.autograd.grad(self.measure(x), x, y, create_graph=y.requires_grad)[0]

    def guess(self, y: Measured, like: Pictures) -> Pictures:
        """The measurement as pictures of the shape of `like`: what a restorer is shown. Not measured is 0."""
        if y.shape != like.shape:
            raise UserError(f"a measurement of {tuple(y.shape[1:])} numbers cannot be shown as {tuple(like.shape[1:])}")
        return y

    def kept(self, like: Pictures) -> Keep:
        """(1, 1, h, w): 1 where `guess` shows the very pixels of the picture, 0 elsewhere."""
        return torch.zeros(1, 1, *like.shape[2:], dtype=like.dtype, device=like.device)

    def missing(self, like: Pictures) -> Keep:
        """(1, 1, h, w): 1 where nothing was measured of the picture, and `guess` makes something up; 0 elsewhere."""
        return torch.zeros(1, 1, *like.shape[2:], dtype=like.dtype, device=like.device)

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the pictures whose measurements are pictures of this height and width."""
        return height, width

    @property
    def deviation(self) -> float:
        """Standard deviation of the noise, about, in the [-1, 1] range."""
        return 0.0

    def drawn(self: Self, rng: torch.Generator) -> Self:
        """The same with what is unknown chosen at random."""
        return _replaced(self, lambda value: value.draw(rng))

    def settled(self: Self, share: float) -> Self:
        """The same with each unknown number at this share of its range, 0 to 1."""
        return _replaced(self, lambda value: value.low + (value.high - value.low) * share)

    @property
    def unknown(self) -> bool:
        """Whether something about it has to be estimated."""
        return any(isinstance(value, Unknown) for value in _fields(self).values())

    def __call__(self, x: Pictures, rng: torch.Generator) -> Measured:
        """A measurement with its noise."""
        return self.noise(self.measure(x), rng)

    def __matmul__(self, other: Operator) -> Operator:
        return Composed(self, other)


@register
@dataclass(frozen=True)
class Composed(Operator):
    """Two in a row, written `outer @ inner`: the inner one happens first.

    outer: what happens then
    inner: what happens first
    """

    outer: Operator
    inner: Operator

    @property
    def linear(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether both are."""
        return self.outer.linear and self.inner.linear

    @property
    def unknown(self) -> bool:
        """Whether either has something to be estimated."""
        return self.outer.unknown or self.inner.unknown

    @property
    def deviation(self) -> float:
        """Both noises together, as if the outer one left the inner one as it is."""
        return math.hypot(self.outer.deviation, self.inner.deviation)

    def measure(self, x: Pictures) -> Measured:
        return self.outer.measure(self.inner.measure(x))

    def noise(self, y: Measured, rng: torch.Generator) -> Measured:
        """The outer one's; calling the whole gives both, each in its place."""
        return self.outer.noise(y, rng)

    def adjoint(self, y: Measured, like: Pictures) -> Pictures:
        between = self.inner.measure(like.detach())
        return self.inner.adjoint(self.outer.adjoint(y, between), like)

    def guess(self, y: Measured, like: Pictures) -> Pictures:
        between = self.inner.measure(like.detach())
        return self.inner.guess(self.outer.guess(y, between), like)

    def kept(self, like: Pictures) -> Keep:
        between = self.inner.measure(like.detach())
        if between.shape[2:] != like.shape[2:]:
            return super().kept(like)
        return self.inner.kept(like) * self.outer.kept(between)

    def missing(self, like: Pictures) -> Keep:
        """Of either, the outer one's enlarged where the inner one reduces."""
        early, between = self.inner.missing(like), self.inner.measure(like.detach())
        if between.dim() < 4:  # of numbers that are no picture none is missing anywhere
            return early
        return torch.maximum(early, interpolate(self.outer.missing(between), list(like.shape[2:])))

    def shape(self, height: int, width: int) -> tuple[int, int]:
        return self.inner.shape(*self.outer.shape(height, width))

    def drawn(self, rng: torch.Generator) -> Composed:
        inner = self.inner.drawn(rng)
        return Composed(self.outer.drawn(rng), inner)

    def settled(self, share: float) -> Composed:
        return Composed(self.outer.settled(share), self.inner.settled(share))

    def __call__(self, x: Pictures, rng: torch.Generator) -> Measured:
        return self.outer(self.inner(x, rng), rng)


@dataclass(frozen=True)
class Foreign(Operator):
    """Another library's operator, by its `A` and `A_adjoint`.

    thing: the object
    """

    thing: Any

    def measure(self, x: Pictures) -> Measured:
        return self.thing.A(x)

    def adjoint(self, y: Measured, like: Pictures) -> Pictures:
        return self.thing.A_adjoint(y)


def as_operator(thing: Any) -> Operator:
    """An operator, its text such as `Downsample(4) @ Blur(1.5)`, its spec, or any object with `A` and `A_adjoint`."""
    if isinstance(thing, (str, dict, Operator)):
        return build(thing, Operator)
    if callable(getattr(thing, "A", None)) and callable(getattr(thing, "A_adjoint", None)):
        return Foreign(thing)
    raise UserError(f"damage takes an operator such as 'Downsample(4) @ Blur(1.5)', not {thing!r}")


def _fields(operator: Operator) -> dict[str, Any]:
    if not dataclasses.is_dataclass(operator):
        return {}
    return {field.name: getattr(operator, field.name) for field in dataclasses.fields(operator)}


def _replaced(operator: Self, number: Any) -> Self:
    """The same with each unknown replaced by the number that a function makes of it."""
    changed = {name: number(value) for name, value in _fields(operator).items() if isinstance(value, Unknown)}
    return dataclasses.replace(operator, **changed) if changed else operator  # pyright: ignore
