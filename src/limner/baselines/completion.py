"""Missing parts of images predicted from the rest by regression: what a restoration has to beat.

The predictors are those of scikit-learn's example of multi-output regression on halves of faces, and a few more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from limner.baselines.base import Vectors, scikit
from limner.core.errors import UserError
from limner.core.spec import register


class Completer:
    """Options of a regression from the pixels that are there to those that are missing."""

    def regression(self, seed: int) -> Any:
        """A scikit-learn regressor of many outputs, not fitted yet."""
        raise NotImplementedError


def complete(
    method: Completer, train: Vectors, damaged: Vectors, missing: Bool[np.ndarray, " size"], seed: int = 0
) -> Vectors:
    """`damaged` with its `missing` numbers predicted by a regression on whole `train` images, in [-1, 1]."""
    if missing.all() or not missing.any():
        raise UserError("a part of the image must be missing and a part must be there")
    fitted = method.regression(seed).fit(train[:, ~missing], train[:, missing])
    whole = damaged.copy()
    whole[:, missing] = fitted.predict(damaged[:, ~missing]).clip(-1, 1)
    return whole


@register
@dataclass(frozen=True)
class Ridge(Completer):
    """Linear regression with a penalty on squared weights.

    alpha: the penalty's weight
    """

    alpha: float = 100.0

    def regression(self, seed: int) -> Any:
        return scikit("linear_model").Ridge(self.alpha)


@register
@dataclass(frozen=True)
class Neighbours(Completer):
    """The mean of the nearest images' missing parts.

    k: how many
    """

    k: int = 5

    def regression(self, seed: int) -> Any:
        return scikit("neighbors").KNeighborsRegressor(self.k)


@register
@dataclass(frozen=True)
class ExtraTrees(Completer):
    """Extremely randomised trees (Geurts et al. 2006).

    trees: how many
    features: pixels that are tried at a split
    """

    trees: int = 20
    features: int = 32

    def regression(self, seed: int) -> Any:
        kind = scikit("ensemble").ExtraTreesRegressor
        return kind(self.trees, max_features=self.features, min_samples_leaf=2, random_state=seed)


@register
@dataclass(frozen=True)
class LinearSVM(Completer):
    """A linear support vector regression for each principal component of what is missing.

    c: weight of errors against that of weights
    inputs: principal components of what is there
    outputs: principal components of what is missing
    """

    c: float = 1.0
    inputs: int = 50
    outputs: int = 30

    def regression(self, seed: int) -> Any:
        one = scikit("svm").LinearSVR(C=self.c, dual=False, loss="squared_epsilon_insensitive", random_state=seed)
        return _between(scikit("multioutput").MultiOutputRegressor(one), self.inputs, self.outputs, seed)


@register
@dataclass(frozen=True)
class KernelSVM(Completer):
    """A support vector regression with Gaussian kernels for each principal component of what is missing.

    c: weight of errors against that of weights
    inputs: principal components of what is there
    outputs: principal components of what is missing
    """

    c: float = 10.0
    inputs: int = 50
    outputs: int = 30

    def regression(self, seed: int) -> Any:
        one = scikit("svm").SVR(C=self.c, epsilon=0.1)
        return _between(scikit("multioutput").MultiOutputRegressor(one), self.inputs, self.outputs, seed)


@register
@dataclass(frozen=True)
class Polynomial(Completer):
    """Ridge regression on products of principal components.

    degree: most factors of a product
    inputs: principal components of what is there
    alpha: weight of the penalty on squared weights
    """

    degree: int = 2
    inputs: int = 40
    alpha: float = 1000.0

    def regression(self, seed: int) -> Any:
        products = scikit("preprocessing").PolynomialFeatures(self.degree, include_bias=False)
        return scikit("pipeline").make_pipeline(
            _components(self.inputs, seed), products, Ridge(self.alpha).regression(0)
        )


def _components(count: int, seed: int) -> Any:
    return scikit("decomposition").PCA(count, random_state=seed)


def _between(regression: Any, inputs: int, outputs: int, seed: int) -> Any:
    """From principal components to principal components."""
    kind = scikit("compose").TransformedTargetRegressor
    targets = kind(regression, transformer=_components(outputs, seed), check_inverse=False)
    return scikit("pipeline").make_pipeline(_components(inputs, seed), targets)
