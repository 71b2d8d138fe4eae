"""What a score is: a function of features of real and generated images, and what features are.

A score without its error is half a score, so every metric also knows its standard error at the n it was
given. The general way compares halves of the sets: rows are left out, never repeated, because the duplicates
of a bootstrap bias Fréchet, kernel and nearest-neighbour scores alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from limner.core.pretrained import Pretrained
from limner.metrics.inputs import Images, at_most
from limner.metrics.sight import Sight

T = TypeVar("T")
Features = Float[Tensor, "_ d"]
LONGEST = 64
"""Longer side of the pictures that networks are trained on, in pixels."""
SMALL = f"pixels, to at most {LONGEST} px, bilinear, antialiased"
"""What scores of `small` pictures look at."""
SPLITS = 8
T_95 = 2.306
"""97.5 % quantile of Student's t with SPLITS degrees of freedom."""


@dataclass(frozen=True)
class Seen:
    """One set of images as scores see it.

    features: (n, d)
    images: uint8 (n, c, h, w), reduced to at most 64 pixels; None where no score asked for them
    labels: class numbers (n,), what was asked for or what is known, -1 = unknown; None = there are none
    answers: p(class) (n, k) by the extractor's own head; None where it has none
    sight: what the eye sees at once; None where no score asked for it, or the images are too small
    """

    features: Float[Tensor, "n d"]
    images: UInt8[Tensor, "n _ _ _"] | None = None
    labels: Int[Tensor, " n"] | None = None
    answers: Float[Tensor, "n k"] | None = None
    sight: Sight | None = None

    def __len__(self) -> int:
        return len(self.features)

    def rows(self, picked: Int[Tensor, " m"]) -> Seen:
        """Some of them."""
        images, labels, answers = (None if t is None else t[picked] for t in (self.images, self.labels, self.answers))
        return Seen(self.features[picked], images, labels, answers, self.sight and self.sight.rows(picked))


@dataclass(frozen=True)
class Sets:
    """What a score may be computed from.

    real: images that the model was not trained on
    fake: as many generated ones
    floor: two sets of real images, what would be `real` and `fake` of a perfect generator
    train: the images that the model was trained on, all of them
    rebuilt: some of the real images, and what the model's encoder and generator made of them
    classes: how many the data has names of
    made: what several scores share
    """

    real: Seen
    fake: Seen
    floor: tuple[Seen, Seen]
    train: Seen | None = None
    rebuilt: tuple[Images, Images] | None = None
    classes: int = 0
    made: dict[str, Any] = field(default_factory=dict[str, Any])

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What the first score that needed it made."""
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]


@dataclass(frozen=True)
class Reading:
    """A score of some sets, and what is needed to judge it.

    value: the score
    low: lower end of its 95 % interval
    high: upper end
    n: images of either kind
    floor: the score of real against other real images
    floor_n: images of either kind in the floor
    p_value: chance of so high a score where real and generated are alike; None where it is no test
    controls: further sets whose score is known to be good or bad, by name
    verdict: what it says, in words, where it can be said
    on: what was looked at where that is not the features, and what was done to its size: `pixels, as they are`
    """

    value: float
    low: float
    high: float
    n: int
    floor: float
    floor_n: int
    p_value: float | None = None
    controls: tuple[tuple[str, float], ...] = ()
    verdict: str = ""
    on: str = ""


class Extractor:
    """Images → features. Calling it is pure: the same image gives the same row in any batch."""

    name: str
    """Short and readable: `in-domain`, `random`, the weights file's stem."""
    resize: str = "as they are"
    """What is done to the size of the images first, in words; the digest holds it too."""
    backbone: str = ""
    """The pretrained network that it looks through, named as model files name the one that they were trained with;
    empty where the network is trained on the pictures themselves or not at all."""

    @property
    def digest(self) -> str:
        """Hash of the weights and of the resize rule; scores with different digests do not compare."""
        raise NotImplementedError

    def __call__(self, x: Images) -> Features:
        """Features of images in [-1, 1], float32, without gradient, on the device of the images."""
        raise NotImplementedError

    def biased(self, trained_with: Iterable[Pretrained]) -> str:
        """Why it cannot judge a model that was trained with these networks: it looks through one of them."""
        same = next((one for one in trained_with if one.is_same(self.backbone, self.digest)), None)
        if same is None:
            return ""
        other = "in-domain" if self.name.startswith("photographs") else "photographs"
        return f"the model was trained with {same.name}, the network of these features; take --features {other}"

    def answers(self, features: Features) -> Float[Tensor, "_ k"] | None:
        """p(class) as the network's own head reads its features; None where it has no head."""
        return None


