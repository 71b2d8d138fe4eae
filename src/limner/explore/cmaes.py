"""CMA-ES: a cloud of trials that adapts its shape, for goals without a useful gradient (Hansen & Ostermeier 2001)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from limner.core.errors import UserError
from limner.core.schedule import Schedule
from limner.core.spec import register
from limner.explore.ascents import Ascent, Look, Place, Points, Walk

WORST = 1e30
"""Stands for a value that is not a number: the cloud moves away from it."""


@register
@dataclass(frozen=True)
class CMAES(Ascent):
    """Covariance matrix adaptation by the package cma: no gradient is needed, `trials` looks a step.

    lr: standard deviation of the first cloud; it adapts itself from then on
    trials: points tried a step, 0 for 4 + 3 ln dim
    """

    blind: ClassVar[bool] = True
    lr: Schedule = 0.5
    trials: int = 0

    def begin(self, z: Points, seeds: list[int]) -> Walk:
        return _CMAES(self, z, seeds)


class _CMAES(Walk):
    def __init__(self, rule: CMAES, z: Points, seeds: list[int]) -> None:
        try:
            import cma
        except ImportError:
            raise UserError("--optimizer CMAES needs the package cma: pip install cma, or take Adam") from None
        if z.shape[1] < 2:
            raise UserError("--optimizer CMAES needs codes of two numbers or more; take Adam")
        trials = rule.trials or 4 + int(3 * np.log(z.shape[1]))
        starts = z.double().cpu().numpy()
        self.clouds: list[Any] = []
        for row, seed in zip(starts, seeds, strict=True):
            rng = np.random.default_rng(seed)
            # its own generator: cma would seed numpy's global one
            own = {"randn": lambda *shape, rng=rng: rng.standard_normal(shape), "seed": float("nan")}
            # rows are stopped by the climb, and nothing is to be printed
            quiet = {"verbose": -9, "popsize": trials, "CMA_diagonal": z.shape[1] > 200}
            self.clouds.append(cma.CMAEvolutionStrategy(row, rule.rate(0), own | quiet))

    def step(self, here: Place, look: Look, rate: float) -> Place:
        tried = [cloud.ask() for cloud in self.clouds]
        points = torch.from_numpy(np.stack(tried)).to(here.z)
        best, costs = None, []
        for k in range(points.shape[1]):
            there = look(points[:, k], gradient=False)
            costs.append((-there.value).double().cpu().numpy())
            best = there if best is None else there.where(there.value > best.value, best)
        table = np.nan_to_num(np.stack(costs, 1), nan=WORST, posinf=WORST)
        for cloud, solutions, cost in zip(self.clouds, tried, table, strict=True):
            cloud.tell(solutions, cost.tolist())
        assert best is not None
        return best

    def keep(self, rows: Int[Tensor, " m"]) -> None:
        self.clouds = [self.clouds[k] for k in rows.tolist()]
