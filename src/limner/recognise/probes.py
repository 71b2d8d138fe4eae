"""Two plain classifiers of features: logistic regression and nearest neighbours, by scikit-learn.

Each has one option, chosen on nothing but the labels it is given; every kind of feature is treated alike.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from limner.baselines.base import scikit

Rows = Float[np.ndarray, "_ d"]
Classes = Int[np.ndarray, " _"]
FOLDS = 5
MANY = 1000
"""Labels above which one fifth is kept back to choose the option, instead of each fifth in turn."""


@dataclass(frozen=True)
class Kind:
    """A classifier.

    name: as a table calls it
    values: that are tried of its option, the plainest first: of equals it is taken
    usual: where there are too few labels to choose by
    make: of a value and a number of pictures, a scikit-learn classifier
    """

    name: str
    values: tuple[float, ...]
    usual: float
    make: Callable[[float, int], Any]


def _regression(weight: float, n: int) -> Any:
    # pictures weigh by their mean, so that the penalty does not fade with their number
    return scikit("linear_model").LogisticRegression(C=weight / n, max_iter=200, tol=1e-3)


def _neighbours(k: float, n: int) -> Any:
    return scikit("neighbors").KNeighborsClassifier(min(int(k), n), algorithm="brute")


KINDS = {
    "logistic": Kind("logistic regression", (1.0, 10.0, 100.0, 1e3, 1e4, 1e5), 100.0, _regression),
    "knn": Kind("k-NN", (1, 3, 5, 10, 20), 1, _neighbours),
}


@dataclass(frozen=True)
class Scale:
    """Features moved and scaled as a whole: their mean becomes 0 and the mean of their squares 1.

    One number scales all, so that distances keep their order and a rotation changes nothing.
    """

    mean: Float[np.ndarray, " d"]
    size: float

    @classmethod
    def of(cls, x: Rows) -> Scale:
        """From pictures without their labels."""
        mean = x.mean(0, dtype=np.float64)
        return cls(mean.astype(np.float32), max(float(np.sqrt(np.square(x - mean).mean())), 1e-12))

    def __call__(self, x: Rows) -> Rows:
        return ((x - self.mean) / self.size).astype(np.float32)


@dataclass(frozen=True)
class Fitted:
    """A trained classifier and the value of its option."""

    classifier: Any
    value: float

    def __call__(self, x: Rows) -> Classes:
        """Class numbers."""
        return self.classifier.predict(x)


def fit(kind: Kind, x: Rows, y: Classes, seed: int = 0) -> Fitted:
    """Train on all of it, with the option that names most of what is kept back."""
    value = _chosen(kind, x, y, seed)
    return Fitted(_trained(kind, value, x, y), value)


def _chosen(kind: Kind, x: Rows, y: Classes, seed: int) -> float:
    parts = list(_parts(y, seed))
    if not parts:
        return kind.usual

    def right(value: float) -> float:
        return sum(float((_trained(kind, value, x[a], y[a]).predict(x[b]) == y[b]).sum()) for a, b in parts)

    return max(kind.values, key=right)


def _parts(y: Classes, seed: int) -> list[tuple[Classes, Classes]]:
    """(learn from, judge by), each with all classes; none where a class has a single label."""
    folds = min(FOLDS, int(np.unique(y, return_counts=True)[1].min()))
    if folds < 2:
        return []
    splitter = scikit("model_selection").StratifiedKFold(folds, shuffle=True, random_state=seed)
    parts = list(splitter.split(np.zeros(len(y)), y))
    return parts[:1] if len(y) > MANY else parts


def _trained(kind: Kind, value: float, x: Rows, y: Classes) -> Any:
    with warnings.catch_warnings():
        # 200 steps are enough for a probe, whether or not the last one still moved
        warnings.simplefilter("ignore", scikit("exceptions").ConvergenceWarning)
        return kind.make(value, len(x)).fit(x, y)
