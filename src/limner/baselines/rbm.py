"""A restricted Boltzmann machine, trained by persistent contrastive divergence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from limner.baselines.base import Baseline, Learnt, Vectors, scikit
from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.base import Model
from limner.models.classical import RBMGenerator

PARTICLES = 128
"""Images from which chains of samples begin."""
BURN = 100
"""Gibbs steps before they are kept."""


@register
@dataclass(frozen=True)
class RBM(Baseline):
    """Restricted Boltzmann machine over black and white pixels, by persistent contrastive divergence (Tieleman 2008).

    hidden: hidden units
    epochs: times that each image is seen
    lr: learning rate
    steps: Gibbs steps a sample
    """

    hidden: int = 128
    epochs: int = 10
    lr: float = 0.05
    steps: int = 5

    def nets(self, image: Image, classes: int) -> dict[str, Model]:
        return {"generator": RBMGenerator(image, classes, self.hidden, self.steps, PARTICLES)}

    def learn(self, x: Vectors, seed: int) -> Learnt:
        kind = scikit("neural_network").BernoulliRBM
        batch = min(50, len(x))
        fitted = kind(self.hidden, learning_rate=self.lr, batch_size=batch, n_iter=self.epochs, random_state=seed)
        share = (x + 1) / 2
        fitted.fit(share)
        rng = np.random.default_rng(seed)
        dreamt = (rng.random((PARTICLES, x.shape[1])) < share[rng.integers(0, len(x), PARTICLES)]).astype(float)
        for _ in range(BURN):
            dreamt = fitted.gibbs(dreamt).astype(float)
        return {
            "weights": fitted.components_,
            "hidden_bias": fitted.intercept_hidden_,
            "visible_bias": fitted.intercept_visible_,
            "particles": dreamt,
        }
