"""Answers that leave what a generator can make, where the measurement says so: x = G(z) and a sparse rest.

argmin |A x - y|² / 2s² + Σ |x - G(z)|ᵢ / bᵢ over x in [-1, 1]: Dhar et al. 2018 (eq. 4), who have the same b at every
pixel. Generators err at edges, so b grows with how much G(z) changes around a pixel. Both terms are log-likelihoods,
of the noise and of an error that is Laplace with mean b: nothing has to be chosen for a number of measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from limner.core.errors import UserError
from limner.core.rng import generator
from limner.models.base import Pictures
from limner.operators.base import Measured, Operator
from limner.restoring.cases import Answer, Case, Solver, Tick

EXACT = 0.01
"""Standard deviation of a measurement without noise: bytes are about so far from what they stand for."""


@dataclass(frozen=True)
class Rest:
    """Adds to answers what they miss of the measurement.

    flat: how far a pixel of a flat part is expected to be off, in the [-1, 1] range
    edge: how much further, as a share of the difference between the brightest and the darkest pixel next to it
    steps: of the descent
    """

    flat: float = 0.005
    edge: float = 0.1
    steps: int = 500

    def __call__(self, cases: Sequence[Case], answers: Sequence[Answer]) -> list[Answer]:
        """Cases with one operator are followed together."""
        found: list[Answer] = []
        pairs = zip(cases, answers, strict=True)
        for operator, alike in groupby(pairs, key=lambda pair: pair[0].operator.settled(0.5)):
            here = list(alike)
            y = torch.cat([case.y.expand(len(answer.samples), *case.y.shape[1:]) for case, answer in here])
            x = self._nearer(operator, y, torch.cat([answer.samples for _, answer in here]))
            found += [Answer(part) for part in x.split([len(answer.samples) for _, answer in here])]
        return found

    @torch.no_grad()
    def _nearer(self, operator: Operator, y: Measured, made: Pictures) -> Pictures:
        """FISTA (Beck & Teboulle 2009); momentum that points uphill is forgotten (O'Donoghue & Candès 2015)."""
        noise = max(operator.deviation, EXACT) ** 2
        rate = noise / steepest(operator, made[:1])
        reach = rate / (self.flat + self.edge * contrast(made))
        x = ahead = made
        pace = made.new_ones(len(made), 1, 1, 1)
        for _ in range(self.steps):
            slope = operator.adjoint(operator.measure(ahead) - y, ahead) / noise
            moved = ahead - rate * slope - made
            new = (made + moved.sign() * (moved.abs() - reach).clamp(min=0)).clamp(-1, 1)
            uphill = ((ahead - new) * (new - x)).flatten(1).sum(1).view(-1, 1, 1, 1) > 0
            pace = torch.where(uphill, 1.0, pace)
            faster = (1 + (1 + 4 * pace.square()).sqrt()) / 2
            ahead = new + torch.where(uphill, 0.0, (pace - 1) / faster) * (new - x)
            x, pace = new, faster
        return x


@dataclass(frozen=True)
class Beyond:
    """Another solver's answers, and the rest.

    solver: whose answers, such as `ByClimbing`
    rest: what is added to them
    """

    solver: Solver
    rest: Rest = Rest()

    @property
    def channels(self) -> int:
        """As the solver's."""
        return self.solver.channels

    @property
    def at_once(self) -> int:
        """As many as the solver."""
        return self.solver.at_once

    def check(self, case: Case) -> None:
        """Raises UserError for damage that is not linear, and for what the solver does not take."""
        if not case.operator.linear:
            raise UserError(f"{case.operator} is not linear, and only linear damage can be followed beyond a model")
        self.solver.check(case)

    def __call__(self, cases: Sequence[Case], tick: Tick | None = None) -> list[Answer]:
        for case in cases:
            self.check(case)
        return self.rest(cases, self.solver(cases, tick))


def contrast(x: Pictures) -> Pictures:
    """Brightest less darkest of the 3×3 pixels around each."""
    wide = F.pad(x, (1, 1, 1, 1), mode="replicate")
    return F.max_pool2d(wide, 3, 1) + F.max_pool2d(-wide, 3, 1)


def steepest(operator: Operator, like: Pictures, steps: int = 30) -> float:
    """Largest eigenvalue of AᵀA, and a twentieth more, by power iteration."""
    v: Float[Tensor, "1 c h w"] = torch.randn(like.shape, generator=generator(0, 0, "steepest"))
    for _ in range(steps):
        v = operator.adjoint(operator.measure(v / v.norm()), v)
    return 1.05 * v.norm().item()
