"""Sparse codes: an encoder whose codes are mostly 0, and a dictionary that pictures are sums of.

The encoder's running statistics (how long each code has been silent, the run-time threshold) are buffers: they are
saved, resumed and rolled back with the weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from limner.core import parallel, rng
from limner.core.latent import Latent, Sparse
from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.base import Classes, Encoder, Generator, Labels, Pictures, Posterior
from limner.models.sparsity import Mode, Sparsity, TopK

SURE = -20.0
"""Log-variance that stands for none."""


@dataclass(frozen=True)
class Point(Posterior):
    """One code, without noise."""

    def sample(self, noise: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """The code itself."""
        return self.mean


@register
class SparseEncoder(Encoder):
    """Pixels, or a trunk's features, to many pre-activations, of which a sparsity leaves few.

    Without a trunk its weights begin as the atoms of the `SparseGenerator` beside it, which begin at random.

    image: shape of what it reads
    latent: space of the codes
    sparsity: how codes are made from pre-activations
    classes: how many labels it is told, 0 for none
    trunk: an encoder whose body is read instead of the pixels, none for the pixels
    window: images after which a code that never was active counts as dead
    ground: level that what it reads is measured from, such as -1 for strokes on black; none for the middle of a batch
    """

    silent: Tensor
    threshold: Tensor
    counted: Tensor
    middle: Tensor

    def __init__(
        self,
        image: Image,
        latent: Latent = Sparse(1024, 32),
        sparsity: Sparsity = TopK(32),
        classes: int = 0,
        trunk: Encoder | None = None,
        window: int = 10_000,
        ground: float | None = None,
    ) -> None:
        super().__init__()
        sparsity.check(latent.dim)
        self.image, self.latent, self.classes = image, latent, classes
        self.sparsity, self.window, self.ground = sparsity, window, ground
        self.body = nn.Flatten() if trunk is None else trunk.body
        features = image.size if trunk is None else trunk.head.features
        self.weight = nn.Parameter(atoms(latent.dim, features))
        self.bias = nn.Parameter(torch.zeros(latent.dim))
        self.label = Classes(classes, latent.dim, scale=0.0) if classes else None
        self.register_buffer("middle", torch.zeros(features))
        self.register_buffer("silent", torch.zeros(latent.dim, dtype=torch.int64))
        self.register_buffer("threshold", torch.zeros(()))
        self.register_buffer("counted", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Pictures, label: Labels | None = None) -> Posterior:
        code = self.code(self.before(x, label))
        return Point(code, torch.full_like(code, SURE))

    def before(self, x: Pictures, label: Labels | None = None) -> Float[Tensor, "n m"]:
        """Pre-activations, in full precision: which are largest must not hang on rounding."""
        h = F.linear(self.body(x) - self.middle, self.weight, self.bias).float()
        return h if self.label is None else h + self.label(label, len(h))

    def code(self, h: Float[Tensor, "n m"], progress: float = 1.0) -> Float[Tensor, "n m"]:
        """The codes of pre-activations; in training mode those of training."""
        return self.sparsity.code(h, Mode(self.training, progress, self.threshold))

    @torch.no_grad()
    def centre(self, x: Pictures) -> None:
        """Measure what it reads from its ground, or the middle of these pictures (Gao et al. 2024, appendix A.1)."""
        middle = self.body(x).mean(0) if self.ground is None else torch.full_like(self.middle, self.ground)
        parallel.average([middle])
        self.middle.copy_(middle)

    def active(self, code: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
        """How many numbers of each code are active (L0)."""
        return (code.detach().abs() > self.sparsity.level).float().sum(1)

    @property
    def dead(self) -> Bool[Tensor, " m"]:
        """Codes that were not active once in the last `window` images of training."""
        return self.silent >= self.window

    @torch.no_grad()
    def count(self, code: Float[Tensor, "n m"], seen: int) -> None:
        """Take a training batch's codes into the running statistics; `seen` images over all processes."""
        active = code.abs() > self.sparsity.level
        fired = active.float().mean(0)
        smallest = parallel.gather(torch.where(code > 0, code, torch.inf).amin()[None]).amin()
        smallest = torch.where(smallest.isfinite(), smallest, self.threshold)
        parallel.average([fired])
        self.silent.add_(seen).masked_fill_(fired > 0, 0)
        self.counted.add_(1)
        self.threshold.lerp_(smallest, (1 / self.counted).clamp_min(0.01))


