"""Logistic regression: one linear layer, a loss, and its gradient, which is (what was said - what is true).

Scores s = x W + b; chances p = softmax(s); loss = -log p[true class]. The derivative of the loss with respect
to the scores is p - y, with y one for the true class and zero elsewhere: this is the whole of the lesson.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limner.lessons.steps import SGD, Array, cosine

Classes = NDArray[np.int64]


@dataclass(frozen=True)
class Logistic:
    """Weights (inputs, classes) and biases (classes,)."""

    weight: Array
    bias: Array

    @classmethod
    def zeros(cls, inputs: int, classes: int) -> Logistic:
        """Knows nothing: every class is equally likely."""
        return cls(np.zeros((inputs, classes)), np.zeros(classes))

    def chances(self, x: Array) -> Array:
        """Probabilities of the classes, (n, inputs) → (n, classes)."""
        return softmax(x @ self.weight + self.bias)

    def guess(self, x: Array) -> Classes:
        """The likeliest class, (n,)."""
        return self.chances(x).argmax(1).astype(np.int64)


def softmax(scores: Array) -> Array:
    """Positive numbers that sum to one; the largest score is taken off first, or exp overflows."""
    e = np.exp(scores - scores.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def loss_and_gradients(model: Logistic, x: Array, label: Classes, l1: float = 0.0, l2: float = 0.0) -> tuple[
    float, Array, Array
]:  # fmt: skip
    """Mean -log p of the true classes plus l1 Σ|W| + l2/2 ΣW², and its derivatives by weight and bias."""
    n = len(x)
    p = model.chances(x)
    loss = float(-np.log(np.maximum(p[np.arange(n), label], 1e-300)).mean())
    loss += l1 * float(np.abs(model.weight).sum()) + l2 / 2 * float((model.weight**2).sum())
    by_scores = p.copy()
    by_scores[np.arange(n), label] -= 1  # p - y
    by_scores /= n
    by_weight = x.T @ by_scores + l1 * np.sign(model.weight) + l2 * model.weight
    return loss, by_weight, by_scores.sum(0)


def fit(
    x: Array, label: Classes, classes: int, *, epochs: int = 10, batch: int = 100, lr: float = 0.5, l2: float = 1e-5,
    seed: int = 0,
) -> Logistic:  # fmt: skip
    """Descend the gradient of small batches, at a rate that falls to zero."""
    model = Logistic.zeros(x.shape[1], classes)
    optimizer = SGD([model.weight, model.bias])
    rng = np.random.default_rng(seed)
    for epoch in range(epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x), batch):
            rows = order[start : start + batch]
            _, by_weight, by_bias = loss_and_gradients(model, x[rows], label[rows], l2=l2)
            optimizer.step([by_weight, by_bias], cosine(lr, 0.0, (epoch + start / len(x)) / epochs))
    return model
