"""Energy-based GAN: low energy for real images, a margin for generated ones, codes that pull away from each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from limner.core.moment import Moment
from limner.core.spec import register
from limner.objectives.base import Examples, Game, Logits, Objective, critic_of, generator_of
from limner.objectives.gan import GAN


@register
@dataclass(frozen=True)
class EnergyMargin(Game):
    """Energy, minus the logit, is low for real images and pushed up to a margin for fakes (Zhao et al. 2017, eq. 1–2).

    margin: energy from which on a fake is left alone
    """

    margin: float = 1.0

    pairs = False

    def critic(self, real: Logits, fake: Logits) -> Logits:
        return -real + relu(self.margin + fake)

    def generator(self, real: Logits, fake: Logits) -> Logits:
        return -fake


def pull_away(codes: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """Mean squared cosine of each code with the others; the mean over n is the paper's (Zhao et al. 2017, eq. 7)."""
    n = len(codes)
    units = normalize(codes.float(), dim=1)
    cosines = (units @ units.T).square()
    return (cosines.sum(1) - cosines.diagonal()) / max(n - 1, 1)


@register
@dataclass(frozen=True)
class EBGAN(Objective):
    """The critic is an energy with a margin; the generator's codes pull away from each other (Zhao et al. 2017).

    The pull-away term reads the critic's features of this process's rows: give each process a batch worth comparing.

    margin: energy from which on a fake is left alone, in units of the critic's reconstruction error
    pull: weight of the pull-away term, 0 for the plain EBGAN
    """

    margin: float = 0.2
    pull: float = 0.1
    players: ClassVar[dict[str, tuple[str, ...]]] = GAN.players

    @property
    def game(self) -> GAN:
        """The part that needs logits only."""
        return GAN(EnergyMargin(self.margin), ())

    def loss(self, turn: str, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        if turn == "critic":
            return self.game.critic_terms(nets, batch, at)
        generator, critic = generator_of(nets), critic_of(nets)
        fake = generator(at.codes(generator.latent), batch.label)
        at.kept["fake"] = fake.detach()
        seen = at.seen(fake)
        terms = {"energy": -critic(seen, batch.label)}
        return terms | ({"pull": self.pull * pull_away(critic.features(seen))} if self.pull else {})
