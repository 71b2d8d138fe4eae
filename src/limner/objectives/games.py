"""Adversarial losses on logits. `softplus(t)` is -log sigmoid(-t)."""

from __future__ import annotations

from dataclasses import dataclass

from torch.nn.functional import relu, softplus

from limner.core.spec import register
from limner.objectives.base import Game, Logits


@register
@dataclass(frozen=True)
class Minimax(Game):
    """The original zero-sum game (Goodfellow et al. 2014, eq. 1): weak gradients when the critic wins."""

    pairs = False

    def critic(self, real: Logits, fake: Logits) -> Logits:
        return softplus(-real) + softplus(fake)

    def generator(self, real: Logits, fake: Logits) -> Logits:
        return -softplus(fake)

    def confidence(self, real: Logits, fake: Logits) -> Logits:
        return real


@register
@dataclass(frozen=True)
class NonSaturating(Game):
    """The generator maximises log D instead (Goodfellow et al. 2014, section 3)."""

    pairs = False

    def critic(self, real: Logits, fake: Logits) -> Logits:
        return softplus(-real) + softplus(fake)

    def generator(self, real: Logits, fake: Logits) -> Logits:
        return softplus(-fake)

    def confidence(self, real: Logits, fake: Logits) -> Logits:
        return real


@register
@dataclass(frozen=True)
class LeastSquares(Game):
    """Squared error to 1 for real and 0 for fake (Mao et al. 2017, eq. 9)."""

    pairs = False

    def critic(self, real: Logits, fake: Logits) -> Logits:
        return ((real - 1).square() + fake.square()) / 2

    def generator(self, real: Logits, fake: Logits) -> Logits:
        return (fake - 1).square() / 2


@register
@dataclass(frozen=True)
class Hinge(Game):
    """Only logits inside the margin count (Lim & Ye 2017; Miyato et al. 2018, eq. 16–17)."""

    pairs = False

    def critic(self, real: Logits, fake: Logits) -> Logits:
        return relu(1 - real) + relu(1 + fake)

    def generator(self, real: Logits, fake: Logits) -> Logits:
        return -fake

    def confidence(self, real: Logits, fake: Logits) -> Logits:
        return real


@register
@dataclass(frozen=True)
class Wasserstein(Game):
    """Difference of means (Arjovsky et al. 2017, eq. 2); needs a Lipschitz critic: clip or penalise."""

    pairs = False

    def critic(self, real: Logits, fake: Logits) -> Logits:
        return fake - real

    def generator(self, real: Logits, fake: Logits) -> Logits:
        return -fake


@register
@dataclass(frozen=True)
class Relativistic(Game):
    """Each fake is judged against one real (Jolicoeur-Martineau 2019, RpGAN): no mode can be dropped for free."""

    def critic(self, real: Logits, fake: Logits) -> Logits:
        return softplus(fake - real)

    def generator(self, real: Logits, fake: Logits) -> Logits:
        return softplus(real - fake)
