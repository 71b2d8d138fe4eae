"""Two networks against each other, in NumPy: a generator learns eight points on a ring from a critic's gradient.

The critic is told real from fake by pairs (Jolicoeur-Martineau 2019): its loss is softplus(D(fake) - D(real)),
the generator's the reverse. softplus(t) = log(1 + eᵗ) has the derivative sigmoid(t), and that is all that has to
be known of the loss; the rest is `Network.backward`.

A critic that may be as steep as it likes makes the two chase each other for ever (Mescheder et al. 2018). So its slope
is made to cost: γ/2 (D(x + σε) - D(x))²/σ², a finite difference along random ε, whose mean over ε is γ/2 ‖∇D‖²
as σ → 0. It needs no second derivative.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from limner.lessons.network import Network
from limner.lessons.steps import Adam, Array, cosine

CATEGORIES = 16
"""The code is one of these beside two Gaussian numbers, so that no path has to lead from point to point."""


@dataclass(frozen=True)
class Lesson:
    """What one step shows."""

    step: int
    critic_loss: float
    generator_loss: float
    generator: Network


def ring(n: int, rng: np.random.Generator, sigma: float = 0.01) -> Array:
    """n points (n, 2), each near one of eight points on the unit circle."""
    angle = rng.integers(0, 8, n) * (math.pi / 4)
    return np.stack([np.cos(angle), np.sin(angle)], 1) + sigma * rng.standard_normal((n, 2))


def codes(n: int, rng: np.random.Generator) -> Array:
    """n codes (n, CATEGORIES + 2)."""
    category = np.eye(CATEGORIES)[rng.integers(0, CATEGORIES, n)] * math.sqrt(CATEGORIES)
    return np.concatenate([category, rng.standard_normal((n, 2))], 1)


def sigmoid(t: Array) -> Array:
    """1 / (1 + e⁻ᵗ), without overflow."""
    return np.exp(-np.logaddexp(0.0, -t))


def softplus(t: Array) -> Array:
    """log(1 + eᵗ), without overflow."""
    return np.logaddexp(0.0, t)


def play(
    steps: int = 4000, batch: int = 128, width: int = 64, lr: float = 2e-3, gamma: float = 0.02, h: float = 0.01,
    seed: int = 0,
) -> Iterator[Lesson]:  # fmt: skip
    """Train both; yields after each step. `h` is the σ of the finite difference."""
    rng = np.random.default_rng(seed)
    generator = Network.dense([CATEGORIES + 2, width, width, width, 2], seed + 1)
    critic = Network.dense([2, width, width, width, 1], seed + 2)
    adam_g, adam_c = Adam(generator.weights, 0.0, 0.99), Adam(critic.weights, 0.0, 0.99)
    for step in range(steps):
        rate = cosine(lr, lr / 100, max(0.0, 2 * step / steps - 1))
        slope_cost = gamma * 0.01 ** (step / steps)
        real, fake = ring(batch, rng), generator.forward(codes(batch, rng))

        # the generator's turn: make D(fake) larger than D(real)
        logits = critic.forward(np.concatenate([real, fake]))
        gap = logits[batch:] - logits[:batch]
        generator_loss = float(softplus(-gap).mean())
        by_logits = np.concatenate([np.zeros_like(gap), -sigmoid(-gap) / batch])
        by_fake = critic.backward(by_logits)[batch:]
        generator.backward(by_fake)
        adam_g.step(generator.gradients, rate)

        # the critic's turn, on the same pictures: make D(real) larger, and no steeper than it must be
        noise = rng.standard_normal((2 * batch, 2))
        both = np.concatenate([real, fake])
        logits = critic.forward(np.concatenate([both, both + h * noise]))
        here, there = logits[: 2 * batch], logits[2 * batch :]
        gap, slope = here[batch:] - here[:batch], (there - here) / h
        critic_loss = float(softplus(gap).mean() + slope_cost * (slope**2).mean())
        by_gap, by_slope = sigmoid(gap) / batch, slope_cost * slope / batch
        critic.backward(np.concatenate([np.concatenate([-by_gap, by_gap]) - by_slope / h, by_slope / h]))
        adam_c.step(critic.gradients, rate)
        yield Lesson(step, critic_loss, generator_loss, generator)
