"""What is climbed in: codes, styles or pixels. A space has a prior, and turns points into pictures.

A sparse code is the code of a model whose latent is Sparse: its points are kept sparse, as its prior has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.errors import UserError
from limner.core.latent import Codes, Latent
from limner.core.pixels import Image
from limner.core.posterior import Posterior
from limner.core.rng import generator as random_of
from limner.explore.ascents import Points
from limner.goals.base import Scene
from limner.models.base import Encoder, Generator, Labels, Pictures

Hold = Literal["free", "allowed", "typical"]
How = Literal["prior", "encoder", "mean"]
STYLES = 2_000
"""Styles that their mean and spread are measured on."""
NEAR_MEAN = 0.25
"""How far from the middle further starts `mean` are, as a truncation."""


@runtime_checkable
class Styled(Protocol):
    """A generator with a space of styles between codes and pictures."""

    def mapping(self, z: Codes, label: Labels | None = None) -> Points:
        """Codes → styles."""
        ...

    def synthesis(self, w: Points) -> Pictures:
        """Styles → pictures."""
        ...


@dataclass(frozen=True)
class Space:
    """Points (n, d), their prior, and the pictures they stand for."""

    name: str
    latent: Latent
    image: Image
    scene: Scene

    def decode(self, z: Points, label: Labels | None = None) -> Pictures:
        """Points → pictures."""
        if self.name == "z":
            return self.scene.generator(z, label)
        if self.name == "w":
            return cast(Styled, self.scene.generator).synthesis(z)
        return z.view(-1, self.image.channels, self.image.height, self.image.width)

    def of_codes(self, z: Codes, label: Labels | None = None) -> Points:
        """The points that codes stand for."""
        return cast(Styled, self.scene.generator).mapping(z, label) if self.name == "w" else z

    def hold(self, z: Points, how: Hold) -> Points:
        """Points moved to where the prior has them: nowhere, to what it can give, to what it typically gives."""
        return z if how == "free" else self.latent.allowed(z) if how == "allowed" else self.latent.project(z)


@dataclass(frozen=True)
class PixelPrior(Latent):
    """Any picture in [-1, 1], all alike likely; it starts as faint noise, so that what a goal paints is seen."""

    dim: int
    noise: float = 0.1

    def sample(self, n: int, rng: torch.Generator) -> Codes:
        return self.noise * torch.randn(n, self.dim, generator=rng, device=rng.device)

    def surprise(self, z: Codes) -> Float[Tensor, " n"]:
        return (z - z.clamp(-1, 1)).square().sum(1)

    def project(self, z: Codes) -> Codes:
        return z.clamp(-1, 1)

    def allowed(self, z: Codes) -> Codes:
        return z.clamp(-1, 1)

    def log_density(self, z: Codes) -> Float[Tensor, " n"]:
        return z.new_zeros(len(z))


@dataclass(frozen=True, eq=False)
class StylePrior(Latent):
    """Styles as a mapping network spreads them: normal about their mean, each number by itself."""

    dim: int
    middle: Tensor
    spread: Tensor

    def sample(self, n: int, rng: torch.Generator) -> Codes:
        noise = torch.randn(n, self.dim, generator=rng, device=rng.device)
        return self.middle + self.spread * noise.to(self.middle)

    def surprise(self, z: Codes) -> Float[Tensor, " n"]:
        score = ((z - self.middle) / self.spread).square().sum(1)
        return (score - self.dim).square() / (4 * self.dim)

    def project(self, z: Codes) -> Codes:
        return self.middle + (z - self.middle) * (self.dim / _squares(self, z)).sqrt().clamp_max(1)

    def log_density(self, z: Codes) -> Float[Tensor, " n"]:
        return -_squares(self, z)[:, 0] / 2

    def truncate(self, z: Codes, psi: float) -> Codes:
        return torch.lerp(self.middle, z, psi)


def _squares(prior: StylePrior, z: Codes) -> Tensor:
    return ((z - prior.middle) / prior.spread).square().sum(1, keepdim=True).clamp_min(1e-12)


def space(scene: Scene, name: str = "z", label: Labels | None = None) -> Space:
    """The space of a name: z, w or pixels. Raises UserError when the model has no such space."""
    if name == "pixels":
        image = next(iter(scene.nets.values())).arguments["image"]
        return Space(name, PixelPrior(image.size), image, scene)
    net = scene.generator
    if net.training:
        raise UserError("the generator is in training mode, where the rows of a batch see each other; call .eval()")
    if name == "z":
        return Space(name, net.latent, net.image, scene)
    if name != "w":
        raise UserError(f"--space {name}: there are z (codes), w (styles) and pixels")
    if not isinstance(net, Styled):
        raise UserError("--space w: this model has no styles; train one with --recipe style, or climb in z")
    return Space(name, _styles(net, label), net.image, scene)


@torch.no_grad()
def _styles(net: Generator, label: Labels | None) -> StylePrior:
    home = next(net.parameters())
    z = net.latent.sample(STYLES, random_of(0, 0, "styles")).to(home)
    told = None if label is None else label[torch.arange(STYLES, device=label.device) % len(label)]
    w = cast(Styled, net).mapping(z, told)
    return StylePrior(w.shape[1], w.mean(0), w.std(0).clamp_min(1e-6))


@torch.no_grad()
def starts(
    within: Space, how: How, numbers: list[int], each: int, *, seed: int = 0, pictures: Pictures | None = None,
    label: Labels | None = None,
) -> Float[Tensor, "b r d"]:  # fmt: skip
    """`each` points for each numbered target; a target's are the same whichever others there are.

    prior: draws. encoder: what it believes of `pictures`, one a target, first its mean and then draws. mean: the
    middle of the space, then points near it.
    """
    net = within.scene.nets.get("generator")
    home = next((net or next(iter(within.scene.nets.values()))).parameters())
    drawn = within.latent if within.name == "pixels" or net is None else within.scene.generator.latent
    rngs = [random_of(seed, number, "starts") for number in numbers]
    if how == "encoder":
        z = _believed(within, pictures, label, each, rngs)
    else:
        z = torch.stack([torch.cat([drawn.sample(1, rng) for _ in range(each)]) for rng in rngs]).to(home)
        if how == "mean":
            z = _near_middle(drawn, z)
    flat = z.flatten(0, 1)
    told = a_row_each(label, len(numbers), each)
    return within.of_codes(flat, told).unflatten(0, z.shape[:2]).to(home)


def a_row_each(label: Tensor | None, targets: int, each: int) -> Tensor | None:
    """Labels of targets as labels of rows; those of rows as they are."""
    return label.repeat_interleave(each, 0) if label is not None and len(label) == targets else label


def _near_middle(latent: Latent, z: Float[Tensor, "b r d"]) -> Float[Tensor, "b r d"]:
    near = latent.truncate(z.flatten(0, 1), NEAR_MEAN).view_as(z).clone()
    near[:, 0] = latent.truncate(z[:, 0], 0.0)
    return near


def _believed(
    within: Space, pictures: Pictures | None, label: Labels | None, each: int, rngs: list[torch.Generator]
) -> Float[Tensor, "b r d"]:
    net = within.scene.nets.get("encoder")
    if within.name == "pixels":
        raise UserError("--start encoder: pixels need no encoder; take --start prior or mean")
    if not isinstance(net, Encoder):
        raise UserError("--start encoder: this model has no encoder; take --start prior or mean")
    if net.latent != within.scene.generator.latent:
        raise UserError(f"--start encoder: it reads only {net.latent} of a code; take --start prior or mean")
    if pictures is None:
        raise UserError("--start encoder reads a picture, and there is none to read; take --start prior or mean")
    belief: Posterior = net(pictures, label)
    noise = [torch.stack([torch.randn(net.latent.dim, generator=rng) for rng in rngs]) for _ in range(each - 1)]
    return torch.stack([belief.mean, *(belief.sample(some.to(belief.mean)) for some in noise)], 1)
