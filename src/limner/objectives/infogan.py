"""A generator some of whose code can be read off its pictures again.

The first parts of the generator's code are those of the encoder's latent; the rest is free noise. The encoder reads
them from generated pictures, and the generator is paid for being read: a lower bound on their mutual information.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.core.errors import UserError
from limner.core.latent import Mixed, parts
from limner.core.moment import Moment
from limner.core.schedule import Schedule
from limner.core.spec import register
from limner.models.base import Encoder, Generator, Model
from limner.objectives.base import Examples, encoder_of, generator_of
from limner.objectives.gan import GAN


@register
@dataclass(frozen=True)
class InfoGAN(GAN):
    """A GAN whose codes mean something, found without labels (Chen et al. 2016).

    game: the adversarial loss
    penalties: further terms of the critic's turn
    weights: λ of each part of the encoder's latent, numbers or curves; the last one holds for those that follow
    """

    weights: tuple[Schedule, ...] = (1.0, 0.1)
    players: ClassVar[dict[str, tuple[str, ...]]] = {"generator": ("generator", "encoder"), "critic": ("critic",)}

    def generator_terms(self, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        """The generator's side of the game, and the information it withholds; notes the bound in nats."""
        generator, encoder = generator_of(nets), encoder_of(nets)
        z = at.codes(generator.latent)
        fake = generator(z, batch.label)
        known = encoder(at.seen(fake), batch.label).each(z[:, : encoder.latent.dim])
        at.notes["information"] = known.detach().sum(1) + encoder.latent.entropy()
        return self.deceive(nets, fake, batch, at) | {"unread": -(known * self.factors(known, at)).sum(1)}

    def factors(self, known: Float[Tensor, "n parts"], at: Moment) -> Float[Tensor, " parts"]:
        """λ for each part, now."""
        given = self.weights + self.weights[-1:] * known.shape[1]
        return torch.tensor([at(weight) for weight in given[: known.shape[1]]], device=known.device)

    def check(self, nets: Mapping[str, Model]) -> None:
        generator, encoder = nets["generator"], nets["encoder"]
        assert isinstance(generator, Generator) and isinstance(encoder, Encoder)
        read, whole = parts(encoder.latent), parts(generator.latent)
        if whole[: len(read)] != read:
            told = read[0] if len(read) == 1 else Mixed(read)
            raise UserError(
                f"InfoGAN: the generator's code must begin with what the encoder reads, {told}; "
                f'-o "generator.latent=Mixed([{", ".join(map(str, read))}, Gaussian(62)])"'
            )
        if not self.weights:
            raise UserError('InfoGAN: weights is empty; give one for each part, for example -o "objective.weights=[1]"')


def bound(encoder: Encoder, generator: Generator, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """E log q(c|G(z)) + H(c) in nats, sample by sample (Chen et al. 2016, eq. 5): at most the mutual information."""
    return encoder(generator(z)).log_likelihood(z[:, : encoder.latent.dim]) + encoder.latent.entropy()
