"""What an encoder believes about a code, q(z|x): its moments, draws from it, nats.

A latent says how many numbers describe such a belief and makes it from them (`Latent.posterior`): a Gaussian about
what is continuous, a choice about what is a category, a product about a code of several parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Codes = Float[Tensor, "n d"]
Nats = Float[Tensor, " n"]


@dataclass(frozen=True)
class Posterior:
    """A diagonal Gaussian over codes; of any other belief, the first two moments."""

    mean: Codes
    logvar: Codes

    def sample(self, noise: Codes) -> Codes:
        """The code that standard normal noise is sent to (Kingma & Welling 2014, section 2.4)."""
        return self.mean + (self.logvar / 2).exp() * noise

    def kl(self) -> Nats:
        """Divergence from the standard normal in nats (Kingma & Welling 2014, appendix B)."""
        return (self.mean.square() + self.logvar.exp() - self.logvar - 1).sum(1) / 2

    def log_likelihood(self, z: Codes) -> Nats:
        """log q(z|x) in nats: a density where z is continuous."""
        squares = (z - self.mean).square() * (-self.logvar).exp()
        return -(squares + self.logvar + math.log(2 * math.pi)).sum(1) / 2

    def each(self, z: Codes) -> Float[Tensor, "n parts"]:
        """The log-likelihood of each part of a code."""
        return self.log_likelihood(z)[:, None]


@dataclass(frozen=True)
class Choice(Posterior):
    """One of d categories, as a code of one `scale` among zeros; its mean is scale times the probabilities."""

    logp: Codes
    scale: float

    @classmethod
    def of(cls, logits: Codes, scale: float = 1.0) -> Choice:
        """From numbers of any size (n, d)."""
        logp = logits.float().log_softmax(1)
        # log(1 - p) is -inf where p is 1
        spread = logp + torch.log1p(-logp.exp().clamp_max(1 - 1e-6))
        return cls(scale * logp.exp(), spread + 2 * math.log(scale), logp, scale)

    def sample(self, noise: Codes) -> Codes:
        """A category's code, by the largest of logp + Gumbel noise; gradients pass as through the mean.

        Standard normal noise becomes Gumbel noise through both distribution functions.
        """
        gumbel = -(-torch.special.log_ndtr(noise.float())).clamp_min(1e-30).log()
        one = torch.nn.functional.one_hot((self.logp + gumbel).argmax(1), self.logp.shape[1])
        return self.scale * one + self.mean - self.mean.detach()

    def kl(self) -> Nats:
        """Divergence from equally likely categories in nats."""
        return math.log(self.logp.shape[1]) + (self.logp.exp() * self.logp).sum(1)

    def log_likelihood(self, z: Codes) -> Nats:
        return (z * self.logp).sum(1) / self.scale


@dataclass(frozen=True)
class Product(Posterior):
    """Independent beliefs about the parts of a code."""

    parts: tuple[Posterior, ...]

    @classmethod
    def of(cls, parts: tuple[Posterior, ...]) -> Product:
        """Of beliefs about parts that lie side by side in a code."""
        return cls(torch.cat([p.mean for p in parts], 1), torch.cat([p.logvar for p in parts], 1), parts)

    def sample(self, noise: Codes) -> Codes:
        return torch.cat([p.sample(own) for p, own in zip(self.parts, self._cut(noise), strict=True)], 1)

    def kl(self) -> Nats:
        return torch.stack([p.kl() for p in self.parts]).sum(0)

    def log_likelihood(self, z: Codes) -> Nats:
        return self.each(z).sum(1)

    def each(self, z: Codes) -> Float[Tensor, "n parts"]:
        own = zip(self.parts, self._cut(z), strict=True)
        return torch.stack([part.log_likelihood(codes) for part, codes in own], 1)

    def _cut(self, z: Codes) -> tuple[Float[Tensor, "n _"], ...]:
        return z.split([p.mean.shape[1] for p in self.parts], dim=1)