@dataclass(frozen=True)
class Metric:
    """A score of generated features against real ones."""

    better: ClassVar[str] = "lower"
    """`lower` or `higher`."""
    label: ClassVar[str] = ""
    """What a table calls it: `Fréchet distance`."""
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    """What the score cannot leave; intervals are cut there."""
    quantile: ClassVar[float] = T_95
    """Half the width of an interval, in standard errors."""
    wants: ClassVar[tuple[str, ...]] = ()
    """What it needs beside features: `images`, `sight`, `train`, `labels`, `answers`, `rebuilt`."""
    of_features: ClassVar[bool] = True
    """Whether the score depends on the features; False where it looks at the pixels alone."""

    def lacks(self, sets: Sets) -> str:
        """Why it must be withheld, and which score to take instead; empty where it can be computed.

        Called only where everything that it wants is there.
        """
        return ""

    def score(self, sets: Sets) -> Reading:
        """The score with its interval and floor."""
        real, fake = sets.real.features, sets.fake.features
        a, b = (side.features for side in sets.floor)
        value = self(real, fake)
        low, high = self.interval(real, fake, value)
        return Reading(value, low, high, len(real), self(a, b), len(a))

    def __call__(self, real: Features, fake: Features, held_out: Features | None = None) -> float:
        """The score, computed in float64; the rows are independent samples. What needs more has only `score`."""
        raise NotImplementedError

    def error(self, real: Features, fake: Features) -> float:
        """Standard error of the score over fresh draws of both sets, from random halves that share no row.

        Two halves differ by twice the variance at n / 2, which is twice the variance at n; the mean over SPLITS
        random ways to halve steadies it. The order of the rows decides the splits.
        """
        return math.sqrt(sum((a - b) ** 2 for a, b in self.halves(real, fake)) / (4 * SPLITS))

    def halves(self, real: Features, fake: Features) -> list[tuple[float, float]]:
        """The score of either half, for SPLITS random ways to halve both sets."""
        rng = torch.Generator().manual_seed(0)
        pairs = [(_halves(real, rng), _halves(fake, rng)) for _ in range(SPLITS)]
        return [(self(r[0], f[0]), self(r[1], f[1])) for r, f in pairs]

    def interval(self, real: Features, fake: Features, value: float) -> tuple[float, float]:
        """95 % interval, around the score `value`, for the mean of the score over fresh draws of this size."""
        reach = self.quantile * self.error(real, fake)
        low, high = self.bounds
        return max(low, value - reach), min(high, value + reach)


def halves(n: int, seed: int = 0) -> tuple[Int[Tensor, " _"], Int[Tensor, " _"]]:
    """Two random sets of n // 2 row numbers that share none."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    return order[: n // 2], order[n // 2 : 2 * (n // 2)]


def small(x: Images) -> UInt8[Tensor, "n _ _ _"]:
    """Pictures in [-1, 1] as scores of pixels take them: bytes, of at most 64 pixels."""
    return at_most(x.float(), LONGEST).add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def double(features: Features) -> Features:
    """float64, where the arithmetic of scores is done."""
    return features.to(torch.float64)


def rows_per_block(columns: int) -> int:
    """How many rows of a float64 matrix this wide fit in 64 MB."""
    return max(1, 8_000_000 // max(1, columns))


def _halves(features: Features, rng: torch.Generator) -> tuple[Features, Features]:
    half = len(features) // 2
    order = torch.randperm(len(features), generator=rng).to(features.device)
    return features[order[:half]], features[order[half : 2 * half]]
