"""Generator against critic: any game, any penalties.

The generator moves first; the critic then judges the same fakes, so that they are made once a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from limner.core.moment import Moment
from limner.core.spec import register
from limner.models.base import Labels, Pictures
from limner.objectives.base import Examples, Game, Objective, Penalty, Scene, critic_of, generator_of, verdict
from limner.objectives.games import Relativistic
from limner.objectives.penalties import R1, R2


@register
@dataclass(frozen=True)
class GAN(Objective):
    """Generator and critic trained against each other (Goodfellow et al. 2014).

    The default is the relativistic pairing game with R1 and R2 (Huang et al. 2024), which converges.

    game: the adversarial loss
    penalties: further terms of the critic's turn
    """

    game: Game = Relativistic()
    penalties: tuple[Penalty, ...] = (R1(), R2())
    players: ClassVar[dict[str, tuple[str, ...]]] = {"generator": ("generator",), "critic": ("critic",)}

    def loss(self, turn: str, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        return self.generator_terms(nets, batch, at) if turn == "generator" else self.critic_terms(nets, batch, at)

    def generator_terms(self, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        """The generator's side of the game; leaves its fakes for the critic."""
        generator = generator_of(nets)
        return self.deceive(nets, generator(at.codes(generator.latent), batch.label), batch, at)

    def deceive(
        self, nets: nn.ModuleDict, fake: Pictures, batch: Examples, at: Moment
    ) -> dict[str, Float[Tensor, " n"]]:
        """The generator's side of the game for these fakes."""
        critic = critic_of(nets)
        at.kept["fake"] = fake.detach()
        fake_logits = critic(at.seen(fake), batch.label)
        real_logits = critic(at.seen(batch.x), batch.label) if self.game.pairs else fake_logits.detach()
        return {"game": self.game.generator(real_logits, fake_logits)}

    def critic_terms(self, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        """The critic's side of the game, and the penalties."""
        generator, critic = generator_of(nets), critic_of(nets)
        fake = at.kept.pop("fake", None)
        if fake is None:
            fake = generator(at.codes(generator.latent), batch.label).detach()
        return self.judge(critic, at.seen(batch.x), at.seen(fake), batch.label, at)

    def judge(
        self, critic: nn.Module, real: Tensor, fake: Tensor, label: Labels | None, at: Moment
    ) -> dict[str, Float[Tensor, " n"]]:
        """The critic's side of the game and the penalties, for whatever it judges."""
        real, fake = real.detach().requires_grad_(), fake.detach().requires_grad_()
        scene = Scene(critic, real, fake, label, critic(real, label), critic(fake, label), at)
        return verdict(self.game, self.penalties, scene)

    def after(self, turn: str, nets: nn.ModuleDict) -> None:
        if turn == "critic":
            for penalty in self.penalties:
                penalty.project(nets["critic"])
