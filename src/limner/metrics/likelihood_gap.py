"""Generalisation gap of the feature likelihood divergence (Jiralerspong et al. 2023, "FLD").

A mixture of Gaussians, one around each generated image, is fitted to training images: its widths alone are free, and
become small where a training image lies very near. How much less likely held-out images then are is what was
memorised. Widths are found by expectation maximisation, which climbs the same likelihood as the paper's Adam, without
a rate to choose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.spec import register
from limner.metrics.base import Features, double
from limner.metrics.memory import Case, Measured, Memory, nearest
from limner.metrics.neighbours import squared_distances

ROUNDS = 20
NARROWEST = 1e-3
"""Least variance, as a share of the usual squared distance per feature between neighbours: copies have none."""


@register
@dataclass(frozen=True)
class GeneralisationGap(Memory):
    """Nats, times 100 per feature, by which training images are likelier than held-out ones; 0 where none is copied.

    size: images of each kind that are compared at most
    """

    label: ClassVar[str] = "generalisation gap (FLD)"
    size: int = 2000

    def measure(self, case: Case) -> Measured:
        """FLD of held-out less FLD of training images, at their best common widths.

        Its error is from the spread of the likelihoods over training and held-out images, the mixture given.
        """
        train, held = self._likelihoods(case)
        unit = 100 / case.train.shape[1]
        error = math.sqrt(float(train.var()) / len(train) + float(held.var()) / len(held))
        return Measured(float(train.mean() - held.mean()) * unit, error * unit)

    def _likelihoods(self, case: Case) -> tuple[Tensor, Tensor]:
        """log p of training and of held-out images under the mixture, per image."""
        mean, std = double(case.train).mean(0), double(case.train).std(0).clamp_min(1e-6)
        size = min(self.size, len(case.held_out))
        # the images nearest to generated ones say whether they were copied, but to choose them would bias the gap
        train, held, fake = ((_drawn(x, size) - mean) / std for x in (case.train, case.held_out, case.fake))
        d = train.shape[1]
        least = NARROWEST * float(nearest(held).distance.median()) / d
        to_train, to_held = _squares(train, fake), _squares(held, fake)
        width = fitted_widths(to_train, d, max(least, 1e-12))
        return log_likelihood(to_train, width, d), log_likelihood(to_held, width, d)


def fitted_widths(squares: Float[Tensor, "n k"], d: int, least: float) -> Float[Tensor, " k"]:
    """Variances of k Gaussians in d dimensions with fixed centres and equal weights, by expectation maximisation.

    `squares` are squared distances of n points to the centres; no variance goes below `least`.
    """
    width = squares.mean(0) / d
    for _ in range(ROUNDS):
        # shares of a centre's points: far centres have tiny ones, which count among themselves
        shares = (_joint(squares, width, d) - log_likelihood(squares, width, d)[:, None]).softmax(0)
        width = ((shares * squares).sum(0) / d).clamp_min(least)
    return width


def log_likelihood(squares: Float[Tensor, "n k"], width: Float[Tensor, " k"], d: int) -> Float[Tensor, " n"]:
    """log of the mixture's density at each point."""
    return _joint(squares, width, d).logsumexp(1) - math.log(len(width))


def _joint(squares: Float[Tensor, "n k"], width: Float[Tensor, " k"], d: int) -> Float[Tensor, "n k"]:
    return -0.5 * squares / width - 0.5 * d * (2 * math.pi * width).log()


def _squares(a: Features, b: Features) -> Float[Tensor, "n k"]:
    """Squared distances as float32, which fit in memory for a few thousand rows."""
    return torch.cat([block.float() for block in squared_distances(a, b)])


def _drawn(x: Features, size: int) -> Features:
    """At most `size` rows."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
    return double(x[order[:size].to(x.device)])
