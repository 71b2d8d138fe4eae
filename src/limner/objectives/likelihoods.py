"""How likely a picture is, given what the generator makes: log p(x | G(z)) in nats, one value a kind.

Pictures and what is made are in [-1, 1]; densities are per number of that range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from limner.core.errors import UserError
from limner.core.moment import Moment
from limner.core.spec import register
from limner.models.base import Pictures


class Likelihood:
    """log p(x | made), (n, c, h, w), (n, c, h, w) → (n,) nats."""

    def __call__(self, x: Pictures, made: Pictures) -> Float[Tensor, " n"]:
        """The logarithm of the density, or probability, of each picture."""
        raise NotImplementedError

    def observe(self, x: Pictures, at: Moment) -> Pictures:
        """What of the pictures is modelled, which is also what the encoder is shown."""
        return x


@register
@dataclass(frozen=True)
class Bernoulli(Likelihood):
    """Black or white pixels: what is made, from -1 to 1, is the probability of white, from 0 to 1.

    drawn: whether greys are drawn black or white anew each time (dynamic binarisation), or taken as probabilities
    """

    drawn: bool = True

    def observe(self, x: Pictures, at: Moment) -> Pictures:
        return torch.where(at.uniform(*x.shape[1:]) < (x + 1) / 2, 1.0, -1.0) if self.drawn else x

    def __call__(self, x: Pictures, made: Pictures) -> Float[Tensor, " n"]:
        """With made = tanh(a), these are the log-sigmoids of ±2a; nothing is lost until tanh rounds to ±1."""
        if made.dtype in (torch.bfloat16, torch.float16):
            raise UserError("Bernoulli needs probabilities in full precision; use -o precision=fp32")
        white, black = ((1 + sign * made).clamp_min(1e-7).log() - math.log(2) for sign in (1, -1))
        return torch.lerp(black, white, (x + 1) / 2).flatten(1).sum(1)


@register
@dataclass(frozen=True)
class Normal(Likelihood):
    """Gaussian noise of a known width on each number.

    sigma: standard deviation, in the [-1, 1] range
    """

    sigma: float = 0.1

    def __call__(self, x: Pictures, made: Pictures) -> Float[Tensor, " n"]:
        error = ((x - made).float() / self.sigma).square().flatten(1)
        return -(error.sum(1) + error.shape[1] * math.log(2 * math.pi * self.sigma**2)) / 2


@register
@dataclass(frozen=True)
class Student(Likelihood):
    """Gaussian noise of a width that is not known but learned from each picture: the width is integrated out.

    A multivariate t: sigma²/width² is gamma distributed around 1, a priori. No weight has to be tuned against the nats
    of the code, as in the calibrated decoders of Rybkin et al. (2021).

    sigma: typical standard deviation, in the [-1, 1] range
    freedom: how sure that is, in numbers seen; against the thousands of a picture, 1 is next to nothing
    """

    sigma: float = 0.1
    freedom: float = 1.0

    def __call__(self, x: Pictures, made: Pictures) -> Float[Tensor, " n"]:
        error = ((x - made).float() / self.sigma).square().flatten(1)
        nu, d = self.freedom, error.shape[1]
        scale = math.lgamma((nu + d) / 2) - math.lgamma(nu / 2) - d / 2 * math.log(nu * math.pi * self.sigma**2)
        return scale - (nu + d) / 2 * (error.sum(1) / nu).log1p()


@register
@dataclass(frozen=True)
class DiscretisedLogistic(Likelihood):
    """The probability of the byte itself: the mass of a logistic around what is made (Kingma et al. 2016, eq. 24).

    scale: of the logistic, in the [-1, 1] range; its standard deviation is 1.8 times that
    levels: of grey between black and white
    """

    scale: float = 0.03
    levels: int = 256

    def __call__(self, x: Pictures, made: Pictures) -> Float[Tensor, " n"]:
        half = 1 / (self.levels - 1)
        upper, lower = (x - made.float() + half) / self.scale, (x - made.float() - half) / self.scale
        # sigmoid(u) - sigmoid(l) = sigmoid(u) sigmoid(-l) (1 - exp(l - u)), and u - l is the same everywhere
        inside = F.logsigmoid(upper) + F.logsigmoid(-lower) + math.log(-math.expm1(-2 * half / self.scale))
        above = torch.where(x < -1 + half, F.logsigmoid(upper), inside)
        return torch.where(x > 1 - half, F.logsigmoid(-lower), above).flatten(1).sum(1)
