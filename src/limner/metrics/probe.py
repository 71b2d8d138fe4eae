"""A linear probe: does a linear classifier of the features, taught on real pictures, name samples as what was asked?

It needs no network that knows these very classes, so it works on features of a network trained on other pictures
(Alain and Bengio 2016). The classifier never sees a generated picture, and its own accuracy on real pictures that it
was not taught on stands beside the score: that is what a perfect generator would get.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from limner.core.shares import wilson
from limner.core.spec import register
from limner.metrics.base import Features, Metric, Reading, Seen, Sets
from limner.metrics.labels import READS, labelled

STEPS = 100
"""Of L-BFGS over all pictures at once; the loss is convex and these bring it to its least."""


@dataclass(frozen=True)
class LinearClassifier:
    """Features → class numbers: multinomial logistic regression of features moved to mean 0 and scaled to rms 1."""

    mean: Float[Tensor, " d"]
    size: Float[Tensor, ""]
    layer: nn.Linear

    def __call__(self, features: Features) -> Int[Tensor, " n"]:
        """The likeliest class of each row."""
        return self.layer((features.float() - self.mean) / self.size).argmax(1)


@register
@dataclass(frozen=True)
class LinearProbeAccuracy(Metric):
    """Share of generated images named as asked by a linear classifier of the features that real images taught.

    Taught on the training images where they are known, else on half of the real ones; the floor is its accuracy on
    real images that it was not taught on.

    penalty: weight of half the squared weights beside the mean loss
    """

    better: ClassVar[str] = "higher"
    label: ClassVar[str] = "label accuracy (linear probe)"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    wants: ClassVar[tuple[str, ...]] = ("labels",)

    penalty: float = 0.1

    def lacks(self, sets: Sets) -> str:
        """Needs ten labelled images a class to be taught on, and half of the real ones named right."""
        taught_on, n = self._teacher(sets), 10 * max(2, sets.classes)
        if taught_on is None or len(taught_on) < n:
            known = 0 if taught_on is None else len(taught_on)
            return f"{known:,} labelled images are too few to teach {sets.classes} classes, {n:,} do"
        share, _ = self._named(sets, sets.floor[0])
        return f"it names {share:.0%} of the real images right; take other --features" if share < READS else ""

    def score(self, sets: Sets) -> Reading:
        """Both shares, with Wilson's interval."""
        (share, n), (floor, floor_n) = self._named(sets, sets.fake), self._named(sets, sets.floor[0])
        return Reading(share, *wilson(share, n), n, floor, floor_n)

    def _named(self, sets: Sets, seen: Seen) -> tuple[float, int]:
        """Share of images whose class the classifier names, and of how many."""
        seen = labelled(seen)
        assert seen.labels is not None
        classify = sets.once(f"linear probe {self.penalty}", lambda: self._taught(sets))
        return float((classify(seen.features) == seen.labels).double().mean()), len(seen)

    def _teacher(self, sets: Sets) -> Seen | None:
        """The labelled real images to teach on; none of them are in the first half of the floor."""
        known = sets.train if sets.train is not None else sets.floor[1]
        return None if known.labels is None or sets.floor[0].labels is None else labelled(known)

    def _taught(self, sets: Sets) -> LinearClassifier:
        teacher = self._teacher(sets)
        assert teacher is not None and teacher.labels is not None
        return taught(teacher.features, teacher.labels, sets.classes, self.penalty)


def taught(features: Features, label: Int[Tensor, " n"], classes: int, penalty: float) -> LinearClassifier:
    """The classifier with the least mean cross-entropy + penalty / 2 · |weights|² on these rows."""
    x = features.float()
    mean = x.mean(0)
    size = (x - mean).square().mean().sqrt().clamp_min(1e-12)
    x = (x - mean) / size
    layer = nn.Linear(x.shape[1], classes, device=x.device)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(layer(x), label) + penalty / 2 * layer.weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return LinearClassifier(mean, size, layer.requires_grad_(False))
