"""Translation where each picture's answer is known: as near to it as can be, and sharp."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.core.moment import Moment
from limner.core.schedule import Schedule
from limner.core.spec import register
from limner.distances.base import Distance
from limner.distances.pixel import Absolute
from limner.models.base import Critic, Model, Pictures, Translator
from limner.objectives.base import Domains, Examples, Game, Objective, Penalty
from limner.objectives.games import NonSaturating
from limner.objectives.translation import (
    Terms,
    fool,
    insist_on_shape,
    judge,
    judge_of,
    other_of,
    project,
    translator_of,
)


@register
@dataclass(frozen=True)
class Paired(Objective):
    """Distance to the answer, and a critic that wants to see an answer (Isola et al. 2017, eq. 4).

    A critic of twice as many channels is shown the question too (their conditional form); any other the answer only.

    game: the adversarial loss
    weight: of the distance to the answer, a number or a curve
    adversarial: weight of the game in the translator's turn; 0 leaves the distance alone
    distance: how an answer is compared with the true one
    penalties: further terms of the critic's turn
    """

    game: Game = NonSaturating()
    weight: Schedule = 100.0
    adversarial: Schedule = 1.0
    distance: Distance = Absolute()
    penalties: tuple[Penalty, ...] = ()
    domains: ClassVar[Domains] = "matched"
    players: ClassVar[dict[str, tuple[str, ...]]] = {"translator": ("translator",), "critic": ("critic",)}

    def loss(self, turn: str, nets: nn.ModuleDict, batch: Examples, at: Moment) -> Terms:
        x, y = batch.x, other_of(batch)
        critic = judge_of(nets, "critic")
        fake = at.kept.pop("fake", None) if turn == "critic" else None
        if fake is None:
            fake = translator_of(nets, "translator")(x)
        real, shown = exhibit(critic, x, y), exhibit(critic, x, fake)
        if turn == "critic":
            return judge(self.game, self.penalties, critic, real, shown, at)
        at.kept["fake"] = fake.detach()
        terms = {"distance": at(self.weight) * self.distance(fake, y)}
        return terms | {"game": at(self.adversarial) * fool(self.game, critic, real, shown, at)}

    def check(self, nets: Mapping[str, Model]) -> None:
        translator = nets["translator"]
        assert isinstance(translator, Translator)
        image = translator.image
        insist_on_shape("Paired", nets, "critic", replace(image, channels=2 * image.channels), image)

    def after(self, turn: str, nets: nn.ModuleDict) -> None:
        if turn == "critic":
            project(self.penalties, judge_of(nets, "critic"))


def exhibit(critic: Critic, x: Pictures, y: Pictures) -> Float[Tensor, "n k h w"]:
    """What a critic is shown of a question and an answer: both, one behind the other, where it takes both."""
    return torch.cat([x.to(y.dtype), y], 1) if critic.image.channels == x.shape[1] + y.shape[1] else y
