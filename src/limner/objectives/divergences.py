"""f-divergences D_f(P‖Q) = E_Q f(p/q), each with what a critic needs to estimate it (Nowozin et al. 2016, tables 1–2).

A critic's logit v is sent to T = g(v), a value that the conjugate f* accepts. E_P T - E_Q f*(T) is never more than
D_f, and equal to it where T = f'(p/q): so the best critic knows the density ratio p/q, and `ratio` reads it off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from limner.core.spec import register

Numbers = Float[Tensor, " n"]

CAP = 10.0
"""Exponent up to which an exponential is one. Ratios beyond e¹⁰ are met only where one density is nearly zero."""


def tame_exp(t: Numbers) -> Numbers:
    """eᵗ, and its tangent from CAP on.

    A young critic's logits are anything, and float32 ends at e⁸⁸. Going on straight keeps the loss convex, hence its
    minimum where it was for every ratio below e¹⁰, and the gradient constant instead of infinite or cut to zero.
    """
    low = t.clamp(max=CAP)
    return low.exp() * (1 + t - low)


@dataclass(frozen=True)
class Divergence:
    """A convex f with f(1) = 0, its conjugate f*(t) = sup (ut - f(u)), and the way from a logit to T."""

    supremum: ClassVar[float] = math.inf
    """Where the domain of f* ends."""

    def f(self, u: Numbers) -> Numbers:
        """f at density ratios u > 0."""
        raise NotImplementedError

    def conjugate(self, t: Numbers) -> Numbers:
        """f*(t) for t below `supremum`."""
        raise NotImplementedError

    def activation(self, v: Numbers) -> Numbers:
        """T = g(v): logits into the domain of f*, increasing."""
        raise NotImplementedError

    def cost(self, v: Numbers) -> Numbers:
        """f*(g(v)), written so that large logits stay finite."""
        raise NotImplementedError

    def ratio(self, v: Numbers) -> Numbers:
        """The density ratio that a best critic with logit v has found: the derivative of f* at g(v)."""
        raise NotImplementedError

    def logit(self, w: Numbers) -> Numbers:
        """The inverse, of the logarithm w of a ratio: T = f'(eʷ)."""
        raise NotImplementedError

    def slope(self, u: Numbers) -> Numbers:
        """f'(u)."""
        return self.activation(self.logit(u.log()))


@register
@dataclass(frozen=True)
class ForwardKL(Divergence):
    """Kullback–Leibler, f = u log u: Q must put mass wherever P does."""

    def f(self, u: Numbers) -> Numbers:
        return u * u.log()

    def conjugate(self, t: Numbers) -> Numbers:
        return (t - 1).exp()

    def activation(self, v: Numbers) -> Numbers:
        return v

    def cost(self, v: Numbers) -> Numbers:
        return tame_exp(v - 1)

    def ratio(self, v: Numbers) -> Numbers:
        return (v - 1).exp()

    def logit(self, w: Numbers) -> Numbers:
        return w + 1


@register
@dataclass(frozen=True)
class ReverseKL(Divergence):
    """Kullback–Leibler the other way round, f = -log u: Q may put mass only where P does."""

    supremum = 0.0

    def f(self, u: Numbers) -> Numbers:
        return -u.log()

    def conjugate(self, t: Numbers) -> Numbers:
        return -1 - (-t).log()

    def activation(self, v: Numbers) -> Numbers:
        return -tame_exp(-v)

    def cost(self, v: Numbers) -> Numbers:
        return v - 1

    def ratio(self, v: Numbers) -> Numbers:
        return v.exp()

    def logit(self, w: Numbers) -> Numbers:
        return w


@register
@dataclass(frozen=True)
class Pearson(Divergence):
    """Pearson χ², f = (u - 1)²: large ratios count most; nothing is exponential."""

    def f(self, u: Numbers) -> Numbers:
        return (u - 1).square()

    def conjugate(self, t: Numbers) -> Numbers:
        return t.square() / 4 + t

    def activation(self, v: Numbers) -> Numbers:
        return v

    def cost(self, v: Numbers) -> Numbers:
        return v.square() / 4 + v

    def ratio(self, v: Numbers) -> Numbers:
        return 1 + v / 2

    def logit(self, w: Numbers) -> Numbers:
        return 2 * (tame_exp(w) - 1)


@register
@dataclass(frozen=True)
class Neyman(Divergence):
    """Neyman χ², f = (1 - u)² / u: small ratios count most."""

    supremum = 1.0

    def f(self, u: Numbers) -> Numbers:
        return (1 - u).square() / u

    def conjugate(self, t: Numbers) -> Numbers:
        return 2 - 2 * (1 - t).sqrt()

    def activation(self, v: Numbers) -> Numbers:
        return 1 - tame_exp(-v)

    def cost(self, v: Numbers) -> Numbers:
        # Concave, so its tangent would outrun the activation's: from where that is straight, this is flat.
        return 2 - 2 * (-v / 2).clamp(max=CAP / 2).exp()

    def ratio(self, v: Numbers) -> Numbers:
        return (v / 2).exp()

    def logit(self, w: Numbers) -> Numbers:
        return 2 * w


@register
@dataclass(frozen=True)
class SquaredHellinger(Divergence):
    """Squared Hellinger distance, f = (√u - 1)²: symmetric and at most 2."""

    supremum = 1.0

    def f(self, u: Numbers) -> Numbers:
        return (u.sqrt() - 1).square()

    def conjugate(self, t: Numbers) -> Numbers:
        return t / (1 - t)

    def activation(self, v: Numbers) -> Numbers:
        return 1 - tame_exp(-v)

    def cost(self, v: Numbers) -> Numbers:
        return tame_exp(v) - 1

    def ratio(self, v: Numbers) -> Numbers:
        return (2 * v).exp()

    def logit(self, w: Numbers) -> Numbers:
        return w / 2


@register
@dataclass(frozen=True)
class JensenShannon(Divergence):
    """Twice the Jensen–Shannon divergence, f = u log u - (u + 1) log((u + 1) / 2): symmetric, at most log 4."""

    supremum = math.log(2)

    def f(self, u: Numbers) -> Numbers:
        return u * u.log() - (u + 1) * ((u + 1) / 2).log()

    def conjugate(self, t: Numbers) -> Numbers:
        return -(2 - t.exp()).log()

    def activation(self, v: Numbers) -> Numbers:
        return math.log(2) - softplus(-v)

    def cost(self, v: Numbers) -> Numbers:
        return softplus(v) - math.log(2)

    def ratio(self, v: Numbers) -> Numbers:
        return v.exp()

    def logit(self, w: Numbers) -> Numbers:
        return w


@register
@dataclass(frozen=True)
class ImportanceFitting(Divergence):
    """Least squares of the density ratio itself, f = (u - 1)² / 2 (Kanamori et al. 2009): the logit is p/q - 1."""

    def f(self, u: Numbers) -> Numbers:
        return (u - 1).square() / 2

    def conjugate(self, t: Numbers) -> Numbers:
        return t.square() / 2 + t

    def activation(self, v: Numbers) -> Numbers:
        return v

    def cost(self, v: Numbers) -> Numbers:
        return v.square() / 2 + v

    def ratio(self, v: Numbers) -> Numbers:
        return 1 + v

    def logit(self, w: Numbers) -> Numbers:
        return tame_exp(w) - 1
