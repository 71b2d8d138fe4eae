"""A generator some of whose code can be read off its pictures again.

The first parts of the generator's code are those of the encoder's latent; the rest is free noise. The encoder reads
them from generated pictures, and the generator is paid for being read: a lower bound on their mutual information.
Categories can be learned from real pictures besides: all used, sure, and the same for a picture and its distortion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.augments.affine import Affine
from limner.augments.base import Augment
from limner.core import parallel
from limner.core.errors import UserError
from limner.core.latent import Mixed, parts
from limner.core.moment import Moment
from limner.core.posterior import Choice, Posterior, Product
from limner.core.schedule import Schedule
from limner.core.spec import register
from limner.models.base import Encoder, Generator, Model
from limner.objectives.base import Examples, encoder_of, generator_of
from limner.objectives.gan import GAN

SHARE = 0.1
"""Weight of being sorted at all beside being sorted alike (Hu et al. 2017, section 4.1)."""


@register
@dataclass(frozen=True)
class InfoGAN(GAN):
    """A GAN whose codes mean something, found without labels (Chen et al. 2016).

    game: the adversarial loss
    penalties: further terms of the critic's turn
    weights: λ of each part of the encoder's latent, numbers or curves; the last one holds for those that follow
    enough: nats of each part that the generator is paid for; a density has no limit of its own
    sorting: weight of what sorts real pictures into the categories, a number or a curve; 0 for the paper's InfoGAN
    even: how much more using all categories weighs in that than being sure, a number or a curve
    kin: a change of a picture that leaves its category what it is
    """

    weights: tuple[Schedule, ...] = (1.0, 0.1)
    enough: float = 2.0
    sorting: Schedule = 0.0
    even: Schedule = 4.0
    kin: Augment = Affine(turn=15.0, shift=0.08, scale=0.15, slant=0.3)
    begins_small: ClassVar[bool] = False
    players: ClassVar[dict[str, tuple[str, ...]]] = {"generator": ("generator", "encoder"), "critic": ("critic",)}

    def generator_terms(self, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        """The generator's side of the game, and the information it withholds; notes the bound in nats."""
        generator, encoder = generator_of(nets), encoder_of(nets)
        z = at.codes(generator.latent)
        fake = generator(z, batch.label)
        known = encoder(at.seen(fake), batch.label).each(z[:, : encoder.latent.dim])
        at.notes["information"] = known.detach().sum(1) + encoder.latent.entropy()
        columns = zip(known.clamp_max(self.enough).unbind(1), self.factors(known, at), strict=True)
        paid = torch.stack([column * factor for column, factor in columns], 1)
        terms = self.deceive(nets, fake, batch, at) | {"unread": -paid.sum(1)}
        if weight := at(self.sorting):
            terms["unsorted"] = weight * self.disorder(encoder, batch, at)
        return terms

    def disorder(self, encoder: Encoder, batch: Examples, at: Moment) -> Float[Tensor, " n"]:
        """How far the encoder is from sorting the real pictures, summed over the code's categories."""
        label = None if batch.label is None else torch.cat([batch.label, batch.label])
        belief = encoder(torch.cat([batch.x, self.kin(batch.x, at)]), label)
        terms = torch.zeros(len(batch.x), device=batch.x.device)
        for logp in choices(belief):
            own, moved = logp.chunk(2)
            terms = terms + unsorted(own, moved, at(self.even))
        return terms

    def factors(self, known: Float[Tensor, "n parts"], at: Moment) -> list[float]:
        """λ for each part, now; numbers, because a tensor of them would have to be copied to a GPU in every step."""
        given = self.weights + self.weights[-1:] * known.shape[1]
        return [at(weight) for weight in given[: known.shape[1]]]

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


def unsorted(logp: Float[Tensor, "n k"], moved: Float[Tensor, "n k"], even: float) -> Float[Tensor, " n"]:
    """How far real pictures are from being sorted, each as its distortion is (Hu et al. 2017, eq. 9 and 10).

    Cross-entropy of a distorted picture's belief with the picture's own, less a tenth of even · H(c) - H(c|x). H(c)
    is no sum over pictures; but -p·log p̄, the mean belief p̄ held fixed, has its value and slope, over all processes.
    """
    p = logp.exp()
    mean = p.detach().mean(0)
    parallel.average([mean])
    unlike, unsure, uneven = -(p.detach() * moved).sum(1), -(p * logp).sum(1), (p * mean.clamp_min(1e-8).log()).sum(1)
    return unlike + SHARE * (unsure + even * uneven)


def choices(belief: Posterior) -> list[Float[Tensor, "n k"]]:
    """The log-probabilities of each category among the parts of a belief."""
    each = belief.parts if isinstance(belief, Product) else (belief,)
    return [part.logp for part in each if isinstance(part, Choice)]


def bound(encoder: Encoder, generator: Generator, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """E log q(c|G(z)) + H(c) in nats, sample by sample (Chen et al. 2016, eq. 5): at most the mutual information."""
    return encoder(generator(z)).log_likelihood(z[:, : encoder.latent.dim]) + encoder.latent.entropy()
