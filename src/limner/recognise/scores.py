"""How many pictures are named right, with few labels and with many, and how sure that number is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt8

from limner.core.errors import UserError
from limner.core.rng import derived
from limner.core.shares import wilson
from limner.recognise.features import View
from limner.recognise.probes import Fitted, Kind, Scale, fit

Bytes = UInt8[np.ndarray, "_ h w c"]
Classes = Int[np.ndarray, " _"]


@dataclass(frozen=True)
class Labelled:
    """Pictures whose class is known.

    pixels: uint8 (n, h, w, c)
    labels: class numbers (n,)
    """

    pixels: Bytes
    labels: Classes

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Score:
    """Share of test pictures named right.

    features: that were looked at
    probe: the classifier
    labels: how many it learnt from
    right: the share, 0 to 1, for each draw of labels
    n: test pictures
    value: of the classifier's option, in the first draw
    """

    features: str
    probe: str
    labels: int
    right: tuple[float, ...]
    n: int
    value: float = 0.0

    @property
    def mean(self) -> float:
        """Over draws."""
        return sum(self.right) / len(self.right)

    @property
    def interval(self) -> tuple[float, float]:
        """95 %: Wilson's for one draw; for several Student's, of the mean over draws on this test set."""
        if len(self.right) == 1:
            return wilson(self.mean, self.n)
        from scipy.stats import t

        spread = float(np.std(self.right, ddof=1)) / math.sqrt(len(self.right))
        reach = float(t.ppf(0.975, len(self.right) - 1)) * spread
        return max(0.0, self.mean - reach), min(1.0, self.mean + reach)


@dataclass(frozen=True)
class Done:
    """One score, the classifier of its first draw, what that said of the test pictures, and the share of the work."""

    score: Score
    fitted: Fitted
    scale: Scale
    said: Classes
    share: float


def recognise(
    views: Sequence[View],
    train: Labelled,
    test: Labelled,
    *,
    kinds: Sequence[Kind],
    counts: Sequence[int] = (10, 100, 1000),
    draws: int = 5,
    seed: int = 0,
) -> Iterator[Done]:
    """Every view by every kind of classifier from every number of labels, the last of them all there are.

    Draws of labels are the same for every view and kind. Raises UserError for fewer than two classes.
    """
    classes = np.unique(train.labels)
    if len(classes) < 2:
        raise UserError(f"recognising needs pictures of two classes or more, and these are of {len(classes)}")
    sizes = [*sorted({c for c in counts if len(classes) <= c < len(train)}), len(train)]
    total = len(views) * sum(draws if size < len(train) else 1 for size in sizes) * len(kinds)
    over = 0
    for view in views:
        x, unseen = view.rows(train.pixels), view.rows(test.pixels)
        scale = Scale.of(x)
        x, unseen = scale(x), scale(unseen)
        for kind in kinds:
            for size in sizes:
                picked = [drawn(train.labels, size, seed, k) for k in range(draws if size < len(train) else 1)]
                fits = [fit(kind, x[rows], train.labels[rows], seed) for rows in picked]
                said = [fitted(unseen) for fitted in fits]
                right = tuple(float((s == test.labels).mean()) for s in said)
                over += len(picked)
                score = Score(view.name, kind.name, size, right, len(test), fits[0].value)
                yield Done(score, fits[0], scale, said[0], over / total)


def drawn(labels: Classes, size: int, seed: int, draw: int = 0) -> Classes:
    """Rows of `size` pictures, as many of each class as there can be; of classes that differ by one it is drawn which.

    Draw number `draw` of a size does not depend on how many draws are made.
    """
    if size >= len(labels):
        return np.arange(len(labels))
    rng = np.random.default_rng(derived(seed, size, f"labels {draw}"))
    order = rng.permutation(len(labels))
    # each picture's place among those of its class: the first of each class come first
    place = np.empty(len(labels), np.int64)
    for k in np.unique(labels):
        rows = order[labels[order] == k]
        place[rows] = np.arange(len(rows))
    tie = rng.permutation(len(labels))
    return np.sort(np.lexsort((tie, place))[:size])
