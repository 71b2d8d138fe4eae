"""L-BFGS, each row with a memory and a line search of its own (Nocedal 1980; Liu & Nocedal 1989).

A step is one look at every row. A row whose trial brings too little stays where it is and tries half the length in the
next step, while others go on: no row waits for another one's line search, and no picture is made twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
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
    """A limited-memory quasi-Newton method: few steps where the goal is smooth.

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
        return _LBFGS(self.memory, self.tries, z)


class _LBFGS(Walk):
    """The last moves of each row, newest last: (move, fall of the gradient, 1/their product), 0 for an unused one."""

    def __init__(self, memory: int, tries: int, z: Points) -> None:
        self.tries = tries
        self.moves = z.new_zeros(memory, *z.shape)
        self.falls = z.new_zeros(memory, *z.shape)
        self.inverses = z.new_zeros(memory, len(z))
        self.scale = z.new_zeros(len(z))
        self.tried = torch.zeros(len(z), dtype=torch.long, device=z.device)

    def step(self, here: Place, look: Look, rate: float) -> Place:
        # neither gradient nor memory of a row change while its search goes on, so this is the direction it has
        way = self._direction(here.gradient)
        slope = (way * here.gradient).sum(1)
        # a row whose memory points downhill goes straight up instead
        way = torch.where((slope > 0)[:, None], way, here.gradient)
        slope = (way * here.gradient).sum(1)
        length = rate * 0.5 ** self.tried.to(slope)
        there = look(here.z + length[:, None] * way)
        moved = (slope > 0) & (there.value >= here.value + ENOUGH * length * slope)
        stuck = ~moved & (self.tried + 1 >= self.tries)
        self._remember(there.z - here.z, here.gradient - there.gradient, moved)
        self._forget(stuck)
        self.tried = torch.where(moved | stuck, 0, self.tried + 1)
        return there.where(moved, here)

    def _direction(self, gradient: Points) -> Points:
        """The two loops: the inverse of the curvature that the moves have seen, times the gradient."""
        q, shares = gradient, []
        for s, y, inverse in reversed(list(zip(self.moves, self.falls, self.inverses, strict=True))):
            a = inverse * (s * q).sum(1)
            shares.append(a)
            q = q - a[:, None] * y
        q = self.scale[:, None] * q
        for s, y, inverse, a in zip(self.moves, self.falls, self.inverses, reversed(shares), strict=True):
            q = q + (a - inverse * (y * q).sum(1))[:, None] * s
        # where nothing is known of the curvature: a step of length one
        unit = gradient / gradient.norm(dim=1, keepdim=True).clamp_min(TINY)
        return torch.where((self.scale > 0)[:, None], q, unit)

    def _remember(self, s: Points, y: Points, moved: Tensor) -> None:
        """The newest move takes the place of the oldest, in rows that have moved."""
        product, power = (s * y).sum(1), y.square().sum(1)
        bent = moved & (product > TINY * power)
        safe = torch.where(bent, product, 1.0)
        known = torch.where(self.scale > 0, self.scale, 1.0)
        self.scale = torch.where(bent, safe / torch.where(bent, power, 1.0), torch.where(moved, known, self.scale))
        self.moves = _pushed(self.moves, s, moved)
        self.falls = _pushed(self.falls, y, moved)
        self.inverses = _pushed(self.inverses, torch.where(bent, 1 / safe, 0.0), moved)

    def _forget(self, stuck: Tensor) -> None:
        """A row that cannot move has a wrong picture of the curvature: it begins anew, with shorter steps."""
        known = torch.where(self.scale > 0, self.scale, 1.0)
        self.scale = torch.where(stuck, known / 2**self.tries, self.scale)
        self.inverses = torch.where(stuck, 0.0, self.inverses)

    def keep(self, rows: Int[Tensor, " m"]) -> None:
        self.moves, self.falls, self.inverses = self.moves[:, rows], self.falls[:, rows], self.inverses[:, rows]
        self.scale, self.tried = self.scale[rows], self.tried[rows]


def _pushed(memory: Tensor, new: Tensor, rows: Bool[Tensor, " n"]) -> Tensor:
    """A memory (m, n, ...) without its oldest entry and with a new one, in these rows."""
    wide = rows.view(-1, *[1] * (new.ndim - 1))
    return torch.where(wide, torch.cat([memory[1:], new[None]]), memory)
