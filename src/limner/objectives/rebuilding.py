"""A critic that must be able to rebuild the real images it is shown (Liu et al. 2021, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor, nn

from limner.core.errors import UserError
from limner.core.schedule import Schedule
from limner.core.spec import register
from limner.distances.base import Distance
from limner.distances.pixel import Absolute
from limner.models.base import Pictures
from limner.models.layers import Maps
from limner.objectives.base import Penalty, Scene


@runtime_checkable
class Rebuilding(Protocol):
    """A critic with decoders."""

    def rebuild(self, x: Pictures, corner: Bool[Tensor, "n two"]) -> list[tuple[Maps, Maps]]:
        """Pairs of what was rebuilt and what it should be."""
        ...


@register
@dataclass(frozen=True)
class SelfReconstruction(Penalty):
    """How far real images, rebuilt from the critic's inner maps, are from themselves (Liu et al. 2021, eq. 2).

    Needs a critic that can rebuild, such as SmallCritic.

    weight: its factor, a number or a curve
    distance: between the rebuilt and the true image
    """

    weight: Schedule = 1.0
    distance: Distance = Absolute()

    def check(self, critic: nn.Module) -> None:
        if not isinstance(critic, Rebuilding):
            name = type(critic).__name__
            raise UserError(
                f"SelfReconstruction needs a critic that can rebuild, which {name} cannot: -o critic=SmallCritic"
            )

    def __call__(self, scene: Scene) -> Float[Tensor, " n"]:
        assert isinstance(scene.critic, Rebuilding)
        # What the critic is shown, augmented or not: it can only rebuild what it sees.
        pairs = scene.critic.rebuild(scene.real.detach(), scene.at.uniform(2) < 0.5)
        total = sum((self.distance(rebuilt, true) for rebuilt, true in pairs[1:]), self.distance(*pairs[0]))
        return scene.at(self.weight) * total