@register
class SparseGenerator(Generator):
    """A picture is a middle plus a weighted sum of atoms of length 1; pixels beyond [-1, 1] are cut.

    Gradients pass the cut as if it were not there.

    image: shape of what it makes
    latent: space of the codes
    classes: how many labels it is told, 0 for none; each adds a picture of its own
    """

    def __init__(self, image: Image, latent: Latent = Sparse(1024, 32), classes: int = 0) -> None:
        super().__init__()
        self.image, self.latent, self.classes = image, latent, classes
        self.weight = nn.Parameter(atoms(latent.dim, image.size))
        self.middle = nn.Parameter(torch.zeros(image.size))
        self.label = Classes(classes, image.size, scale=0.0) if classes else None

    def forward(self, z: Float[Tensor, "n d"], label: Labels | None = None) -> Pictures:
        x = self.mix(z) + self.middle
        x = x if self.label is None else x + self.label(label, len(x))
        # the difference is a constant to autograd: straight through (Bengio et al. 2013)
        x = x + (x.clamp(-1, 1) - x).detach()
        return x.view(-1, self.image.channels, self.image.height, self.image.width)

    def mix(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n p"]:
        """The weighted sum of atoms alone."""
        return F.linear(z, self.dictionary.T)

    @property
    def dictionary(self) -> Float[Tensor, "d p"]:
        """The atoms, a row each, of length 1: also where averaging has shortened the weights."""
        return F.normalize(self.weight, dim=1)

    @torch.no_grad()
    def centre(self, x: Pictures) -> None:
        """Begin at the middle of these pictures."""
        middle = x.flatten(1).mean(0)
        parallel.average([middle])
        self.middle.copy_(middle)

    @torch.no_grad()
    def begin(self, x: Pictures, width: float, places: Float[Tensor, "d 2"]) -> None:
        """Begin with atoms that are fragments of these pictures, alike in all processes."""
        self.weight.copy_(fragments(parallel.gather(x), width, places, self.weight))

    @torch.no_grad()
    def project(self) -> None:
        """Put the weights back to length 1, so that steps keep their angle."""
        self.weight.copy_(self.dictionary)


def atoms(count: int, size: int) -> Float[Tensor, "count size"]:
    """Random directions of length 1: the same for every network made under one seed, so that roles begin tied."""
    drawn = rng.generator(torch.initial_seed(), 0, f"atoms {count} {size}")
    return F.normalize(torch.randn(count, size, generator=drawn), dim=1)


def fragments(
    x: Pictures, width: float, places: Float[Tensor, "m 2"], spare: Float[Tensor, "m p"]
) -> Float[Tensor, "m p"]:
    """Pieces of pictures less their mean, of length 1, in pixels: piece j is of picture j modulo n.

    It is seen through a Gaussian window with a standard deviation of `width` pixels about `places[j]`, two numbers from
    0 to 1 which span the middle five sevenths of the picture. Where pictures do not differ it is `spare[j]`.
    """
    sides = zip(x.shape[-2:], places.T, strict=True)
    down, across = (bell(torch.arange(side, device=x.device), side * (1 + 5 * at) / 7, width) for side, at in sides)
    pieces = (x - x.mean(0))[torch.arange(len(places)) % len(x)] * (down[:, :, None] * across[:, None])[:, None]
    return F.normalize(pieces.flatten(1) + 1e-6 * spare, dim=1)


def bell(pixel: Int[Tensor, " s"], centre: Float[Tensor, " m"], width: float) -> Float[Tensor, "m s"]:
    """Gaussians of height 1 along a side."""
    return (-((pixel - centre[:, None]) ** 2) / (2 * width**2)).exp()


@dataclass(frozen=True)
class Activity:
    """What a sparse code does on some pictures.

    active: codes active per picture, on average (L0)
    explained: share of the pixels' variance that the reconstruction explains, 1 for all of it
    dead: share of the codes that were active in none of these pictures
    images: how many pictures that was measured on
    """

    active: float
    explained: float
    dead: float
    images: int


@torch.no_grad()
def activity(encoder: SparseEncoder, generator: Generator, x: Pictures, label: Labels | None = None) -> Activity:
    """Measure on pictures, block by block, in the networks' present mode."""
    blocks = list(zip(x.split(500), [None] * len(x) if label is None else label.split(500), strict=False))
    fired, total, error = torch.zeros(encoder.latent.dim), 0.0, 0.0
    for part, told in blocks:
        code = encoder(part, told).mean
        active = code.abs() > encoder.sparsity.level
        fired += active.sum(0).cpu()
        total += active.sum().item()
        error += (generator(code, told) - part).double().square().sum().item()
    spread = (x - x.mean(0)).double().square().sum().item()
    return Activity(total / len(x), 1 - error / spread, (fired == 0).double().mean().item(), len(x))
