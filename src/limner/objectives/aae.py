"""An autoencoder whose codes a critic cannot tell from the prior's: so that the prior's codes are good ones too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

from limner.core.moment import Moment
from limner.core.schedule import Schedule
from limner.core.spec import register
from limner.distances.base import Distance
from limner.distances.pixel import Squared
from limner.models.base import CodeCritic, Model
from limner.objectives.base import Examples, Game, Penalty, encoder_of, generator_of, insist_on_one_latent
from limner.objectives.games import NonSaturating
from limner.objectives.gan import GAN
from limner.objectives.penalties import R1, R2


@register
@dataclass(frozen=True)
class AAE(GAN):
    """Adversarial autoencoder: reconstruction, and codes that are spread like the prior (Makhzani et al. 2016).

    game: the adversarial loss on codes
    penalties: further terms of the critic's turn
    distance: of a picture to its reconstruction
    weight: of that distance, a number or a curve
    code: `mean` for a code that follows from the picture, `sample` for one drawn from the posterior
    """

    game: Game = NonSaturating()
    penalties: tuple[Penalty, ...] = (R1(0.1), R2(0.1))
    distance: Distance = Squared()
    weight: Schedule = 20.0
    code: Literal["mean", "sample"] = "mean"
    begins_small: ClassVar[bool] = False
    players: ClassVar[dict[str, tuple[str, ...]]] = {"generator": ("generator", "encoder"), "critic": ("critic",)}
    kinds: ClassVar[dict[str, type[Model]]] = {"critic": CodeCritic}

    def generator_terms(self, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        """Reconstruction, and the encoder's side of the game; leaves its codes for the critic."""
        generator, critic, z = generator_of(nets), nets["critic"], self.codes(nets, batch, at)
        at.kept["fake"] = z.detach()
        logits = critic(z, batch.label)
        prior = critic(at.codes(generator.latent), batch.label) if self.game.pairs else logits.detach()
        error = self.distance(generator(z, batch.label), batch.x)
        return {"reconstruction": at(self.weight) * error, "game": self.game.generator(prior, logits)}

    def critic_terms(self, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        """The critic's side of the game: codes of the prior are real, the encoder's are fake."""
        found = at.kept.pop("fake", None)
        if found is None:
            found = self.codes(nets, batch, at)
        return self.judge(nets["critic"], at.codes(generator_of(nets).latent), found, batch.label, at)

    def codes(self, nets: nn.ModuleDict, batch: Examples, at: Moment) -> Float[Tensor, "n d"]:
        """What the encoder finds."""
        q = encoder_of(nets)(batch.x, batch.label)
        return q.mean if self.code == "mean" else q.sample(at.normal(q.mean.shape[1]))

    def check(self, nets: Mapping[str, Model]) -> None:
        insist_on_one_latent("AAE", nets)
