"""What a model's latent space is: how to draw from it, how unlikely a point is, how to stay in it.

A latent maps n and a generator to (n, dim); `surprise` is in nats; `project` moves points back to
where the prior lives; `between` is the path that stays there; `posterior` is a belief about a code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import one_hot

from limner.core.errors import UserError
from limner.core.posterior import Choice, Posterior, Product
from limner.core.spec import register

Codes = Float[Tensor, "n d"]


@dataclass(frozen=True)
class Latent:
    """A prior over vectors of `dim` numbers."""

    dim: int

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise UserError(f"{type(self).__name__}(dim={self.dim}): a code needs a dim of 1 or more, such as 64")

    def sample(self, n: int, rng: torch.Generator) -> Codes:
        """n independent codes."""
        raise NotImplementedError

    def surprise(self, z: Codes) -> Float[Tensor, " n"]:
        """How far a code is from what the prior typically gives, in nats; 0 where it is typical."""
        raise NotImplementedError

    def project(self, z: Codes) -> Codes:
        """The nearest typical code."""
        raise NotImplementedError

    def allowed(self, z: Codes) -> Codes:
        """The nearest code that the prior can give at all, however rarely."""
        return z

    def log_density(self, z: Codes) -> Float[Tensor, " n"]:
        """Of a code that the prior can give, in nats, up to a constant. Raises UserError where there is none."""
        raise UserError(f"{type(self).__name__} codes have no density to move in; Gaussian, Sphere and Uniform have")

    def between(self, a: Codes, b: Codes, t: float) -> Codes:
        """The point a share `t` of the way from a to b."""
        return torch.lerp(a, b, t)

    def truncate(self, z: Codes, psi: float) -> Codes:
        """Codes moved towards the middle: psi 1 leaves them, 0 collapses them (Brock et al. 2019)."""
        return z * psi

    def entropy(self) -> float:
        """Of one code, in nats: of its density where it is continuous."""
        raise NotImplementedError

    @property
    def numbers(self) -> int:
        """How many numbers describe a belief about one code: here a mean and a log-variance each."""
        return 2 * self.dim

    def posterior(self, numbers: Float[Tensor, "n k"]) -> Posterior:
        """The belief that these numbers describe: here a diagonal Gaussian."""
        mean, logvar = numbers.chunk(2, dim=1)
        return Posterior(mean, logvar)


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

    def log_density(self, z: Codes) -> Float[Tensor, " n"]:
        return -z.square().sum(1) / 2

    def between(self, a: Codes, b: Codes, t: float) -> Codes:
        """Spherical direction (Shoemake 1985), linear radius: exact at both ends."""
        radius = torch.lerp(a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True), t)
        return radius * _slerp(_unit(a), _unit(b), t)

    def entropy(self) -> float:
        return self.dim * math.log(2 * math.pi * math.e) / 2


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

    def allowed(self, z: Codes) -> Codes:
        return self.project(z)

    def log_density(self, z: Codes) -> Float[Tensor, " n"]:
        return z.new_zeros(len(z))

    def between(self, a: Codes, b: Codes, t: float) -> Codes:
        return math.sqrt(self.dim) * _slerp(_unit(a), _unit(b), t)

    def truncate(self, z: Codes, psi: float) -> Codes:
        """Towards the north pole of the first axis, along the sphere."""
        pole = torch.zeros_like(z)
        pole[:, 0] = 1
        return math.sqrt(self.dim) * _slerp(pole, _unit(z), psi)

    def entropy(self) -> float:
        """The logarithm of the sphere's area: its density is one on the surface, not in space."""
        half = self.dim / 2
        return math.log(2) + half * math.log(math.pi) - math.lgamma(half) + (self.dim - 1) * math.log(self.dim) / 2


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

    def allowed(self, z: Codes) -> Codes:
        return self.project(z)

    def log_density(self, z: Codes) -> Float[Tensor, " n"]:
        return z.new_zeros(len(z))

    def entropy(self) -> float:
        return self.dim * math.log(2)


@register
@dataclass(frozen=True)
class Categorical(Latent):
    """One of `dim` equally likely categories, as a code of one number among zeros.

    dim: categories
    scale: that number; the larger it is, the more a category counts beside other parts of a code
    """

    dim: int = 10
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.scale <= 0:
            raise UserError(f"Categorical: scale is {self.scale:g}; give a number above 0, such as 1")

    def sample(self, n: int, rng: torch.Generator) -> Codes:
        return self.scale * one_hot(torch.randint(self.dim, (n,), generator=rng, device=rng.device), self.dim)

    def surprise(self, z: Codes) -> Float[Tensor, " n"]:
        """Squared distance to the nearest category."""
        return (z - self.project(z)).square().sum(1)

    def project(self, z: Codes) -> Codes:
        return (self.scale * one_hot(z.argmax(1), self.dim)).to(z)

    def allowed(self, z: Codes) -> Codes:
        return self.project(z)

    def truncate(self, z: Codes, psi: float) -> Codes:
        """The same codes: no category is nearer to the middle than another."""
        return z

    def entropy(self) -> float:
        return math.log(self.dim)

    @property
    def numbers(self) -> int:
        """A logit a category."""
        return self.dim

    def posterior(self, numbers: Float[Tensor, "n k"]) -> Posterior:
        return Choice.of(numbers, self.scale)


