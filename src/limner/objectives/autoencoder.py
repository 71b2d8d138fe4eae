"""Encoder and generator together: pictures are put into a code and made again from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.core.moment import Moment
from limner.core.schedule import Schedule
from limner.core.spec import register
from limner.distances.base import Distance
from limner.distances.pixel import Squared
from limner.models.base import Model, Pictures
from limner.objectives.base import Examples, Objective, encoder_of, generator_of, insist_on_one_latent


@register
@dataclass(frozen=True)
class Autoencoder(Objective):
    """What comes out is like what went in; with noise or holes, like what it was before (Vincent et al. 2010).

    The code is the mean of the encoder's Gaussian, and follows no prior: it reconstructs, but does not sample.

    distance: how unlike two pictures are
    noise: standard deviation of Gaussian noise on the input, in the [-1, 1] range, a number or a curve
    masked: share of the input's pixels that are greyed out, 0 to 1, a number or a curve
    """

    distance: Distance = Squared()
    noise: Schedule = 0.0
    masked: Schedule = 0.0
    players: ClassVar[dict[str, tuple[str, ...]]] = {"autoencoder": ("encoder", "generator")}
    sampled: ClassVar[bool] = False

    def loss(self, turn: str, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        encoder, generator = encoder_of(nets), generator_of(nets)
        code = encoder(self.corrupt(batch.x, at), batch.label).mean
        return {"distance": self.distance(generator(code, batch.label), batch.x)}

    def check(self, nets: Mapping[str, Model]) -> None:
        insist_on_one_latent("Autoencoder", nets)

    def corrupt(self, x: Pictures, at: Moment) -> Pictures:
        """What the encoder is shown."""
        if noise := at(self.noise):
            x = x + noise * at.normal(*x.shape[1:])
        if masked := at(self.masked):
            x = torch.where(at.uniform(1, *x.shape[2:]) < masked, 0.0, x)
        return x
