"""Maximum likelihood, for generators that can say how probable an image is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

from limner.core.errors import UserError
from limner.core.moment import Moment
from limner.core.spec import catalog, register
from limner.models.base import Explicit, Generator, Model
from limner.objectives.base import Examples, Objective


@register
@dataclass(frozen=True)
class Likelihood(Objective):
    """-log p(x) in nats an image, exactly, for generators with `log_likelihood`.

    rounding: of pixels between two levels: at random (two levels: dynamic binarisation), or to the nearest
    """

    rounding: Literal["random", "nearest"] = "random"
    players: ClassVar[dict[str, tuple[str, ...]]] = {"generator": ("generator",)}

    def loss(self, turn: str, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        net = nets["generator"]
        assert isinstance(net, Explicit)
        noise = at.uniform(*batch.x.shape[1:]) if self.rounding == "random" else 0.5
        return {"nats": -net.log_likelihood(net.quantise(batch.x, noise), batch.label)}

    def check(self, nets: Mapping[str, Model]) -> None:
        if not isinstance(nets["generator"], Explicit):
            able = ", ".join(name for name, kind in catalog(Generator).items() if issubclass(kind, Explicit))
            name = type(nets["generator"]).__name__
            raise UserError(f"objective Likelihood: {name} has no likelihood; -o generator=… takes one of {able}")
