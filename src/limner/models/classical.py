"""Generators from before deep learning: linear Gaussian, mixture, kernel density, restricted Boltzmann machine.

They are fitted in one go by `limner.baselines`, not trained by gradients, and sample as any generator does. Each holds
one model of all images and one more of each class; pixels are vectors (n, size) in [-1, 1].
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.core.latent import Gaussian, Latent, Uniform
from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.base import Encoder, Generator, Labels, Pictures, Posterior

Vectors = Float[Tensor, "_ size"]


class Classical(Generator):
    """A model of all images, number 0, and one of each class; each row is sent to its own."""

    def __init__(self, image: Image, classes: int, latent: Latent) -> None:
        super().__init__()
        self.image, self.classes, self.latent = image, classes, latent

    def paint(self, z: Float[Tensor, "n d"], k: int) -> Vectors:
        """Codes → pixels of model k."""
        raise NotImplementedError

    def density(self, x: Vectors, k: int) -> Float[Tensor, " n"]:
        """log p of pixels under model k."""
        raise NotImplementedError

    def forward(self, z: Float[Tensor, "n d"], label: Labels | None = None) -> Pictures:
        # Not in bfloat16: sums over all pixels.
        with torch.autocast(z.device.type, enabled=False):
            x = z.new_empty(len(z), self.image.size, dtype=torch.float32)
            for k, rows in which(label, len(z), self.classes):
                x[rows] = self.paint(z[rows].float(), k)
        return x.clamp(-1, 1).unflatten(1, (self.image.channels, self.image.height, self.image.width))

    def log_likelihood(self, x: Pictures, label: Labels | None = None) -> Float[Tensor, " n"]:
        """log p(x | label) in nats, of pixels as real numbers; what lies beyond black and white included."""
        result = x.new_empty(len(x), dtype=self.weight_dtype)
        for k, rows in which(label, len(x), self.classes):
            result[rows] = self.density(x[rows].flatten(1).to(self.weight_dtype), k)
        return result

    @property
    def weight_dtype(self) -> torch.dtype:
        """Precision of the weights: `net.double()` computes likelihoods in double precision."""
        return next(self.parameters()).dtype


@register
class PCAGenerator(Classical):
    """Mean plus a few directions: principal components as a generative model (Tipping & Bishop 1999, eq. 2).

    image: shape of what it makes
    classes: how many labels it is told, 0 for none
    components: directions
    noise: whether what the directions leave over is added as grain, as the density has it
    """

    sigma: Tensor

    def __init__(self, image: Image, classes: int = 0, components: int = 64, noise: bool = False) -> None:
        super().__init__(image, classes, Gaussian(components + (image.size if noise else 0)))
        self.components, self.noise = components, noise
        self.mean = nn.Parameter(torch.zeros(classes + 1, image.size))
        self.axes = nn.Parameter(torch.randn(classes + 1, components, image.size) / math.sqrt(4 * components))
        self.register_buffer("sigma", torch.full((classes + 1,), 0.1))

    def paint(self, z: Float[Tensor, "n d"], k: int) -> Vectors:
        x = self.mean[k] + z[:, : self.components] @ self.axes[k]
        return x + self.sigma[k] * z[:, self.components :] if self.noise else x

    def density(self, x: Vectors, k: int) -> Float[Tensor, " n"]:
        """Normal with covariance W Wᵀ + σ² I, by the matrix inversion lemma (appendix A)."""
        weights, variance, d = self.axes[k], self.sigma[k].square(), x - self.mean[k]
        inner = weights @ weights.T + variance * torch.eye(self.components).to(weights)
        seen = torch.linalg.solve(inner, weights @ d.T)
        squared = (d.square().sum(1) - (d.T * (weights.T @ seen)).sum(0)) / variance
        logdet = torch.logdet(inner) + (self.image.size - self.components) * variance.log()
        return -(squared + logdet + self.image.size * math.log(2 * math.pi)) / 2


@register
class PCAEncoder(Encoder):
    """The exact posterior of principal components, whose directions are orthogonal (Tipping & Bishop 1999, eq. 6).

    image: shape of what it reads
    classes: how many labels it is told, 0 for none
    components: directions
    """

    sigma: Tensor

    def __init__(self, image: Image, classes: int = 0, components: int = 64) -> None:
        super().__init__()
        self.image, self.classes, self.latent = image, classes, Gaussian(components)
        self.mean = nn.Parameter(torch.zeros(classes + 1, image.size))
        self.axes = nn.Parameter(torch.randn(classes + 1, components, image.size) / math.sqrt(4 * components))
        self.register_buffer("sigma", torch.full((classes + 1,), 0.1))

    def forward(self, x: Pictures, label: Labels | None = None) -> Posterior:
        mean = x.new_empty(len(x), self.latent.dim)
        variance = torch.empty_like(mean)
        for k, rows in which(label, len(x), self.classes):
            total = self.axes[k].square().sum(1) + self.sigma[k].square()
            mean[rows] = (x[rows].flatten(1) - self.mean[k]) @ self.axes[k].T / total
            variance[rows] = self.sigma[k].square() / total
        return Posterior(mean, variance.log())


@register
class MixtureGenerator(Classical):
    """Gaussian mixture with full covariances in the space of the first principal components.

    image: shape of what it makes
    classes: how many labels it is told, 0 for none
    components: Gaussians
    directions: dimensions of the space they live in; across it pixels are normal with one variance
    """

    weights: Tensor
    sigma: Tensor

    def __init__(self, image: Image, classes: int = 0, components: int = 20, directions: int = 32) -> None:
        super().__init__(image, classes, Gaussian(1 + directions))
        k = classes + 1
        self.mean = nn.Parameter(torch.zeros(k, image.size))
        self.axes = nn.Parameter(torch.randn(k, directions, image.size) / math.sqrt(4 * directions))
        self.centres = nn.Parameter(torch.randn(k, components, directions))
        self.factors = nn.Parameter(torch.eye(directions).repeat(k, components, 1, 1))
        self.register_buffer("weights", torch.full((k, components), 1 / components))
        self.register_buffer("sigma", torch.full((k,), 0.1))

    def paint(self, z: Float[Tensor, "n d"], k: int) -> Vectors:
        chosen = choice(z[:, 0], self.weights[k])
        y = self.centres[k, chosen] + torch.einsum("nij,nj->ni", self.factors[k, chosen].tril(), z[:, 1:])
        return self.mean[k] + y @ self.axes[k]

    def density(self, x: Vectors, k: int) -> Float[Tensor, " n"]:
        d, (directions, size) = x - self.mean[k], self.axes[k].shape
        y, variance, factor = d @ self.axes[k].T, self.sigma[k].square(), self.factors[k].tril()
        white = torch.linalg.solve_triangular(factor, (y - self.centres[k][:, None]).mT, upper=False)
        heights = factor.diagonal(dim1=1, dim2=2).abs().log().sum(1)
        each = self.weights[k].log() - heights - directions / 2 * math.log(2 * math.pi)
        inside = (each[:, None] - white.square().sum(1) / 2).logsumexp(0)
        if directions == size:
            return inside
        across = (d.square().sum(1) - y.square().sum(1)).clamp_min(0) / variance
        return inside - (across + (size - directions) * (2 * math.pi * variance).log()) / 2


@register
class KernelDensityGenerator(Classical):
    """Images that were seen, with grain: a kernel density estimate, or Parzen window (Parzen 1962).

    image: shape of what it makes
    classes: how many labels it is told, 0 for none
    count: images that are kept, of all and of each class
    """

    bandwidth: Tensor

    def __init__(self, image: Image, classes: int = 0, count: int = 1000) -> None:
        super().__init__(image, classes, Gaussian(1 + image.size))
        self.points = nn.Parameter(torch.randn(classes + 1, count, image.size) / 4)
        self.register_buffer("bandwidth", torch.full((classes + 1,), 0.1))

    def paint(self, z: Float[Tensor, "n d"], k: int) -> Vectors:
        points = self.points[k]
        chosen = choice(z[:, 0], torch.full((len(points),), 1 / len(points)).to(z))
        return points[chosen] + self.bandwidth[k] * z[:, 1:]

    def density(self, x: Vectors, k: int) -> Float[Tensor, " n"]:
        points, variance = self.points[k], self.bandwidth[k].square()
        near = (-torch.cdist(x, points).square() / (2 * variance)).logsumexp(1)
        return near - math.log(len(points)) - self.image.size / 2 * (2 * math.pi * variance).log()


@register
class RBMGenerator(Classical):
    """Restricted Boltzmann machine: Gibbs steps from images it once dreamt, then the expected pixels.

    image: shape of what it makes; its pixels are black or white to the machine
    classes: how many labels it is told, 0 for none
    hidden: hidden units
    steps: Gibbs steps a sample
    particles: images from which chains begin
    """

    particles: Tensor

    def __init__(self, image: Image, classes: int = 0, hidden: int = 128, steps: int = 5, particles: int = 128) -> None:
        super().__init__(image, classes, Uniform(1 + steps * hidden + (steps - 1) * image.size))
        self.hidden, self.steps, k = hidden, steps, classes + 1
        self.weights = nn.Parameter(torch.randn(k, hidden, image.size) / math.sqrt(hidden))
        self.hidden_bias = nn.Parameter(torch.zeros(k, hidden))
        self.visible_bias = nn.Parameter(torch.zeros(k, image.size))
        self.register_buffer("particles", torch.bernoulli(torch.full((k, particles, image.size), 0.5)))

    def paint(self, z: Float[Tensor, "n d"], k: int) -> Vectors:
        u = (z + 1) / 2
        v = self.particles[k, (u[:, 0] * self.particles.shape[1]).long().clamp_max(self.particles.shape[1] - 1)]
        sizes = [self.hidden, self.image.size] * self.steps
        for number, noise in enumerate(u[:, 1:].split(sizes[:-1], 1)):
            v = flip(self.given_visible(v, k), noise) if number % 2 == 0 else flip(self.given_hidden(v, k), noise)
        return 2 * self.given_hidden(v, k).sigmoid() - 1

    def given_visible(self, v: Vectors, k: int = 0) -> Float[Tensor, "_ hidden"]:
        """Logits of the hidden units; v is 0 or 1."""
        return v @ self.weights[k].T + self.hidden_bias[k]

    def given_hidden(self, h: Float[Tensor, "_ hidden"], k: int = 0) -> Vectors:
        """Logits of the pixels; h is 0 or 1."""
        return h @ self.weights[k] + self.visible_bias[k]

    def free_energy(self, v: Vectors, k: int = 0) -> Float[Tensor, " n"]:
        """F(v), where p(v) ∝ exp(-F(v)) (Hinton 2012, eq. 19); v is 0 or 1."""
        return -v @ self.visible_bias[k] - nn.functional.softplus(self.given_visible(v, k)).sum(1)


def which(label: Labels | None, n: int, classes: int) -> list[tuple[int, Tensor]]:
    """(model, its rows) for each model that some row wants: 0 where the class is not known."""
    if not classes or label is None:
        return [(0, torch.arange(n, device=None if label is None else label.device))]
    if label.is_floating_point():
        told = label.nan_to_num()
        label = torch.where(told.any(1), told.argmax(1), -1)
    return [(k + 1, (label == k).nonzero()[:, 0]) for k in label.unique().tolist()]


def choice(z: Float[Tensor, " n"], weights: Float[Tensor, " m"]) -> Tensor:
    """A standard normal number → one of m things, as often as its weight says."""
    edges = weights.cumsum(0)[:-1].contiguous()
    return torch.searchsorted(edges, torch.special.ndtr(z.detach()).contiguous())


def flip(logits: Tensor, noise: Tensor) -> Tensor:
    """1 with the probability that logits say, by uniform noise; its gradient is that of a smooth stand-in."""
    hard = (noise < logits.sigmoid()).to(logits)
    soft = (logits - noise.logit(1e-6)).sigmoid()
    return hard + (soft - soft.detach())
