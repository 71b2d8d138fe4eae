"""C_T, the data-copying test (Meehan, Chaudhuri and Dasgupta 2020, "A non-parametric test to detect data-copying").

In each cell of the training set, a Mann-Whitney test of whether generated images lie nearer to it than held-out ones.
Far below 0 the generator copies; far above it underfits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.errors import UserError
from limner.core.spec import register
from limner.metrics.base import SPLITS, Sets, halves
from limner.metrics.clusters import k_means, nearest_centre
from limner.metrics.memory import Case, Measured, Memory


@register
@dataclass(frozen=True)
class DataCopying(Memory):
    """C_T: mean z of Mann-Whitney tests of distances to the training set, by cells; below -3 the generator copies.

    cells: clusters of the training set at most; copies that are near each other stand out in theirs
    least: generated and held-out images that a cell must have, else it is left out; half as many cells as would fit
    """

    better: ClassVar[str] = "higher"
    label: ClassVar[str] = "data copying (C_T)"
    chance: ClassVar[float | None] = 0.0

    cells: int = 10
    least: int = 20

    def lacks(self, sets: Sets) -> str:
        """Needs some cells whose halves can be compared."""
        n, least = len(sets.real), 8 * self.least
        return f"{n:,} images are too few for its cells, {least} do; read Authenticity" if n < least else ""

    def measure(self, case: Case) -> Measured:
        """Mean of the cells' z, weighted by their held-out images (equations 2 and 3).

        Its error is from random halves: z has the same spread at any n, so two halves differ by twice its variance.
        """
        cells = max(1, min(self.cells, len(case.fake) // (2 * self.least), len(case.held_out) // (2 * self.least)))
        (q, q_cell), (p, p_cell) = _table(case, cells)
        value, total = _mean_z((q, q_cell), (p, p_cell), self.least), 0.0
        for seed in range(SPLITS):
            parts = zip(halves(len(q), seed), halves(len(p), seed), strict=True)
            a, b = (_mean_z((q[i], q_cell[i]), (p[j], p_cell[j]), self.least // 2) for i, j in parts)
            total += (a - b) ** 2
        # a z has variance 1 in a cell where sets are alike, and eight splits may show less by accident
        error = max(math.sqrt(total / (2 * SPLITS)), 1 / math.sqrt(cells))
        return Measured(value, error)


def mann_whitney(q: Float[Tensor, " m"], p: Float[Tensor, " n"]) -> float:
    """z of U: how often a value of q is above one of p, ties by half; 0 on average where they are alike."""
    n, m = len(p), len(q)
    order = p.sort().values
    below = torch.searchsorted(order, q).double() + torch.searchsorted(order, q, right=True).double()
    u = float(below.sum()) / 2
    return (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)


def _table(case: Case, cells: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Distance to the training set and cell, of generated and of held-out images."""
    centres = k_means(case.train, min(cells, len(case.train)))
    sides = (case.fake, case.fake_near), (case.held_out, case.held_near)
    q, p = ((near.distance, nearest_centre(x, centres)) for x, near in sides)
    return q, p


def _mean_z(generated: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor], least: int) -> float:
    (q, q_cell), (p, p_cell) = generated, held_out
    total, weight = 0.0, 0
    for cell in torch.unique(p_cell):
        a, b = q[q_cell == cell], p[p_cell == cell]
        if min(len(a), len(b)) >= least:
            total, weight = total + len(b) * mann_whitney(a, b), weight + len(b)
    if not weight:
        raise UserError(f"C_T: no cell has {least} generated and held-out images; ask for more with -n")
    return total / weight
