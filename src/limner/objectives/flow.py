"""Flow matching: a network learns the velocity of straight paths from pictures to noise, by least squares.

No critic, no game: one loss that only falls. `MeanFlow` learns average velocities over any stretch of the path from
the same network, so that one step leads from noise to a picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from limner.core.errors import UserError
from limner.core.moment import Moment
from limner.core.spec import register
from limner.models.base import Labels, Model, Pictures
from limner.models.flow import EARLIEST, FlowGenerator, Times
from limner.objectives.base import Examples, Objective


@register
@dataclass(frozen=True)
class RectifiedFlow(Objective):
    """Squared error of the velocity on straight paths (Liu et al. 2022, eq. 1), at logit-normal times.

    mean: of the logit of the times (Esser et al. 2024, section 3.1); above 0 it is noise that is seen more
    spread: standard deviation of that logit
    drop: share of labels that are withheld, so that the generator's `guidance` knows unlabelled velocities
    """

    mean: float = 0.8
    spread: float = 0.8
    drop: float = 0.1
    players: ClassVar[dict[str, tuple[str, ...]]] = {"generator": ("generator",)}
    kinds: ClassVar[dict[str, type[Model]]] = {"generator": FlowGenerator}

    def __post_init__(self) -> None:
        if self.spread <= 0 or not 0 <= self.drop < 1:
            raise UserError(f"{type(self).__name__}: spread must be above 0, and drop from 0 to below 1")

    def loss(self, turn: str, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        noise, t = at.normal(*batch.x.shape[1:]), self.times(at)
        label = withheld(batch.label, at.uniform() < self.drop)
        velocity = flow_of(nets).velocity(between(batch.x, noise, t), t, label)
        return {"velocity": squared(velocity - (noise - batch.x))}

    def check(self, nets: Mapping[str, Model]) -> None:
        if getattr(nets["generator"], "solver", "") == "average":
            raise UserError("RectifiedFlow trains no average velocities; use -o generator.solver=heun, or MeanFlow")

    def times(self, at: Moment) -> Times:
        """Logit-normal times, one in each n-th of their distribution, so that batches differ less."""
        normal = torch.special.ndtri((places(at) + at.uniform()) / at.total)
        return (self.mean + self.spread * normal).sigmoid().clamp(EARLIEST, 1)


@register
@dataclass(frozen=True)
class MeanFlow(RectifiedFlow):
    """Squared error of average velocities, u = v - (t - r) du/dt, to their right-hand side (Geng et al. 2025, eq. 6).

    mean: of the logit of the later time
    spread: standard deviation of that logit
    drop: share of labels that are withheld
    apart: share of a batch whose earlier time is drawn evenly from 0 to the later one; of the others both are one, and
        velocities are learned as by RectifiedFlow
    """

    mean: float = 0.5
    spread: float = 1.5
    apart: float = 0.75

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.apart <= 1:
            raise UserError(f"MeanFlow: apart={self.apart:g}; give a share of the batch above 0, such as 0.75")

    def loss(self, turn: str, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        net, noise, t = flow_of(nets), at.normal(*batch.x.shape[1:]), self.times(at)
        label = withheld(batch.label, at.uniform() < self.drop)
        apart, velocity = self.differ(at), noise - batch.x
        r, x = torch.where(apart, t * at.uniform(), t), between(batch.x, noise, t)
        error = x.new_empty(len(x))
        # by numbers, and counted without a look at the mask: a GPU would have to be waited for
        order, count = (~apart).long().argsort(stable=True), self.differing(at)
        for learn, rows in ((identity, order[:count]), (plain, order[count:])):
            if len(rows):
                told = None if label is None else label[rows]
                error[rows] = squared(learn(net, x[rows], r[rows], t[rows], velocity[rows], told))
        return {"velocity": error}

    def check(self, nets: Mapping[str, Model]) -> None:
        pass

    def differ(self, at: Moment) -> Bool[Tensor, " n"]:
        """The rows whose two times differ: as many in any stretch of the batch."""
        k = places(at)
        return ((k + 1) * self.apart).floor() > (k * self.apart).floor()

    def differing(self, at: Moment) -> int:
        """How many those are, in the same arithmetic."""
        k, share = np.arange(at.total, dtype=np.float32)[at.rows], np.float32(self.apart)
        return int((np.floor((k + 1) * share) > np.floor(k * share)).sum())


def identity(net: FlowGenerator, x: Pictures, r: Times, t: Times, velocity: Pictures, label: Labels | None) -> Pictures:
    """How far average velocities are from v - (t - r) du/dt, which is not differentiated.

    du/dt is taken along the path: x moves with the velocity, t with 1, r stays (Geng et al. 2025, eq. 8).
    """
    moved = (velocity, torch.zeros_like(r), torch.ones_like(t))
    average, slope, *_ = torch.func.jvp(lambda x, r, t: net.average(x, r, t, label), (x, r, t), moved)
    return average - (velocity - (t - r)[:, None, None, None] * slope).detach()


def plain(net: FlowGenerator, x: Pictures, r: Times, t: Times, velocity: Pictures, label: Labels | None) -> Pictures:
    """The same where both times are one: how far velocities are from what they should be."""
    return net.velocity(x, t, label) - velocity


def between(x: Pictures, noise: Pictures, t: Times) -> Pictures:
    """What lies at time t on the straight path from a picture to noise, channels-last in memory."""
    return torch.lerp(x, noise, t[:, None, None, None]).contiguous(memory_format=torch.channels_last)


def withheld(label: Labels | None, hidden: Bool[Tensor, " n"]) -> Labels | None:
    """Labels, of which some are made unknown: -1, or nan where they are numbers."""
    if label is None:
        return None
    if label.is_floating_point():
        return label.masked_fill(hidden[:, None], float("nan"))
    return label.masked_fill(hidden, -1)


def squared(error: Pictures) -> Float[Tensor, " n"]:
    """Mean square over a picture's numbers."""
    return error.square().flatten(1).mean(1)


def places(at: Moment) -> Float[Tensor, " n"]:
    """The place of each row in the whole batch, over all processes."""
    return torch.arange(at.total, device=at.rng.device, dtype=torch.float32)[at.rows]


def flow_of(nets: nn.ModuleDict) -> FlowGenerator:
    """The generator among the players."""
    net = nets["generator"]
    assert isinstance(net, FlowGenerator)
    return net
