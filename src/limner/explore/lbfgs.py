"""L-BFGS, each row with a memory and a line search of its own (Nocedal 1980; Liu & Nocedal 1989)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.core.errors import UserError
from limner.core.schedule import Schedule
from limner.core.spec import register
from limner.explore.ascents import Ascent, Look, Place, Points, Walk

ENOUGH = 1e-4
"""Share of the promised rise that a step must bring (Armijo 1966)."""
TINY = 1e-10


@register
@dataclass(frozen=True)
class LBFGS(Ascent):
    """A limited-memory quasi-Newton method: few steps where the goal is smooth, two or three looks a step.

    lr: the step that is tried first, 1 for the full one
    memory: past steps that shape the next
    tries: halvings of a step that brings too little, before the row forgets its past and waits
    """

    lr: Schedule = 1.0
    memory: int = 10
    tries: int = 8

    def __post_init__(self) -> None:
        if self.memory < 1:
            raise UserError(f"LBFGS(memory={self.memory}): give the number of past steps that count, 1 or more")

    def begin(self, z: Points, seeds: list[int]) -> Walk:
        return _LBFGS(self.memory, self.tries, len(z))


class _LBFGS(Walk):
    """Pairs (step, fall of the gradient, 1/their product), newest last; 0 for a pair that a row does not use."""

    def __init__(self, memory: int, tries: int, n: int) -> None:
        self.memory, self.tries = memory, tries
        self.pairs: list[tuple[Points, Points, Float[Tensor, " n"]]] = []
        self.scale: Float[Tensor, " n"] | None = None

    def step(self, here: Place, look: Look, rate: float) -> Place:
        way = self._direction(here.gradient)
        slope = (way * here.gradient).sum(1)
        # a row whose memory points downhill goes straight up instead
        way = torch.where((slope > 0)[:, None], way, here.gradient)
        slope = (way * here.gradient).sum(1)
        there, moved = self._search(here, look, way, slope, rate)
        self._remember(there.z - here.z, here.gradient - there.gradient, moved)
        return there

    def _direction(self, gradient: Points) -> Points:
        """The two loops: the inverse of the curvature that the pairs have seen, times the gradient."""
        if self.scale is None:
            # nothing is known of the curvature: a step of length one
            return gradient / gradient.norm(dim=1, keepdim=True).clamp_min(TINY)
        q, shares = gradient, []
        for s, y, inverse in reversed(self.pairs):
            a = inverse * (s * q).sum(1)
            shares.append(a)
            q = q - a[:, None] * y
        q = self.scale[:, None] * q
        for (s, y, inverse), a in zip(self.pairs, reversed(shares), strict=True):
            q = q + (a - inverse * (y * q).sum(1))[:, None] * s
        return q

    def _search(
        self, here: Place, look: Look, way: Points, slope: Float[Tensor, " n"], rate: float
    ) -> tuple[Place, Tensor]:
        """Halves each row's step until it brings enough; which rows have moved."""
        length = torch.full_like(slope, rate)
        found, done = here, slope <= 0
        for _ in range(self.tries):
            # rows that are done are looked at again where they are: goals may compare rows
            there = look(torch.where(done[:, None], found.z, here.z + length[:, None] * way))
            good = ~done & (there.value >= here.value + ENOUGH * length * slope)
            found = there.where(good, found)
            done = done | good
            if done.all():
                break
            length = torch.where(done, length, length / 2)
        return found, done & (slope > 0)

    def _remember(self, s: Points, y: Points, moved: Tensor) -> None:
        product = (s * y).sum(1)
        power = y.square().sum(1)
        bent = moved & (product > TINY * power)
        safe = torch.where(bent, product, 1.0)
        scale = safe / torch.where(bent, power, 1.0)
        before = torch.ones_like(scale) if self.scale is None else self.scale
        # a row that could not move has a wrong picture of the curvature: it begins anew, with shorter steps
        before = torch.where(moved, before, before / 2**self.tries)
        self.scale = torch.where(bent, scale, before)
        self.pairs = [(a, b, torch.where(moved, r, 0.0)) for a, b, r in self.pairs]
        self.pairs = [*self.pairs, (s, y, torch.where(bent, 1 / safe, 0.0))][-self.memory :]

    def keep(self, rows: Int[Tensor, " m"]) -> None:
        self.pairs = [(s[rows], y[rows], inverse[rows]) for s, y, inverse in self.pairs]
        self.scale = None if self.scale is None else self.scale[rows]
