"""Tests for memorised training images: are generated images nearer to the training set than new real ones are?

A `Case` is what the tests look at: training images, as many generated and held-out ones, and how far each lies from
the training set, found once for all tests. Each test stands beside two controls: a held-out half in the place of the
generated images, which is innocent, and training images themselves, which are guilty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.core.errors import UserError
from limner.core.shares import NORMAL_95
from limner.metrics.base import Features, Metric, Reading, Sets, halves
from limner.metrics.neighbours import squared_distances

SURE = 3.0
"""Standard errors from the innocent control that make a test call a generator a copier."""
Rows = Int[Tensor, " _"]


class Near(NamedTuple):
    """The nearest row of another set, for each row of one."""

    distance: Float[Tensor, " n"]
    """Squared."""
    which: Int[Tensor, " n"]
    """Its number."""

    def rows(self, picked: Rows) -> Near:
        """Of some rows."""
        return Near(self.distance[picked], self.which[picked])


def nearest(a: Features, b: Features | None = None) -> Near:
    """The nearest row of b for each of a; without b, the nearest other row of a. Distances are made in blocks."""
    found = [d.min(1) for d in squared_distances(a, b)]
    return Near(torch.cat([f.values for f in found]), torch.cat([f.indices for f in found]))


@dataclass(frozen=True)
class Case:
    """Generated and held-out images as seen from the training set."""

    train: Features
    fake: Features
    held_out: Features
    fake_near: Near
    held_near: Near

    @classmethod
    def of(cls, train: Features, fake: Features, held_out: Features | None) -> Case:
        """Finds the neighbours. Raises UserError without held-out images."""
        if held_out is None or min(len(train), len(fake), len(held_out)) < 2:
            raise UserError("a test for memorised images needs training, generated and held-out ones, two of each")
        return cls(train, fake, held_out, nearest(fake, train), nearest(held_out, train))

    def pick(self, fake: Rows, held_out: Rows) -> Case:
        """Some of the generated and of the held-out images, against the same training set."""
        parts = self.fake[fake], self.held_out[held_out], self.fake_near.rows(fake), self.held_near.rows(held_out)
        return Case(self.train, *parts)

    def innocent(self) -> Case:
        """One half of the held-out images in the place of the generated, against the other half."""
        a, b = halves(len(self.held_out))
        swapped = Case(self.train, self.held_out, self.held_out, self.held_near, self.held_near)
        return swapped.pick(a, b)

    def guilty(self) -> Case:
        """As many training images, or all there are, in the place of the generated."""
        order = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(0))
        copied = order[: len(self.fake)].to(self.train.device)
        near = Near(torch.zeros(len(copied), dtype=torch.float64, device=copied.device), copied)
        return Case(self.train, self.train[copied], self.held_out, near, self.held_near)


class Measured(NamedTuple):
    """A test's score of a case."""

    value: float
    error: float
    """Standard error over fresh generated and held-out images, the training set given."""


@dataclass(frozen=True)
class Memory(Metric):
    """A test for memorised training images, called with training, generated and held-out features."""

    quantile: ClassVar[float] = NORMAL_95
    wants: ClassVar[tuple[str, ...]] = ("train",)
    chance: ClassVar[float | None] = None
    """The score of a generator that learned the distribution, where that is known."""

    def __call__(self, real: Features, fake: Features, held_out: Features | None = None) -> float:
        """`real` is the training set; `held_out` are real images that it lacks."""
        return self.measure(Case.of(real, fake, held_out)).value

    def measure(self, case: Case) -> Measured:
        """The score of a case."""
        raise NotImplementedError

    def reach(self, found: Measured, n: int) -> tuple[float, float]:
        """The 95 % interval of what was found with n generated images."""
        away, (low, high) = self.quantile * found.error, self.bounds
        return max(low, found.value - away), min(high, found.value + away)

    def surely(self, found: Measured, innocent: Measured) -> float:
        """Standard errors by which this is more like copies than the innocent control and than chance.

        3 and more is sure. Held-out images may lie near each other for a reason of their own (digits of one writer),
        which a generator does not share: what is no more than chance says is not called a copy.
        """
        worse = -1.0 if self.better == "higher" else 1.0
        beyond = [worse * (found.value - innocent.value) / max(math.hypot(found.error, innocent.error), 1e-12)]
        if self.chance is not None:
            beyond.append(worse * (found.value - self.chance) / max(found.error, 1e-12))
        return min(beyond)

    def score(self, sets: Sets) -> Reading:
        """The score, its controls, and whether images were memorised."""
        assert sets.train is not None
        train, fake, held_out = sets.train.features, sets.fake.features, sets.real.features
        case = sets.once("memory", lambda: Case.of(train, fake, held_out))
        half = case.innocent()
        found, innocent, guilty = self.measure(case), self.measure(half), self.measure(case.guilty())
        sure = self.surely(found, innocent)
        verdict = f"copies: by {sure:.0f} standard errors" if sure >= SURE else "no sign of copies"
        controls = (("held-out real", innocent.value), ("copies of training", guilty.value))
        reach = self.reach(found, len(fake))
        return Reading(
            found.value, *reach, len(fake), innocent.value, len(half.fake), controls=controls, verdict=verdict
        )
