"""What a baseline is: a model that is fitted to images in one go and then is a generator like any other.

`fit` gives networks by role, ready for a model file. scikit-learn does the fitting and is needed only for that.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from limner.core.errors import Missing, UserError
from limner.core.pixels import Image
from limner.data.images import Images
from limner.models.base import Model

Vectors = Float[np.ndarray, "_ size"]
Learnt = dict[str, NDArray[Any] | float]
"""What was learnt, by the name that the networks give it."""
LEAST = 2
"""Images below which nothing can be fitted."""


class Baseline:
    """Options of a classical model."""

    def nets(self, image: Image, classes: int) -> dict[str, Model]:
        """Networks by role, not fitted yet."""
        raise NotImplementedError

    def learn(self, x: Vectors, seed: int) -> Learnt:
        """What the networks must hold of images (n, size) in [-1, 1]."""
        raise NotImplementedError

    def fit(self, images: Images, *, labelled: bool = False, seed: int = 0) -> dict[str, Model]:
        """Networks by role, fitted to all images and, if `labelled`, to those of each class as well."""
        if labelled and images.labels is None:
            raise UserError(f"{images.source} has no labels; leave out --labels")
        nets = self.nets(images.image, len(images.names) if labelled else 0)
        for k in range(1 + (len(images.names) if labelled else 0)):
            rows = np.arange(len(images)) if k == 0 else np.flatnonzero(images.labels == k - 1)
            if len(rows) < LEAST:
                what = f"of the class {images.names[k - 1]}" if k else "in all"
                raise UserError(f"{images.source} has {len(rows)} pictures {what}; fitting needs {LEAST} or more")
            for name, value in self.learn(vectors(np.asarray(images.pixels[rows])), seed).items():
                _write(nets, name, k, value)
        return {role: net.eval().requires_grad_(False) for role, net in nets.items()}


def vectors(pixels: NDArray[np.uint8]) -> Vectors:
    """uint8 (n, h, w, c) → float64 (n, size) in [-1, 1], in the networks' order: channel, row, column."""
    return pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1) / 127.5 - 1


def scikit(module: str) -> Any:
    """A module of scikit-learn. Raises Missing where it is not installed."""
    try:
        return importlib.import_module(f"sklearn.{module}")
    except ModuleNotFoundError as error:
        if error.name != "sklearn":
            raise
        raise Missing("baselines are fitted by scikit-learn: pip install 'limner[baselines]'") from None


def _write(nets: dict[str, Model], name: str, k: int, value: NDArray[Any] | float) -> None:
    for net in nets.values():
        if name in net.state_dict():
            with torch.no_grad():
                net.state_dict()[name][k] = torch.as_tensor(value)
