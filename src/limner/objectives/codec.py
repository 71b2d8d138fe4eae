"""Compression learned from end to end: few bits and a good likeness, at every step of the quantiser at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from limner.core.errors import UserError
from limner.core.grid import Rounded, straight
from limner.core.moment import Moment
from limner.core.schedule import Schedule
from limner.core.spec import register
from limner.distances.base import Distance
from limner.distances.pixel import Squared
from limner.models.base import CodePrior, Encoder, Model
from limner.models.grid import GridEncoder, GridGenerator
from limner.models.prior import GridPrior
from limner.objectives.base import Examples, Objective, encoder_of, generator_of, insist_on_one_latent


@register
@dataclass(frozen=True)
class RateDistortion(Objective):
    """Bits a pixel, and a weight times how unlike the picture has become (Ballé et al. 2017, eq. 8).

    Noise as wide as rounding stands for it where bits are counted; the generator is given rounded numbers. Each picture
    draws a step from 1 to `coarsest`, and the weight falls with its square, as it does along the best curve.

    weight: of the distance at step 1, a number or a curve; more is better pictures and more bits
    distance: between a picture and what becomes of it
    coarsest: largest step of the quantiser, 1 for one step only
    """

    weight: Schedule = 300.0
    distance: Distance = Squared()
    coarsest: float = 4.0
    players: ClassVar[dict[str, tuple[str, ...]]] = {"codec": ("encoder", "generator", "prior")}
    kinds: ClassVar[dict[str, type[Model]]] = {"encoder": GridEncoder, "generator": GridGenerator, "prior": GridPrior}
    sampled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.coarsest < 1:
            raise UserError(f"coarsest={self.coarsest:g}: steps go from 1 up; try -o objective.coarsest=4")

    def loss(self, turn: str, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        encoder, generator, prior = encoder_of(nets), generator_of(nets), prior_of(nets)
        step = self.coarsest ** at.uniform(1)
        y = exact(encoder, batch) / step
        whole = straight(y)
        bits = prior.bits(y + at.uniform(y.shape[1]) - 0.5, whole, step)
        error = self.distance(generator(whole * step, batch.label), batch.x)
        area = batch.x.shape[2] * batch.x.shape[3]
        return {"bits": bits / area, "distance": at(self.weight) / step[:, 0].square() * error}

    def check(self, nets: Mapping[str, Model]) -> None:
        insist_on_one_latent("RateDistortion", nets)


def exact(encoder: Encoder, batch: Examples) -> Float[Tensor, "n d"]:
    """Codes before rounding."""
    said = encoder(batch.x, batch.label)
    assert isinstance(said, Rounded)
    return said.exact


def prior_of(nets: nn.ModuleDict) -> CodePrior:
    """The prior among the players."""
    net = nets["prior"]
    assert isinstance(net, CodePrior)
    return net
