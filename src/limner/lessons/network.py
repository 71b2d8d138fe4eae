"""A network is a list of layers, and back-propagation is the chain rule walked from its end to its beginning.

Each layer can do two things. `forward(x)` computes its output and remembers what the way back will need.
`backward(g)` is given g, the loss's derivative by its output; it keeps the derivative by its own weights and
returns the one by its input, which is g for the layer before.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from limner.lessons.steps import Array


class Dense:
    """y = x W + b. By W: xᵀg; by b: the sum of g; by x: g Wᵀ."""

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator) -> None:
        # the scale that keeps the variance through leaky rectifiers (He et al. 2015)
        self.weight = rng.standard_normal((inputs, outputs)) * math.sqrt(2 / (1 + 0.2**2) / inputs)
        self.bias = np.zeros(outputs)
        self.by_weight, self.by_bias = np.zeros_like(self.weight), np.zeros_like(self.bias)

    def forward(self, x: Array) -> Array:
        """(n, inputs) → (n, outputs)."""
        self.x = x
        return x @ self.weight + self.bias

    def backward(self, g: Array) -> Array:
        """(n, outputs) → (n, inputs)."""
        self.by_weight, self.by_bias = self.x.T @ g, g.sum(0)
        return g @ self.weight.T


class Leaky:
    """y = x where x > 0, slope x elsewhere. The derivative is 1 or the slope."""

    def __init__(self, slope: float = 0.2) -> None:
        self.slope = slope

    def forward(self, x: Array) -> Array:
        """(n, d) → (n, d)."""
        self.factor = np.where(x > 0, 1.0, self.slope)
        return x * self.factor

    def backward(self, g: Array) -> Array:
        """(n, d) → (n, d)."""
        return g * self.factor


class Tanh:
    """y = tanh x. The derivative is 1 - y²."""

    def forward(self, x: Array) -> Array:
        """(n, d) → (n, d)."""
        self.y = np.tanh(x)
        return self.y

    def backward(self, g: Array) -> Array:
        """(n, d) → (n, d)."""
        return g * (1 - self.y**2)


class Dropout:
    """Each number is silenced with a chance, the others made larger for it (Srivastava et al. 2014)."""

    def __init__(self, chance: float, rng: np.random.Generator) -> None:
        self.chance, self.rng = chance, rng

    def forward(self, x: Array) -> Array:
        """(n, d) → (n, d)."""
        self.factor = (self.rng.random(x.shape) >= self.chance) / (1 - self.chance)
        return x * self.factor

    def backward(self, g: Array) -> Array:
        """(n, d) → (n, d)."""
        return g * self.factor


Layer = Dense | Leaky | Tanh | Dropout


class Network:
    """Layers one after the other."""

    def __init__(self, layers: list[Layer]) -> None:
        self.layers = layers

    @classmethod
    def dense(cls, sizes: list[int], seed: int) -> Network:
        """Dense layers of these sizes with leaky rectifiers between them: `[2, 64, 64, 1]`."""
        rng = np.random.default_rng(seed)
        layers: list[Layer] = []
        for inputs, outputs in pairwise(sizes):
            layers += [Dense(inputs, outputs, rng), Leaky()]
        return cls(layers[:-1])

    def forward(self, x: Array) -> Array:
        """From the first layer to the last."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, g: Array) -> Array:
        """From the last layer to the first; the derivative by the input."""
        for layer in reversed(self.layers):
            g = layer.backward(g)
        return g

    @property
    def weights(self) -> list[Array]:
        """Every array that can be learned."""
        return [w for layer in self.layers if isinstance(layer, Dense) for w in (layer.weight, layer.bias)]

    @property
    def gradients(self) -> list[Array]:
        """The loss's derivatives by them, after `backward`."""
        return [g for layer in self.layers if isinstance(layer, Dense) for g in (layer.by_weight, layer.by_bias)]
