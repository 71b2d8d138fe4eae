"""Games that estimate an f-divergence: by its variational bound (f-GAN), or by matching the density ratio (b-GAN).

Both make the same critic's loss small: E_Q f*(f'(r)) - E_P f'(r) is a Bregman divergence between the ratio p/q and
r, up to a constant (Sugiyama et al. 2012, section 3), and minus the variational bound with T = f'(r). What differs is
what the logit means, and what the generator does with the ratio.
"""

from __future__ import annotations

from dataclasses import dataclass

from limner.core.spec import register
from limner.objectives.base import Game, Logits
from limner.objectives.divergences import CAP, Divergence, JensenShannon, Pearson, tame_exp


@register
@dataclass(frozen=True)
class Variational(Game):
    """The f-GAN (Nowozin et al. 2016, eq. 4): the critic raises a lower bound of an f-divergence.

    divergence: which one
    saddle: whether the generator lowers that bound itself (eq. 6), instead of raising the critic's T (section 3.2)
    """

    divergence: Divergence = JensenShannon()
    saddle: bool = False

    pairs = False

    def critic(self, real: Logits, fake: Logits) -> Logits:
        return self.divergence.cost(fake) - self.divergence.activation(real)

    def generator(self, real: Logits, fake: Logits) -> Logits:
        return -(self.divergence.cost(fake) if self.saddle else self.divergence.activation(fake))


@register
@dataclass(frozen=True)
class RatioMatching(Game):
    """The b-GAN (Uehara et al. 2016): the critic's logit is the logarithm of the density ratio.

    divergence: whose f measures how far the ratio is from the true one
    plug_in: whether the generator makes E f(ratio) small as published, instead of following the divergence's gradient
    """

    divergence: Divergence = Pearson()
    plug_in: bool = False

    pairs = False

    def critic(self, real: Logits, fake: Logits) -> Logits:
        given = self.divergence
        return given.cost(given.logit(fake)) - given.activation(given.logit(real))

    def generator(self, real: Logits, fake: Logits) -> Logits:
        """f(r) - r f'(r), whose slope is that of D_f when the ratio moves with the generator; f(r) forgets that."""
        if self.plug_in:
            return self.divergence.f(tame_exp(fake.clamp(min=-CAP)))
        return -self.divergence.cost(self.divergence.logit(fake))
