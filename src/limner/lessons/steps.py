"""What to do with a gradient: optimizers, clipping and schedules, each in the lines of its paper.

An optimizer is made for a list of weights and changes them in place: `step(gradients, lr)`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class SGD:
    """w ← w - lr g; with momentum the velocity v ← m v + g is followed instead (Polyak 1964)."""

    def __init__(self, weights: list[Array], momentum: float = 0.0) -> None:
        self.weights, self.momentum = weights, momentum
        self.velocity = [np.zeros_like(w) for w in weights]

    def step(self, gradients: list[Array], lr: float) -> None:
        """Move every weight once."""
        for w, v, g in zip(self.weights, self.velocity, gradients, strict=True):
            v *= self.momentum
            v += g
            w -= lr * v


class AdaGrad:
    """Each number's rate shrinks with the sum of its squared gradients (Duchi et al. 2011)."""

    def __init__(self, weights: list[Array], eps: float = 1e-10) -> None:
        self.weights, self.eps = weights, eps
        self.total = [np.zeros_like(w) for w in weights]

    def step(self, gradients: list[Array], lr: float) -> None:
        """Move every weight once."""
        for w, s, g in zip(self.weights, self.total, gradients, strict=True):
            s += g * g
            w -= lr * g / (np.sqrt(s) + self.eps)


class RMSprop:
    """AdaGrad that forgets: a running mean of squared gradients (Tieleman & Hinton 2012)."""

    def __init__(self, weights: list[Array], alpha: float = 0.99, eps: float = 1e-8) -> None:
        self.weights, self.alpha, self.eps = weights, alpha, eps
        self.square = [np.zeros_like(w) for w in weights]

    def step(self, gradients: list[Array], lr: float) -> None:
        """Move every weight once."""
        for w, s, g in zip(self.weights, self.square, gradients, strict=True):
            s *= self.alpha
            s += (1 - self.alpha) * g * g
            w -= lr * g / (np.sqrt(s) + self.eps)


class Adam:
    """Running means of gradient and square, both freed from their start at 0 (Kingma & Ba 2015, algorithm 1)."""

    def __init__(self, weights: list[Array], beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> None:
        self.weights, self.beta1, self.beta2, self.eps = weights, beta1, beta2, eps
        self.mean = [np.zeros_like(w) for w in weights]
        self.square = [np.zeros_like(w) for w in weights]
        self.steps = 0

    def step(self, gradients: list[Array], lr: float) -> None:
        """Move every weight once."""
        self.steps += 1
        free1, free2 = 1 - self.beta1**self.steps, 1 - self.beta2**self.steps
        for w, m, s, g in zip(self.weights, self.mean, self.square, gradients, strict=True):
            m *= self.beta1
            m += (1 - self.beta1) * g
            s *= self.beta2
            s += (1 - self.beta2) * g * g
            w -= lr * (m / free1) / (np.sqrt(s / free2) + self.eps)


Optimizer = SGD | AdaGrad | RMSprop | Adam


def clip_norm(gradients: list[Array], longest: float) -> list[Array]:
    """All gradients shrunk together, so that as one long vector they are no longer than `longest`."""
    norm = math.sqrt(sum(float((g * g).sum()) for g in gradients))
    return [g * min(1.0, longest / (norm + 1e-6)) for g in gradients]


def clip_value(gradients: list[Array], largest: float) -> list[Array]:
    """Every number cut to [-largest, largest]."""
    return [np.clip(g, -largest, largest) for g in gradients]


def ramp(start: float, end: float, share: float) -> float:
    """On the straight line from start to end, a share of the way."""
    return start + (end - start) * share


def cosine(start: float, end: float, share: float) -> float:
    """On half a cosine from start to end (Loshchilov & Hutter 2017, eq. 5)."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
