"""How points move uphill, by name: the optimizers of training, and ways of climbing that training has no use for.

Every row moves by itself: what it does depends on its own value, gradient, history and random numbers only, so that
a row ends at the same place alone and in a batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.core.errors import unknown
from limner.core.optim import Optimizer
from limner.core.rng import derived
from limner.core.schedule import Cosine, Schedule, value
from limner.core.spec import Spec, build, catalog, parse, register
from limner.models.base import Pictures

Points = Float[Tensor, "n d"]
RATES = {"SGD": 1.0, "AdaGrad": 0.5, "RMSprop": 0.03, "Adam": 0.1, "AdamW": 0.1}
"""Learning rates for codes, of which every number is about 1 in size, where no rate is given; they fall to a tenth."""
LAST = 0.1


@dataclass(frozen=True)
class Place:
    """Where rows stand: points as the space allows them, the goal, its gradient (0 if not asked for), pictures."""

    z: Points
    value: Float[Tensor, " n"]
    gradient: Points
    x: Pictures

    def where(self, rows: Tensor, other: Place) -> Place:
        """The same for rows that are marked, `other` elsewhere."""
        wide = rows[:, None]
        return Place(
            torch.where(wide, self.z, other.z),
            torch.where(rows, self.value, other.value),
            torch.where(wide, self.gradient, other.gradient),
            torch.where(wide[:, :, None, None], self.x, other.x),
        )


@runtime_checkable
class Look(Protocol):
    """Looks at points, one a row: where the space has moved them to, how good it is there, which way is up."""

    def __call__(self, z: Points, gradient: bool = True) -> Place:
        """One decoding of all rows."""
        ...


class Walk:
    """A climb in progress: the memory that a rule keeps of each row."""

    def step(self, here: Place, look: Look, rate: float) -> Place:
        """From here to the next place."""
        raise NotImplementedError

    def keep(self, rows: Int[Tensor, " m"]) -> None:
        """Forget all rows but these."""


@dataclass(frozen=True)
class Ascent:
    """A rule that moves points uphill. One that is blind asks for no gradients."""

    blind: ClassVar[bool] = False
    lr: Schedule = 1.0

    def begin(self, z: Points, seeds: list[int]) -> Walk:
        """The memory for these points, one random seed a row."""
        raise NotImplementedError

    def rate(self, progress: float) -> float:
        """The rate at a progress from 0 to 1."""
        return value(self.lr, progress)


@register
@dataclass(frozen=True)
class Langevin(Ascent):
    """Unadjusted Langevin dynamics: half a step up, and noise (Roberts & Tweedie 1996). Samples exp(goal/temperature).

    lr: the step ε: z moves by ε/2 times the gradient, and by √(ε·temperature) noise
    temperature: 0 is gradient ascent
    """

    lr: Schedule = 0.01
    temperature: float = 1.0

    def begin(self, z: Points, seeds: list[int]) -> Walk:
        return _Langevin(self.temperature, seeds)


class _Langevin(Walk):
    def __init__(self, temperature: float, seeds: list[int]) -> None:
        self.temperature = temperature
        self.rngs = [torch.Generator().manual_seed(seed) for seed in seeds]

    def step(self, here: Place, look: Look, rate: float) -> Place:
        noise = torch.stack([torch.randn(here.z.shape[1], generator=rng) for rng in self.rngs]).to(here.z)
        return look(here.z + rate / 2 * here.gradient + (rate * self.temperature) ** 0.5 * noise)

    def keep(self, rows: Int[Tensor, " m"]) -> None:
        self.rngs = [self.rngs[k] for k in rows.tolist()]


@dataclass(frozen=True)
class ByOptimizer(Ascent):
    """An optimizer of training, all of which treat every number by itself.

    lr: unused: the optimizer has a rate
    optimizer: which
    """

    optimizer: Optimizer = Optimizer()

    def begin(self, z: Points, seeds: list[int]) -> Walk:
        return _ByOptimizer(self.optimizer, z)

    def rate(self, progress: float) -> float:
        return self.optimizer.rate(progress)


class _ByOptimizer(Walk):
    def __init__(self, optimizer: Optimizer, z: Points) -> None:
        self.z = z.clone()
        self.optimizer = optimizer.make([self.z])

    def step(self, here: Place, look: Look, rate: float) -> Place:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.z.copy_(here.z)
        self.z.grad = -here.gradient
        self.optimizer.step()
        return look(self.z.clone())

    def keep(self, rows: Int[Tensor, " m"]) -> None:
        n = len(self.z)
        self.z.grad = None
        self.z.data = self.z[rows]
        memory = self.optimizer.state[self.z]
        for name, held in memory.items():
            if isinstance(held, Tensor) and held.ndim and len(held) == n:
                memory[name] = held[rows]


def ascent(given: str | Spec | Optimizer | Ascent, rate: float | None = None) -> Ascent:
    """A rule by name, spec or value; an optimizer that is named without its lr gets one that suits codes.

    `rate` replaces the learning rate, falling to a tenth of it along a cosine.
    """
    if isinstance(given, str):
        given = build_any(given)
    rule = ByOptimizer(1.0, given) if isinstance(given, Optimizer) else build(given, Ascent)
    if rate is None:
        return rule
    falling = Cosine(rate, rate * LAST)
    if isinstance(rule, ByOptimizer):
        return replace(rule, optimizer=replace(rule.optimizer, lr=falling))
    return replace(rule, lr=falling)


def build_any(text: str) -> Optimizer | Ascent:
    """An optimizer or an ascent as people type it."""
    said = parse(text)
    said = said if isinstance(said, dict) else {"is": said}
    if said.get("is") not in catalog(Optimizer):
        return build(said, _known(str(said.get("is"))))
    made = build(said, Optimizer)
    rate = RATES.get(said["is"], 0.1)
    return made if {"lr", "*"} & said.keys() else replace(made, lr=Cosine(rate, rate * LAST))


def _known(name: str) -> type[Ascent]:
    if name not in catalog(Ascent):
        raise unknown("optimizer", name, {*catalog(Ascent), *catalog(Optimizer)})
    return Ascent


def seeds(seed: int, numbers: list[int], starts: int, purpose: str) -> list[int]:
    """One a row: depends on the target's number and the start's, not on which others are in the batch."""
    return [derived(seed, number, f"{purpose} {start}") for number in numbers for start in range(starts)]
