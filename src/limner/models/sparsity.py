"""What makes a code sparse: a rule from pre-activations to codes, and the price of a code.

A rule sees `h`, (n, m), the encoder's pre-activations, and a `Mode`: training may look at the whole batch and
at time, use may not, so that a picture's code never depends on the pictures beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.errors import UserError
from limner.core.schedule import Curve, Schedule, value
from limner.core.spec import register

Codes = Float[Tensor, "n m"]


@dataclass(frozen=True)
class Mode:
    """When a code is made: in training or in use, how far the run is, and the encoder's run-time threshold."""

    training: bool
    progress: float
    threshold: Float[Tensor, ""]


class Sparsity:
    """(n, m) pre-activations → (n, m) codes, most of them 0."""

    level: ClassVar[float] = 0.0
    """A code is active where its size exceeds this."""

    def code(self, h: Codes, mode: Mode) -> Codes:
        """The code; gradients reach the pre-activations that were kept."""
        raise NotImplementedError

    def price(self, code: Codes) -> Float[Tensor, " n"]:
        """A further term of the loss."""
        return code.new_zeros(len(code))

    def check(self, dim: int) -> None:
        """Raise UserError when codes of `dim` numbers cannot be made sparse like this."""


def _most(name: str, k: Schedule, dim: int) -> None:
    """Raise UserError unless k is between 1 and dim - 1, at both ends of a curve."""
    for count in (k.start, k.end) if isinstance(k, Curve) else (k,):
        if not 1 <= count < dim:
            raise UserError(f"{name}(k={count:g}): a code of {dim} numbers is sparse with k from 1 to {dim - 1}")


def keep(h: Codes, k: int) -> Codes:
    """The k largest numbers of each row in their places, 0 elsewhere."""
    values, places = h.topk(k, dim=1)
    return torch.zeros_like(h).scatter(1, places, values)


@register
@dataclass(frozen=True)
class TopK(Sparsity):
    """Rectified, the k largest of each picture kept (Gao et al. 2024, eq. 3).

    k: codes that stay, a number or a curve
    """

    k: Schedule = 32

    def code(self, h: Codes, mode: Mode) -> Codes:
        return keep(h.relu(), round(value(self.k, mode.progress)))

    def check(self, dim: int) -> None:
        _most("TopK", self.k, dim)


@register
@dataclass(frozen=True)
class KSparse(Sparsity):
    """The k largest kept as they are, not rectified; more of them in use (Makhzani & Frey 2014, algorithm 1).

    k: codes that stay in training, a number or a curve such as Ramp(100, 25, finish=0.5)
    widen: in use, this times k stay; the paper's α
    """

    k: Schedule = 25
    widen: float = 1.0

    def code(self, h: Codes, mode: Mode) -> Codes:
        k = value(self.k, mode.progress) * (1 if mode.training else self.widen)
        return keep(h, min(round(k), h.shape[1]))

    def check(self, dim: int) -> None:
        _most("KSparse", self.k, dim)


@register
@dataclass(frozen=True)
class BatchTopK(Sparsity):
    """Rectified, the n·k largest of the whole batch kept; in use those above a threshold (Bussmann et al. 2024).

    The threshold is the running mean of the smallest number kept. Each process keeps the largest of its own rows.

    k: codes that stay per picture on average, a number or a curve
    """

    k: Schedule = 32

    def code(self, h: Codes, mode: Mode) -> Codes:
        h = h.relu()
        if not mode.training:
            return torch.where(h > mode.threshold, h, 0)
        return keep(h.reshape(1, -1), round(value(self.k, mode.progress) * len(h))).view_as(h)

    def check(self, dim: int) -> None:
        _most("BatchTopK", self.k, dim)


@register
@dataclass(frozen=True)
class WinnerTakeAll(Sparsity):
    """Each code keeps only its largest activities in a batch; in use it is a rectifier (Makhzani & Frey 2015).

    No code can die. Each process looks at its own rows.

    rate: share of the pictures that a code may be active in, 0 to 1
    """

    rate: float = 0.05

    def code(self, h: Codes, mode: Mode) -> Codes:
        h = h.relu()
        return keep(h.T, max(1, round(self.rate * len(h)))).T if mode.training else h

    def check(self, dim: int) -> None:
        if not 0 < self.rate < 1:
            raise UserError(f"WinnerTakeAll(rate={self.rate:g}): the share of pictures lies between 0 and 1")


@register
@dataclass(frozen=True)
class AbsoluteCodes(Sparsity):
    """Rectified, at a price for the sum of the code: L1 (Bricken et al. 2023). Needs atoms of a fixed length.

    weight: price of a unit of code, beside a distance that is a mean over pixels
    """

    weight: float = 1e-4

    def code(self, h: Codes, mode: Mode) -> Codes:
        return h.relu()

    def price(self, code: Codes) -> Float[Tensor, " n"]:
        return self.weight * code.abs().sum(1)


@register
@dataclass(frozen=True)
class TargetRate(Sparsity):
    """Between 0 and 1, at a price for the divergence of each code's mean from a target (Ng 2011, section 2).

    The price is weight · Σ KL(rate ‖ mean over the batch), in nats. A code counts as active above a half.

    rate: what the mean of a code should be, 0 to 1
    weight: price of a nat
    """

    rate: float = 0.05
    weight: float = 1e-3
    level: ClassVar[float] = 0.5

    def code(self, h: Codes, mode: Mode) -> Codes:
        return h.sigmoid()

    def price(self, code: Codes) -> Float[Tensor, " n"]:
        return (self.weight * nats(self.rate, code.mean(0)).sum()).expand(len(code))

    def check(self, dim: int) -> None:
        if not 0 < self.rate < 1:
            raise UserError(f"TargetRate(rate={self.rate:g}): the target lies between 0 and 1")


def nats(target: float, mean: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    """KL between two coins, of which the first falls on heads `target` of the time (Ng 2011, section 2)."""
    mean = mean.clamp(1e-6, 1 - 1e-6)
    return target * (target / mean).log() + (1 - target) * ((1 - target) / (1 - mean)).log()
