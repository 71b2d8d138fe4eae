"""Codes of whole numbers on a grid of places, for compression: a latent, and what an encoder says before rounding."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

from limner.core.latent import Codes, Latent
from limner.core.posterior import Posterior
from limner.core.spec import register


@register
@dataclass(frozen=True)
class Quantised(Latent):
    """Whole numbers, many of them 0: `channels` at each place of a grid.

    Its own draws are rounded Laplace variables of scale 1; how likely codes of pictures are is for a CodePrior to say.

    channels: numbers at a place
    height: of the grid, in places
    width: of the grid, in places
    """

    dim: int = field(init=False, repr=False, default=0)
    channels: int = 64
    height: int = 4
    width: int = 4

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", self.channels * self.height * self.width)

    def sample(self, n: int, rng: torch.Generator) -> Codes:
        draws = torch.empty(2, n, self.dim, device=rng.device).exponential_(generator=rng)
        return (draws[0] - draws[1]).round()

    def surprise(self, z: Codes) -> torch.Tensor:
        """Squared distance to whole numbers."""
        return (z - self.project(z)).square().sum(1)

    def project(self, z: Codes) -> Codes:
        return z.round()

    def entropy(self) -> float:
        ratio, zero = math.exp(-1), 1 - math.exp(-0.5)
        # of a rounded Laplace variable: zero or not, the sign, a geometric size
        return self.dim * (
            -zero * math.log(zero)
            - (1 - zero) * math.log((1 - zero) * (1 - ratio) / 2)
            + (1 - zero) * ratio / (1 - ratio)
        )


@dataclass(frozen=True)
class Rounded(Posterior):
    """One code of whole numbers, and what they were rounded from; gradients pass as if they were not."""

    exact: Codes

    @classmethod
    def of(cls, exact: Codes) -> Rounded:
        """The whole numbers nearest to `exact`."""
        return cls(straight(exact), torch.full_like(exact, math.log(1 / 12)), exact)

    def sample(self, noise: Codes) -> Codes:
        """The code itself."""
        return self.mean


def straight(x: torch.Tensor) -> torch.Tensor:
    """Rounded, with the gradient of the identity (Bengio et al. 2013; Theis et al. 2017)."""
    return x + (x.round() - x).detach()
