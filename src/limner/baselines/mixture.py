"""A Gaussian mixture in the space of the first principal components."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from limner.baselines.base import Baseline, Learnt, Vectors, scikit
from limner.baselines.pca import principal
from limner.core.errors import UserError
from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.base import Model
from limner.models.classical import MixtureGenerator


@register
@dataclass(frozen=True)
class Mixture(Baseline):
    """Gaussian mixture with full covariances, by expectation-maximisation.

    components: Gaussians
    directions: principal components in which they live
    floor: least variance along any direction, in the [-1, 1] range squared
    """

    components: int = 20
    directions: int = 32
    floor: float = 1e-3

    def nets(self, image: Image, classes: int) -> dict[str, Model]:
        if not 0 < self.directions <= image.size:
            raise UserError(f"directions={self.directions}: {image} has room for 1 to {image.size}")
        return {"generator": MixtureGenerator(image, classes, self.components, self.directions)}

    def learn(self, x: Vectors, seed: int) -> Learnt:
        if self.components > len(x):
            raise UserError(f"{self.components} components need as many pictures, and there are {len(x)}")
        axes = principal(x, self.directions, seed)
        kind = scikit("mixture").GaussianMixture
        fitted = kind(self.components, reg_covar=self.floor, random_state=seed, max_iter=50, tol=1e-2)
        with warnings.catch_warnings():
            # fifty rounds are enough for a rival, whether or not the last one still moved
            warnings.simplefilter("ignore", scikit("exceptions").ConvergenceWarning)
            fitted.fit(axes.transform(x))
        return {
            "mean": axes.mean_,
            "axes": axes.components_,
            "centres": fitted.means_,
            "factors": np.linalg.cholesky(fitted.covariances_),
            "weights": fitted.weights_,
            "sigma": float(np.sqrt(max(axes.noise_variance_, self.floor))),
        }
