"""Variational autoencoders: any likelihood, a weight on the nats of the code, one or several samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from limner.core.errors import UserError
from limner.core.latent import Gaussian
from limner.core.moment import Moment
from limner.core.posterior import Posterior
from limner.core.schedule import Schedule
from limner.core.spec import register
from limner.models.base import Encoder, Generator, Labels, Model, Pictures
from limner.objectives.base import Examples, Objective, encoder_of, generator_of, insist_on_one_latent
from limner.objectives.likelihoods import Bernoulli, Likelihood


@register
@dataclass(frozen=True)
class VAE(Objective):
    """A lower bound on log p(x) is made large (Kingma & Welling 2014, eq. 10; Burda et al. 2016, eq. 8).

    likelihood: of a picture, given what the generator makes
    beta: weight of the code's nats; a curve from 0 is a warm-up, more than 1 a β-VAE (Higgins et al. 2017)
    samples: codes drawn for a picture; more than one make the importance-weighted bound, which is tighter
    """

    likelihood: Likelihood = Bernoulli()
    beta: Schedule = 1.0
    samples: int = 1
    players: ClassVar[dict[str, tuple[str, ...]]] = {"autoencoder": ("encoder", "generator")}

    def loss(self, turn: str, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        encoder, generator = encoder_of(nets), generator_of(nets)
        x = self.likelihood.observe(batch.x, at)
        noise = at.normal(self.samples, generator.latent.dim)
        if self.samples > 1:
            weights = self.log_weights(encoder, generator, x, noise, batch.label, at(self.beta))
            return {"bound": math.log(self.samples) - weights.logsumexp(1)}
        q = posterior(encoder, x, batch.label)
        made = generator(q.sample(noise[:, 0]), batch.label)
        return {"picture": -self.likelihood(x, made), "code": at(self.beta) * q.kl()}

    def check(self, nets: Mapping[str, Model]) -> None:
        if self.samples < 1:
            raise UserError(f"VAE: samples={self.samples} leaves no bound; use -o objective.samples=1, or more")
        insist_on_gaussian_codes("VAE", nets)

    def log_weights(
        self,
        encoder: Encoder,
        generator: Generator,
        x: Pictures,
        noise: Float[Tensor, "n k d"],
        label: Labels | None = None,
        beta: float = 1.0,
    ) -> Float[Tensor, "n k"]:
        """Logarithms of p(x, z) / q(z | x) in nats, at the codes that standard normal noise is sent to.

        The mean of the k ratios estimates p(x) without bias; its logarithm is a bound that rises with k.
        """
        q, k = posterior(encoder, x, label), noise.shape[1]
        z = q.mean[:, None] + (q.logvar / 2).exp()[:, None] * noise
        told = None if label is None else label.repeat_interleave(k, 0)
        made = generator(z.flatten(0, 1), told)
        picture = self.likelihood(x.repeat_interleave(k, 0), made).view(-1, k)
        # log N(z; 0, 1) - log N(z; mean, var)
        code = (noise.square() + q.logvar[:, None] - z.square()).sum(2) / 2
        return picture + beta * code


def insist_on_gaussian_codes(name: str, nets: Mapping[str, Model]) -> None:
    """Raise UserError unless there is one kind of code, and it is standard normal, as its nats are counted."""
    insist_on_one_latent(name, nets)
    latent = getattr(nets["generator"], "latent", None)
    if not isinstance(latent, Gaussian):
        told = f"Gaussian({getattr(latent, 'dim', 64)})"
        raise UserError(
            f"{name}: the code must be Gaussian, not {latent}; type -o encoder.latent={told} -o generator.latent={told}"
        )


def posterior(encoder: Encoder, x: Pictures, label: Labels | None) -> Posterior:
    """q(z | x) in full precision: its nats are sums of small differences."""
    q = encoder(x, label)
    return Posterior(q.mean.float(), q.logvar.float())