@register
@dataclass(frozen=True)
class Mixed(Latent):
    """Independent latents side by side in one code.

    parts: what they are, in order
    """

    dim: int = field(init=False, repr=False, default=0)
    parts: tuple[Latent, ...] = (Categorical(10), Uniform(2), Gaussian(62))

    def __post_init__(self) -> None:
        if not self.parts:
            raise UserError("Mixed has no parts; give some, for example Mixed([Categorical(10), Gaussian(64)])")
        object.__setattr__(self, "dim", sum(part.dim for part in self.parts))

    def sample(self, n: int, rng: torch.Generator) -> Codes:
        return torch.cat([part.sample(n, rng) for part in self.parts], 1)

    def surprise(self, z: Codes) -> Float[Tensor, " n"]:
        return torch.stack([part.surprise(own) for part, own in self._cut(z)]).sum(0)

    def project(self, z: Codes) -> Codes:
        return torch.cat([part.project(own) for part, own in self._cut(z)], 1)

    def allowed(self, z: Codes) -> Codes:
        return torch.cat([part.allowed(own) for part, own in self._cut(z)], 1)

    def log_density(self, z: Codes) -> Float[Tensor, " n"]:
        return torch.stack([part.log_density(own) for part, own in self._cut(z)]).sum(0)

    def between(self, a: Codes, b: Codes, t: float) -> Codes:
        pairs = zip(self._cut(a), self._cut(b), strict=True)
        return torch.cat([part.between(own, other, t) for (part, own), (_, other) in pairs], 1)

    def truncate(self, z: Codes, psi: float) -> Codes:
        return torch.cat([part.truncate(own, psi) for part, own in self._cut(z)], 1)

    def entropy(self) -> float:
        return sum(part.entropy() for part in self.parts)

    @property
    def numbers(self) -> int:
        """Those of the parts, in order."""
        return sum(part.numbers for part in self.parts)

    def posterior(self, numbers: Float[Tensor, "n k"]) -> Posterior:
        own = numbers.split([part.numbers for part in self.parts], dim=1)
        return Product.of(tuple(part.posterior(some) for part, some in zip(self.parts, own, strict=True)))

    def _cut(self, z: Codes) -> list[tuple[Latent, Float[Tensor, "n _"]]]:
        """Each part with its own numbers of a code."""
        return list(zip(self.parts, z.split([part.dim for part in self.parts], dim=1), strict=True))


def parts(latent: Latent) -> tuple[Latent, ...]:
    """What a code consists of: itself, unless it is mixed."""
    return latent.parts if isinstance(latent, Mixed) else (latent,)


@register
@dataclass(frozen=True)
class Sparse(Latent):
    """A few positive numbers, half-normal, at places drawn uniformly; 0 elsewhere.

    Raises UserError when a code would not be sparse.

    dim: numbers in a code
    active: how many of them are not 0
    """

    dim: int = 1024
    active: int = 32

    def __post_init__(self) -> None:
        if not 1 <= self.active < self.dim:
            most = f"active from 1 to {self.dim - 1}" if self.dim > 1 else "dim of 2 or more"
            raise UserError(f"Sparse(dim={self.dim}, active={self.active}): such a code is not sparse; give {most}")

    def sample(self, n: int, rng: torch.Generator) -> Codes:
        places = torch.rand(n, self.dim, generator=rng, device=rng.device).topk(self.active, dim=1).indices
        sizes = torch.randn(n, self.active, generator=rng, device=rng.device).abs()
        return torch.zeros(n, self.dim, device=rng.device).scatter(1, places, sizes)

    def surprise(self, z: Codes) -> Float[Tensor, " n"]:
        """As for a Gaussian of `active` numbers, and the squared distance to the nearest sparse code."""
        kept = self._keep(z)
        off = (z - kept).square().sum(1)
        return (kept.square().sum(1) - self.active).square() / (4 * self.active) + off

    def project(self, z: Codes) -> Codes:
        return math.sqrt(self.active) * _unit(self._keep(z))

    def allowed(self, z: Codes) -> Codes:
        """The `active` largest numbers where positive, as they are."""
        return self._keep(z)

    def between(self, a: Codes, b: Codes, t: float) -> Codes:
        """The largest numbers of the straight line, at a linear radius: as sparse as its ends."""
        radius = torch.lerp(a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True), t)
        return radius * _unit(self._keep(torch.lerp(a, b, t)))

    def entropy(self) -> float:
        """Of the places, and of a half-normal density for each size."""
        places = math.lgamma(self.dim + 1) - math.lgamma(self.active + 1) - math.lgamma(self.dim - self.active + 1)
        return places + self.active * math.log(math.pi * math.e / 2) / 2

    def _keep(self, z: Codes) -> Codes:
        """The `active` largest numbers where positive."""
        values, places = z.clamp_min(0).topk(self.active, dim=1)
        return torch.zeros_like(z).scatter(1, places, values)


def _unit(z: Tensor) -> Tensor:
    return z / z.norm(dim=1, keepdim=True).clamp_min(1e-12)


def _slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Between unit vectors; straight where they almost coincide or oppose."""
    angle = (a * b).sum(1, keepdim=True).clamp(-1, 1).acos()
    sine = angle.sin()
    arc = (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / sine.clamp_min(1e-6)
    return torch.where(sine > 1e-4, arc, torch.lerp(a, b, t))
