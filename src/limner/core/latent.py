"""What a model's latent space is: how to draw from it, how unlikely a point is, how to stay in it.

A latent maps n and a generator to (n, dim); `surprise` is in nats; `project` moves points back to
where the prior lives; `between` is the path that stays there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.spec import register

Codes = Float[Tensor, "n d"]


@dataclass(frozen=True)
class Latent:
    """A prior over vectors of `dim` numbers."""

    dim: int

    def sample(self, n: int, rng: torch.Generator) -> Codes:
        """n independent codes."""
        raise NotImplementedError

    def surprise(self, z: Codes) -> Float[Tensor, " n"]:
        """How far a code is from what the prior typically gives, in nats; 0 where it is typical."""
        raise NotImplementedError

    def project(self, z: Codes) -> Codes:
        """The nearest typical code."""
        raise NotImplementedError

    def between(self, a: Codes, b: Codes, t: float) -> Codes:
        """The point a share `t` of the way from a to b."""
        return torch.lerp(a, b, t)

    def truncate(self, z: Codes, psi: float) -> Codes:
        """Codes moved towards the middle: psi 1 leaves them, 0 collapses them (Brock et al. 2019)."""
        return z * psi


@register
@dataclass(frozen=True)
class Gaussian(Latent):
    """Standard normal.

    dim: numbers in a code
    """

    dim: int = 64

    def sample(self, n: int, rng: torch.Generator) -> Codes:
        return torch.randn(n, self.dim, generator=rng, device=rng.device)

    def surprise(self, z: Codes) -> Float[Tensor, " n"]:
        """Squared radius against its mean `dim` and variance `2 dim`, as half a squared z-score."""
        return (z.square().sum(1) - self.dim).square() / (4 * self.dim)

    def project(self, z: Codes) -> Codes:
        return z * (math.sqrt(self.dim) / z.norm(dim=1, keepdim=True).clamp_min(1e-12))

    def between(self, a: Codes, b: Codes, t: float) -> Codes:
        """Spherical direction (Shoemake 1985), linear radius: exact at both ends."""
        radius = torch.lerp(a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True), t)
        return radius * _slerp(_unit(a), _unit(b), t)


@register
@dataclass(frozen=True)
class Sphere(Latent):
    """Uniform on the sphere of radius √dim, where a wide Gaussian lives anyway.

    dim: numbers in a code
    """

    dim: int = 64

    def sample(self, n: int, rng: torch.Generator) -> Codes:
        return self.project(torch.randn(n, self.dim, generator=rng, device=rng.device))

    def surprise(self, z: Codes) -> Float[Tensor, " n"]:
        return (z.square().sum(1) - self.dim).square() / (4 * self.dim)

    def project(self, z: Codes) -> Codes:
        return math.sqrt(self.dim) * _unit(z)

    def between(self, a: Codes, b: Codes, t: float) -> Codes:
        return math.sqrt(self.dim) * _slerp(_unit(a), _unit(b), t)

    def truncate(self, z: Codes, psi: float) -> Codes:
        """Towards the north pole of the first axis, along the sphere."""
        pole = torch.zeros_like(z)
        pole[:, 0] = 1
        return math.sqrt(self.dim) * _slerp(pole, _unit(z), psi)


@register
@dataclass(frozen=True)
class Uniform(Latent):
    """Uniform on the cube [-1, 1]^dim.

    dim: numbers in a code
    """

    dim: int = 64

    def sample(self, n: int, rng: torch.Generator) -> Codes:
        return 2 * torch.rand(n, self.dim, generator=rng, device=rng.device) - 1

    def surprise(self, z: Codes) -> Float[Tensor, " n"]:
        """Squared distance to the cube."""
        return (z - self.project(z)).square().sum(1)

    def project(self, z: Codes) -> Codes:
        return z.clamp(-1, 1)


def _unit(z: Tensor) -> Tensor:
    return z / z.norm(dim=1, keepdim=True).clamp_min(1e-12)


def _slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Between unit vectors; straight where they almost coincide or oppose."""
    angle = (a * b).sum(1, keepdim=True).clamp(-1, 1).acos()
    sine = angle.sin()
    arc = (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / sine.clamp_min(1e-6)
    return torch.where(sine > 1e-4, arc, torch.lerp(a, b, t))
