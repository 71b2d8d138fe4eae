"""Boundary equilibrium GAN: an autoencoder critic whose weight on fakes holds both energies in a chosen proportion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.core import parallel
from limner.core.moment import Moment
from limner.core.spec import register
from limner.models.base import Model
from limner.models.energy import AutoencoderCritic
from limner.objectives.base import Examples, Objective, critic_of, generator_of
from limner.objectives.gan import GAN


@register
@dataclass(frozen=True)
class BEGAN(Objective):
    """Reconstruction errors of real and generated images in equilibrium (Berthelot et al. 2017, section 3.4).

    The critic's `balance` is the paper's k. The logged `critic/measure` is its measure of convergence (section 3.4.1).

    diversity: γ, error of generated over error of real images in equilibrium, 0 to 1: less is sharper and more alike
    speed: λ, how fast the balance moves
    """

    diversity: float = 0.5
    speed: float = 0.001
    players: ClassVar[dict[str, tuple[str, ...]]] = GAN.players
    kinds: ClassVar[dict[str, type[Model]]] = {"critic": AutoencoderCritic}

    def loss(self, turn: str, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        generator, critic = generator_of(nets), energy_of(nets)
        if turn == "generator":
            fake = generator(at.codes(generator.latent), batch.label)
            at.kept["fake"] = fake.detach()
            return {"energy": -critic(at.seen(fake), batch.label)}
        fake = at.kept.pop("fake", None)
        if fake is None:
            fake = generator(at.codes(generator.latent), batch.label).detach()
        real = -critic(at.seen(batch.x).detach(), batch.label)
        false = -critic(at.seen(fake).detach(), batch.label)
        terms = {"real": real, "fake": -critic.balance.clone() * false}
        at.notes["measure"] = self.steer(critic, real.detach(), false.detach())
        return terms

    @torch.no_grad()
    def steer(
        self, critic: AutoencoderCritic, real: Float[Tensor, " n"], fake: Float[Tensor, " n"]
    ) -> Float[Tensor, " n"]:
        """Move the balance towards equilibrium (eq. 5); returns the measure of convergence, the same for each image."""
        energies = torch.stack([real.mean(), fake.mean()])
        # Every process moves its own copy of the balance by what all of them saw.
        parallel.average([energies])
        surplus = self.diversity * energies[0] - energies[1]
        critic.balance.add_(self.speed * surplus).clamp_(0, 1)
        return (energies[0] + surplus.abs()).expand_as(real)


def energy_of(nets: nn.ModuleDict) -> AutoencoderCritic:
    """The critic, which is an autoencoder."""
    critic = critic_of(nets)
    assert isinstance(critic, AutoencoderCritic)
    return critic
