"""AC-GAN: the critic also names the class, and the generator is paid for pictures that it names rightly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from limner.core.moment import Moment
from limner.core.schedule import Schedule
from limner.core.spec import register
from limner.models.base import Critic, Model, Pictures
from limner.objectives.base import Examples, Logits, Scene, critic_of, generator_of, verdict
from limner.objectives.classify import insist_on_classes, surprise
from limner.objectives.gan import GAN


@register
@dataclass(frozen=True)
class ACGAN(GAN):
    """Generator against a critic that is not told the class but names it (Odena et al. 2017, section 3).

    Both players make -log p(class) small, on real and on generated images, beside any game about real or fake.
    The paper maximises L_S + L_C for the critic and L_C - L_S for the generator: these are those, negated.
    Images without a label play in the game only.

    game: the adversarial loss
    penalties: further terms of the critic's turn
    weight: of the critic's -log p(class), a number or a curve
    pull: the same for the generator; more of it makes classes clearer and less varied
    """

    weight: Schedule = 1.0
    pull: Schedule = 1.0
    begins_small: ClassVar[bool] = False
    labelled: ClassVar[tuple[str, ...]] = ("generator", "critic")

    def generator_terms(self, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        generator, critic = generator_of(nets), critic_of(nets)
        fake = generator(at.codes(generator.latent), batch.label)
        at.kept["fake"] = fake.detach()
        fake_logits, classes = both(critic, at.seen(fake))
        real_logits = critic(at.seen(batch.x)) if self.game.pairs else fake_logits.detach()
        game = self.game.generator(real_logits, fake_logits)
        return {"game": game, "classes": at(self.pull) * surprise(classes, batch.label)}

    def critic_terms(self, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        generator, critic = generator_of(nets), critic_of(nets)
        fake = at.kept.pop("fake", None)
        if fake is None:
            fake = generator(at.codes(generator.latent), batch.label).detach()
        real, fake = at.seen(batch.x).detach().requires_grad_(), at.seen(fake).detach().requires_grad_()
        (real_logits, real_classes), (fake_logits, fake_classes) = both(critic, real), both(critic, fake)
        scene = Scene(critic, real, fake, None, real_logits, fake_logits, at)
        named = surprise(real_classes, batch.label) + surprise(fake_classes, batch.label)
        return verdict(self.game, self.penalties, scene) | {"classes": at(self.weight) * named}

    def check(self, nets: Mapping[str, Model]) -> None:
        insist_on_classes("ACGAN", nets)


def both(critic: Critic, x: Pictures) -> tuple[Logits, Float[Tensor, "n k"]]:
    """Real or fake, and which class, from the same features."""
    h = critic.features(x)
    return critic.head(h, None), critic.head.class_logits(h)
