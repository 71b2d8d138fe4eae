"""How a player's weights move: optimizers by name, as values that make torch optimizers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from limner.core.schedule import Schedule, value
from limner.core.spec import register


@dataclass(frozen=True)
class Optimizer:
    """A rule that turns gradients into steps."""

    lr: Schedule = 1e-3

    def make(self, weights: Iterable[Tensor]) -> torch.optim.Optimizer:
        """The torch optimizer over these weights, at the rate that the schedule starts with."""
        raise NotImplementedError

    def rate(self, progress: float) -> float:
        """The learning rate at a progress from 0 to 1."""
        return value(self.lr, progress)


@register
@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent, with momentum if asked (Polyak 1964; Nesterov 1983).

    lr: learning rate, a number or a curve
    momentum: share of the last step that is kept, 0 to 1
    nesterov: look ahead
    weight_decay: L2 pull towards zero, added to the gradient
    """

    lr: Schedule = 1e-2
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def make(self, weights: Iterable[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            list(weights),
            lr=self.rate(0),
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            fused=True,
        )


@register
@dataclass(frozen=True)
class AdaGrad(Optimizer):
    """Rates that shrink with all past gradients (Duchi et al. 2011).

    lr: learning rate, a number or a curve
    eps: added to the denominator
    weight_decay: L2 pull towards zero, added to the gradient
    """

    lr: Schedule = 1e-2
    eps: float = 1e-10
    weight_decay: float = 0.0

    def make(self, weights: Iterable[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.Adagrad(list(weights), lr=self.rate(0), eps=self.eps, weight_decay=self.weight_decay)


@register
@dataclass(frozen=True)
class RMSprop(Optimizer):
    """Rates divided by a running root mean square of the gradient (Tieleman & Hinton 2012).

    lr: learning rate, a number or a curve
    alpha: memory of the mean square, 0 to 1
    momentum: share of the last step that is kept, 0 to 1
    eps: added to the denominator
    weight_decay: L2 pull towards zero, added to the gradient
    """

    lr: Schedule = 1e-3
    alpha: float = 0.99
    momentum: float = 0.0
    eps: float = 1e-8
    weight_decay: float = 0.0

    def make(self, weights: Iterable[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(
            list(weights),
            lr=self.rate(0),
            alpha=self.alpha,
            momentum=self.momentum,
            eps=self.eps,
            weight_decay=self.weight_decay,
        )


@register
@dataclass(frozen=True)
class Adam(Optimizer):
    """Running means of the gradient and of its square (Kingma & Ba 2015, algorithm 1).

    lr: learning rate, a number or a curve
    beta1: memory of the mean, 0 to 1
    beta2: memory of the mean square, 0 to 1
    eps: added to the denominator
    weight_decay: L2 pull towards zero, added to the gradient
    """

    lr: Schedule = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    def make(self, weights: Iterable[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.Adam(list(weights), fused=True, **_moments(self))


@register
@dataclass(frozen=True)
class AdamW(Adam):
    """Adam whose weight decay does not pass through the averages (Loshchilov & Hutter 2019).

    lr: learning rate, a number or a curve
    beta1: memory of the mean, 0 to 1
    beta2: memory of the mean square, 0 to 1
    eps: added to the denominator
    weight_decay: pull towards zero, times the learning rate
    """

    weight_decay: float = 0.01

    def make(self, weights: Iterable[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(list(weights), fused=True, **_moments(self))


def _moments(adam: Adam) -> dict[str, Any]:
    return {
        "lr": adam.rate(0),
        "betas": (adam.beta1, adam.beta2),
        "eps": adam.eps,
        "weight_decay": adam.weight_decay,
    }


def lay_out_alike(optimizer: torch.optim.Optimizer) -> None:
    """Give an optimizer's tensors their weights' strides: fused kernels walk memory without looking at strides."""
    for weight, own in optimizer.state.items():
        for name, tensor in own.items():
            if isinstance(tensor, Tensor) and tensor.shape == weight.shape:
                own[name] = torch.empty_like(weight, dtype=tensor.dtype, requires_grad=False).copy_(tensor)
