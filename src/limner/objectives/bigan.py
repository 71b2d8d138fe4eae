"""Generator and encoder against one critic of pairs: where it cannot tell (x, E(x)) from (G(z), z), E inverts G.

The encoder may learn besides from generated pictures, whose code is known; of real ones no error is ever taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

from limner.augments.affine import Affine
from limner.augments.base import Augment
from limner.core.moment import Moment
from limner.core.schedule import Schedule
from limner.core.spec import register
from limner.models.base import JointCritic, Model, apart, pair
from limner.objectives.base import Examples, encoder_of, generator_of, insist_on_one_latent
from limner.objectives.gan import GAN


@register
@dataclass(frozen=True)
class BiGAN(GAN):
    """A GAN that learns to find the code of a picture (Donahue et al. 2017; Dumoulin et al. 2017).

    game: the adversarial loss
    penalties: further terms of the critic's turn
    code: `mean` for a code that follows from the picture (BiGAN), `sample` for one drawn from the posterior (ALI)
    regress: weight of what the encoder learns by reading generated pictures, a number or a curve; 0 for the paper's
    kin: a change of those pictures that leaves their code what it is
    """

    code: Literal["mean", "sample"] = "mean"
    regress: Schedule = 0.0
    kin: Augment = Affine(turn=10.0, shift=0.05, scale=0.1, slant=0.2)
    begins_small: ClassVar[bool] = False
    players: ClassVar[dict[str, tuple[str, ...]]] = {"generator": ("generator", "encoder"), "critic": ("critic",)}
    kinds: ClassVar[dict[str, type[Model]]] = {"critic": JointCritic}

    def generator_terms(self, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        """The critic's own loss with the two kinds of pair exchanged (Donahue et al. 2017, section 3)."""
        critic, (real, fake) = nets["critic"], self.pairs(nets, batch, at)
        at.kept["real"], at.kept["fake"] = real.detach(), fake.detach()
        terms = {"game": self.game.critic(critic(fake, batch.label), critic(real, batch.label))}
        if weight := at(self.regress):
            terms["misread"] = weight * self.misread(nets, fake.detach(), batch, at)
        return terms

    def critic_terms(self, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        """The critic's side of the game, and the penalties."""
        real, fake = at.kept.pop("real", None), at.kept.pop("fake", None)
        if real is None or fake is None:
            real, fake = self.pairs(nets, batch, at)
        return self.judge(nets["critic"], real, fake, batch.label, at)

    def pairs(self, nets: nn.ModuleDict, batch: Examples, at: Moment) -> tuple[Tensor, Tensor]:
        """(x, E(x)) and (G(z), z), each as one row of numbers a sample."""
        generator = generator_of(nets)
        z = at.codes(generator.latent)
        q = encoder_of(nets)(batch.x, batch.label)
        found = q.mean if self.code == "mean" else q.sample(at.normal(z.shape[1]))
        return pair(at.seen(batch.x), found), pair(at.seen(generator(z, batch.label)), z)

    def misread(
        self, nets: nn.ModuleDict, fake: Float[Tensor, "n k"], batch: Examples, at: Moment
    ) -> Float[Tensor, " n"]:
        """Mean squared error of codes read from pictures made of known ones (Donahue et al. 2017, section 4)."""
        x, z = apart(fake, generator_of(nets).image)
        return (encoder_of(nets)(self.kin(x, at), batch.label).mean - z).square().mean(1)

    def check(self, nets: Mapping[str, Model]) -> None:
        insist_on_one_latent("BiGAN", nets)
