"""Principal components: the best linear autoencoder, and the simplest generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from limner.baselines.base import Baseline, Learnt, Vectors, scikit
from limner.core.errors import UserError
from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.base import Model
from limner.models.classical import PCAEncoder, PCAGenerator

FLOOR = 1e-8
"""Least variance of the grain: pixels that are the same in all images have none."""


@register
@dataclass(frozen=True)
class PCA(Baseline):
    """Probabilistic principal components by their closed form (Tipping & Bishop 1999, eq. 7–8).

    components: directions
    noise: whether samples show the grain that the density has
    """

    components: int = 64
    noise: bool = False

    def nets(self, image: Image, classes: int) -> dict[str, Model]:
        if not 0 < self.components < image.size:
            raise UserError(f"components={self.components}: {image} has room for 1 to {image.size - 1}")
        generator = PCAGenerator(image, classes, self.components, self.noise)
        return {"generator": generator, "encoder": PCAEncoder(image, classes, self.components)}

    def learn(self, x: Vectors, seed: int) -> Learnt:
        fitted = principal(x, self.components, seed)
        scale = (fitted.explained_variance_ - fitted.noise_variance_).clip(0)[:, None] ** 0.5
        return {
            "mean": fitted.mean_,
            "axes": fitted.components_ * scale,
            "sigma": float(np.sqrt(max(fitted.noise_variance_, FLOOR))),
        }


def principal(x: Vectors, components: int, seed: int) -> Any:
    """scikit-learn's PCA. Raises UserError when there are too few images for so many components."""
    if components >= len(x):
        raise UserError(f"{components} components need more than {components} pictures, and there are {len(x)}")
    return scikit("decomposition").PCA(components, svd_solver="full", random_state=seed).fit(x)
