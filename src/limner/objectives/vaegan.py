"""All three roles: a variational autoencoder whose pictures are compared, and judged, by a critic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.core.moment import Moment
from limner.core.schedule import Schedule
from limner.core.spec import register
from limner.models.base import Critic, Model, Pictures
from limner.objectives.base import Examples, critic_of, encoder_of, generator_of
from limner.objectives.gan import GAN
from limner.objectives.likelihoods import Student
from limner.objectives.vae import insist_on_gaussian_codes, posterior


@register
@dataclass(frozen=True)
class VAEGAN(GAN):
    """A VAE's error is measured on the critic's features, and its pictures play the game too (Larsen et al. 2016).

    Fakes are half reconstructions, half samples of the prior; the game moves only the generator (algorithm 1).

    game: the adversarial loss
    penalties: further terms of the critic's turn
    adversarial: weight of the game for the generator, beside the nats of all features
    beta: weight of the code's nats
    pixels: weight of the pixels' nats, which the paper does without
    """

    adversarial: Schedule = 100.0
    beta: Schedule = 1.0
    pixels: Schedule = 0.0
    begins_small: ClassVar[bool] = False
    players: ClassVar[dict[str, tuple[str, ...]]] = {"autoencoder": ("encoder", "generator"), "critic": ("critic",)}

    def loss(self, turn: str, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        return self.autoencoder_terms(nets, batch, at) if turn == "autoencoder" else self.critic_terms(nets, batch, at)

    def autoencoder_terms(self, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        """The VAE's two terms, and the generator's side of the game; leaves its fakes for the critic."""
        generator, critic = generator_of(nets), critic_of(nets)
        q = posterior(encoder_of(nets), batch.x, batch.label)
        z = q.sample(at.normal(generator.latent.dim))
        made = generator(z, batch.label)
        terms = {"features": unlike(critic, batch.x, made), "code": at(self.beta) * q.kl()}
        if weight := at(self.pixels):
            terms["pixels"] = -weight * Student()(batch.x, made)
        # the game must not reach the encoder, which would otherwise hide what is hard to paint
        codes = torch.where(at.uniform(1) < 0.5, z.detach(), at.codes(generator.latent))
        game = self.deceive(nets, generator(codes, batch.label), batch, at)
        return terms | {name: at(self.adversarial) * term for name, term in game.items()}

    def check(self, nets: Mapping[str, Model]) -> None:
        insist_on_gaussian_codes("VAEGAN", nets)


def unlike(critic: Critic, x: Pictures, made: Pictures) -> Float[Tensor, " n"]:
    """Nats of a picture's features around those of its reconstruction (Larsen et al. 2016, eq. 7 and 8).

    The paper's noise has width 1. Here it is learned from each picture, since a critic's features have any scale.
    """
    with torch.no_grad():
        real = critic.features(x)
    return -Student()(real[:, :, None, None], critic.features(made)[:, :, None, None])
