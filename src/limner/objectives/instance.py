"""A GAN some of whose fakes are painted from the codes of the real pictures beside them, which they must resemble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limner.core.errors import UserError
from limner.core.moment import Moment
from limner.core.schedule import Schedule
from limner.core.spec import register
from limner.models.base import Model, Pictures
from limner.models.photo import PhotoEncoder, PhotoGenerator
from limner.objectives.base import Examples, Preparation, critic_of
from limner.objectives.gan import GAN

COARSE = 16
"""Side of the grid of mean colours that a picture and its reconstruction are compared on."""
GRAIN = 0.25
"""Weight of single pixels beside those means."""


@register
@dataclass(frozen=True)
class InstanceGAN(GAN):
    """Fakes are partly reconstructions, partly draws of the prior; all play the game (after Casanova et al. 2021).

    A reconstruction is paired with its own picture, in the game too, and both are augmented alike. It is compared with
    it in what the critic's judges see (Larsen et al. 2016), and in colours. The encoder is fitted before the first
    step and does not learn.

    game: the adversarial loss
    penalties: further terms of the critic's turn
    adversarial: weight of the game for the generator
    features: weight of the difference in the judges' views, in standard deviations
    pixels: weight of the difference in coarse colours, and a quarter of it in pixels
    coded: share of the fakes that are reconstructions; the others are draws of the prior
    scales: how many of the critic's judges reconstructions are compared by, from the last, which sees what is coarsest:
        fine grain that a code does not determine would only be averaged away
    """

    adversarial: Schedule = 1.0
    features: Schedule = 8.0
    pixels: Schedule = 10.0
    coded: float = 1.0
    scales: int = 2
    begins_small: ClassVar[bool] = False
    kinds: ClassVar[dict[str, type[Model]]] = {"generator": PhotoGenerator, "encoder": PhotoEncoder}
    fitted: ClassVar[tuple[str, ...]] = ("encoder",)

    def __post_init__(self) -> None:
        if not 0 <= self.coded <= 1:
            raise UserError(f"InstanceGAN: coded is a share, from 0 to 1, not {self.coded:g}; leave it out for 1")
        if self.scales < 1:
            raise UserError(f"InstanceGAN: scales is a number of judges, 1 or more, not {self.scales}")

    def generator_terms(self, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        """The game for all fakes, and the differences of those that are reconstructions: the first of the batch."""
        generator, encoder, critic = nets["generator"], nets["encoder"], critic_of(nets)
        assert isinstance(generator, PhotoGenerator) and isinstance(encoder, PhotoEncoder)
        x, n = batch.x, len(batch.x)
        coded = round(n * self.coded)
        with torch.no_grad():
            codes = encoder.code(x[:coded])
            if coded < n:
                told = None if batch.label is None else batch.label[coded:]
                drawn = generator.mapping(at.codes(generator.latent)[coded:], told)
                codes = torch.cat([codes, drawn])
        fake = generator.synthesis(codes)
        before = at.rng.get_state()
        with torch.no_grad():
            real_views = critic.views(at.seen(x))
        at.rng.set_state(before)  # the same augmentation for both of a pair
        fake_views = critic.views(at.seen(fake))
        game = self.play(critic, real_views, fake_views, batch.label, at)
        terms = {name: at(self.adversarial) * term for name, term in game.items()}
        if not coded:
            return terms
        seen = unlike([v[:coded] for v in real_views[-self.scales :]], [v[:coded] for v in fake_views[-self.scales :]])
        terms["features"] = at(self.features) * at_front(seen, n)
        return terms | {"pixels": at(self.pixels) * at_front(off_colour(x[:coded], fake[:coded]), n)}

    def prepare(self, nets: nn.ModuleDict, data: Preparation) -> None:
        """Axes of the codes, then the flow that makes them normal: the same one for the generator and the encoder."""
        super().prepare(nets, data)
        generator, encoder = nets["generator"], nets["encoder"]
        assert isinstance(generator, PhotoGenerator) and isinstance(encoder, PhotoEncoder)
        seen, labels = list[Tensor](), list[Tensor]()
        for batch in data.first(MOST):
            for x in (batch.x, batch.x.flip(3)):
                seen.append(encoder.columns(x))
                labels += [] if batch.label is None else [batch.label]
        columns = torch.cat(seen)
        encoder.fit_axes(columns, data.rng)
        encoder.flow.fit(encoder.of_columns(columns), torch.cat(labels) if labels else None, data.rng)
        generator.flow.load_state_dict(encoder.flow.state_dict())


MOST = 20_000
"""Training pictures from which axes and flow are computed."""


def at_front(term: Float[Tensor, " k"], n: int) -> Float[Tensor, " n"]:
    """A term of the first k of n rows as one of all, with the same mean."""
    return F.pad(term, (0, n - len(term))) * (n / len(term))


def unlike(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Float[Tensor, " n"]:
    """Mean absolute difference of views, in standard deviations of the real ones, summed over judges."""
    return torch.stack([(a - b).abs().flatten(1).mean(1) / a.std() for a, b in zip(real, fake, strict=True)]).sum(0)


def off_colour(x: Pictures, made: Pictures) -> Float[Tensor, " n"]:
    """Mean absolute difference of colours on a coarse grid, and a share of that of pixels."""
    coarse = F.adaptive_avg_pool2d(x, COARSE) - F.adaptive_avg_pool2d(made, COARSE)
    return coarse.abs().flatten(1).mean(1) + GRAIN * (x - made).abs().flatten(1).mean(1)
