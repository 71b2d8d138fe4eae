"""A study: what raters are asked, and who sees which pictures in which order.

Everything follows from the settings and the seed. Each rater judges the same items in another random order, half of
them fakes, so that raters can be compared and nothing can be learnt from the order. Pictures are numbered: the real
ones first, then the fakes; people see a token in place of the number.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from limner.core.errors import UserError
from limner.core.rng import derived
from limner.judging import staircase

MODES = ("single", "pair")
SHORTEST, LONGEST = 10.0, 10_000.0
"""Bounds of an exposure in milliseconds: less than a frame cannot be shown."""


@dataclass(frozen=True)
class Study:
    """The settings of a study.

    mode: `single`, real or fake; `pair`, which of two is real
    exposure: `none` for as long as one likes, `staircase`, or a time as `250ms`
    trials: answers asked of each rater
    precision: half the width of the interval of the error rate that is enough
    seed: of the order, and of which pictures were drawn
    model: where the fakes are from, as the user gave it
    data: where the real ones are from
    pictures: hash of those that are shown, so that a study does not go on with others
    """

    mode: str
    exposure: str
    trials: int
    precision: float = 0.05
    seed: int = 0
    model: str = ""
    data: str = ""
    pictures: str = ""

    @property
    def reals(self) -> int:
        """How many real pictures are shown."""
        return self.trials if self.mode == "pair" else self.trials - self.trials // 2

    @property
    def fakes(self) -> int:
        """How many fakes are shown."""
        return self.trials if self.mode == "pair" else self.trials // 2

    @property
    def adaptive(self) -> bool:
        """Whether the exposure follows the answers, so that the error rate is the staircase's and not the model's."""
        return self.exposure == "staircase"

    def milliseconds(self, right: list[bool]) -> float | None:
        """The exposure after these answers; None where there is no limit."""
        if self.adaptive:
            return staircase.climb(right).milliseconds
        return None if self.exposure == "none" else float(self.exposure.removesuffix("ms"))


@dataclass(frozen=True)
class Trial:
    """One question.

    number: its place in the rater's order, from 0
    item: what is judged: a picture's number, or a pair's; the same question for every rater
    pictures: numbers of the pictures, as shown from left to right
    truth: the right answer: 1 for a real picture and 0 for a fake; of a pair, the place of the real one
    """

    number: int
    item: int
    pictures: tuple[int, ...]
    truth: int


def exposure(text: str) -> str:
    """`250ms`, `0.25s`, `none`, `staircase` as a study keeps it. Raises UserError for anything else."""
    plain = text.strip().lower()
    if plain in ("none", "staircase"):
        return plain
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)", plain)
    span = float(parts[1]) * (1000 if parts[2] == "s" else 1) if parts else 0.0
    if not SHORTEST <= span <= LONGEST:
        raise UserError(f"--exposure {text}: write none, staircase, or a time from 10ms to 10s, as 250ms")
    return f"{span:g}ms"


def order(study: Study, rater: int) -> tuple[Trial, ...]:
    """The trials of one rater; sorted by hashes, so that every Python version gives the same."""

    def hashed(item: int, purpose: str) -> int:
        return derived(study.seed, item, f"judge {purpose} {rater}")

    items = sorted(range(study.trials), key=lambda item: hashed(item, "order"))
    if study.mode == "single":
        return tuple(Trial(k, item, (item,), int(item < study.reals)) for k, item in enumerate(items))
    trials: list[Trial] = []
    for k, item in enumerate(items):
        place = hashed(item, "side") & 1
        both = item, study.reals + item
        trials.append(Trial(k, item, both if place == 0 else both[::-1], place))
    return tuple(trials)


def token(secret: str, rater: int, number: int, place: int) -> str:
    """The name under which a rater gets a picture: another one for each showing, that says nothing about it."""
    return hashlib.blake2b(f"{rater}/{number}/{place}".encode(), key=secret.encode(), digest_size=16).hexdigest()
