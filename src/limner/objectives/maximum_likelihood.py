"""Maximum likelihood, for generators that can say how probable an image is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

from limner.core.moment import Moment
from limner.core.spec import register
from limner.models.base import LikelihoodGenerator, Model
from limner.objectives.base import Examples, Objective


@register
@dataclass(frozen=True)
class MaximumLikelihood(Objective):
    """Nats an image, -log p(x), exactly, for generators that know their own distribution.

    rounding: of pixels between two levels: at random (two levels: dynamic binarisation), or to the nearest
    """

    rounding: Literal["random", "nearest"] = "random"
    players: ClassVar[dict[str, tuple[str, ...]]] = {"generator": ("generator",)}
    kinds: ClassVar[dict[str, type[Model]]] = {"generator": LikelihoodGenerator}

    def loss(self, turn: str, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        net = nets["generator"]
        assert isinstance(net, LikelihoodGenerator)
        noise = at.uniform(*batch.x.shape[1:]) if self.rounding == "random" else 0.5
        return {"nats": -net.log_likelihood(net.quantise(batch.x, noise), batch.label)}
