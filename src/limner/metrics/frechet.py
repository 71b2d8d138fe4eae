"""Fréchet distance between Gaussians fitted to two sets of features (Heusel et al. 2017, "FID").

|μ₁ - μ₂|² + tr Σ₁ + tr Σ₂ - 2 tr (Σ₁Σ₂)^½. With any R that has RᵀR = Σ the last trace is the nuclear norm of
R₁R₂ᵀ, and R is the triangular factor of the centred samples: no covariance is formed, no root of a nearly
singular product is taken, and n ≤ d needs no special case.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.errors import UserError
from limner.core.shares import NORMAL_95
from limner.core.spec import register
from limner.metrics.base import Features, Metric, Sets, double

Root = Float[Tensor, "_ d"]
Mean = Float[Tensor, " d"]


@register
@dataclass(frozen=True)
class FrechetDistance(Metric):
    """The Fréchet distance of Gaussians fitted to the features; called FID only on FID's own Inception features.

    Biased upwards at finite n, by about what the floor shows: compare at equal n only.
    """

    label: ClassVar[str] = "Fréchet distance"
    quantile: ClassVar[float] = NORMAL_95
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def lacks(self, sets: Sets) -> str:
        """Needs more images than features: a covariance of fewer is singular, and the bias outgrows the distance."""
        n, d = sets.real.features.shape
        return "" if n > d else f"{n:,} images are too few for a covariance of {d:,} features; read KernelDistance"

    def __call__(self, real: Features, fake: Features, held_out: Features | None = None) -> float:
        """Squared distance, in squared feature units; each set needs two rows."""
        a, b = _fit(real), _fit(fake)
        return _distance(a.mean, a.root, b.mean, b.root)

    def error(self, real: Features, fake: Features) -> float:
        """Standard error by the influence of each row (infinitesimal jackknife): the derivative of the distance
        with respect to one sample's weight is quadratic in the sample, through the optimal transport map.
        """
        a, b = _fit(real), _fit(fake)
        u, cross, vt = torch.linalg.svd(a.root @ b.root.T, full_matrices=False)
        variance = 0.0
        for fit, turn, away in ((a, u, a.mean - b.mean), (b, vt.T, b.mean - a.mean)):
            n = len(fit.q)
            spread = n / (n - 1) * fit.centred.square().sum(1) - n * ((fit.q @ turn).square() @ cross)
            variance += float((2 * fit.centred @ away + spread).var()) / n
        return math.sqrt(variance)


@dataclass(frozen=True)
class _Fit:
    """A Gaussian fitted to n samples: centred = √(n - 1) · q · root."""

    mean: Mean
    centred: Features
    q: Float[Tensor, "n _"]
    root: Root


def between_gaussians(
    mean_a: Mean, covariance_a: Float[Tensor, "d d"], mean_b: Mean, covariance_b: Float[Tensor, "d d"]
) -> float:
    """The squared Fréchet distance of two Gaussians given by their moments (Dowson and Landau 1982)."""
    return _distance(mean_a.double(), _root(covariance_a), mean_b.double(), _root(covariance_b))


def _distance(mean_a: Mean, root_a: Root, mean_b: Mean, root_b: Root) -> float:
    overlap = torch.linalg.matrix_norm(root_a @ root_b.T, ord="nuc")
    apart = (mean_a - mean_b).square().sum()
    return max(0.0, float(apart + root_a.square().sum() + root_b.square().sum() - 2 * overlap))


def _fit(features: Features) -> _Fit:
    if len(features) < 2:
        raise UserError(f"a Fréchet distance needs 2 images of each kind, not {len(features)}; ask for more with -n")
    x = double(features)
    mean = x.mean(0)
    centred = x - mean
    q, r = torch.linalg.qr(centred)
    return _Fit(mean, centred, q, r / math.sqrt(len(x) - 1))


def _root(covariance: Float[Tensor, "d d"]) -> Root:
    values, vectors = torch.linalg.eigh(double(covariance))
    return values.clamp_min(0).sqrt()[:, None] * vectors.T
