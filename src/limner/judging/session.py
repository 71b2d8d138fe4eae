"""What raters do, without the web: begin, get a question, answer it, go on after a reload, be done.

The answer is judged here. What leaves for a rater names no picture, no truth and no score of a single answer.
"""

from __future__ import annotations

import io
import threading
from typing import Any

import numpy as np

from limner.core.errors import UserError
from limner.core.pixels import Bytes, picture
from limner.core.rng import derived
from limner.judging.statistics import rate
from limner.judging.store import Answer, Judgements, Rater
from limner.judging.study import Trial, order, token

AHEAD = 3
"""Questions whose pictures are fetched in advance."""
MASKS = 5
"""Pictures of noise after a timed one, so that no afterimage is judged."""
Words = dict[str, Any]
"""What the page is told, as JSON."""


class Session:
    """A study that is going on. Threads may share it."""

    def __init__(self, judgements: Judgements) -> None:
        self.judgements, self.study = judgements, judgements.study
        pixels = [p for _, _, p in judgements.pictures()]
        self._pictures = [evenly(p) for p in pixels]
        self._masks = [evenly(m) for m in masks(np.stack(pixels), MASKS, self.study.seed)]
        self._shape = pixels[0].shape[:2]
        self._orders: dict[int, tuple[Trial, ...]] = {}
        self._lock = threading.Lock()

    def begin(self, name: str) -> Rater:
        """A new rater, named or numbered."""
        return self.judgements.join(" ".join(name.split())[:40])

    def settled(self) -> bool:
        """Whether the error rate is known as precisely as was asked for."""
        return not self.study.adaptive and rate(*self.judgements.counts()).reach <= self.study.precision

    def finished(self) -> bool:
        """Whether nobody who began has anything left to do."""
        raters = self.judgements.raters()
        return bool(raters) and all(self._done(len(self.judgements.answers(r.id))) for r in raters)

    def state(self, key: str) -> Words:
        """What the page shows to whoever has this key."""
        said: Words = {
            "screen": "welcome", "mode": self.study.mode, "of": self.study.trials, "size": list(self._shape),
            "timing": "none" if self.study.exposure == "none" else "timed", "masks": MASKS,
        }  # fmt: skip
        rater = self.judgements.rater(key)
        if rater is None:
            return said
        given = self.judgements.answers(rater.id)
        if self._done(len(given)):
            right = None if self.study.adaptive else sum(a.right for a in given)
            return said | {"screen": "done", "right": right, "answered": len(given)}
        trials = self._order(rater)[len(given) : len(given) + 1 + AHEAD]
        names = [[self._token(rater, t, place) for place in range(len(t.pictures))] for t in trials]
        shown = self.study.milliseconds([a.right for a in given])
        return said | {
            "screen": "trial", "number": len(given), "exposure": shown,
            "pictures": names[0], "coming": [name for later in names[1:] for name in later],
        }  # fmt: skip

    def answer(self, key: str, number: int, said: int, shown_ms: float | None, seconds: float) -> Words:
        """Judge the answer to the rater's next question and keep it; an answer to another question changes nothing."""
        rater = self.judgements.rater(key)
        if rater is None or said not in (0, 1):
            raise UserError("an answer is 0 or 1, from somebody who began")
        with self._lock:
            given = self.judgements.answers(rater.id)
            if number == len(given) and not self._done(number):
                trial = self._order(rater)[number]
                asked = self.study.milliseconds([a.right for a in given])
                right = said == trial.truth
                self.judgements.add(Answer(rater.id, number, trial.item, said, right, asked, shown_ms, seconds))
        return self.state(key)

    def picture(self, key: str, name: str) -> bytes | None:
        """A picture by its token, as PNG, while its question is open or near; every one has as many bytes."""
        rater = self.judgements.rater(key)
        if rater is None:
            return None
        done = len(self.judgements.answers(rater.id))
        for trial in self._order(rater)[done : done + 1 + AHEAD]:
            for place, number in enumerate(trial.pictures):
                if self._token(rater, trial, place) == name:
                    return self._pictures[number]
        return None

    def mask(self, number: int) -> bytes | None:
        """A picture of noise, as PNG."""
        return self._masks[number] if 0 <= number < MASKS else None

    def _done(self, answered: int) -> bool:
        return answered >= self.study.trials or self.settled()

    def _token(self, rater: Rater, trial: Trial, place: int) -> str:
        return token(self.judgements.secret, rater.id, trial.number, place)

    def _order(self, rater: Rater) -> tuple[Trial, ...]:
        if rater.id not in self._orders:
            self._orders[rater.id] = order(self.study, rater.id)
        return self._orders[rater.id]


def evenly(pixels: Bytes) -> bytes:
    """uint8 (h, w, c) as PNG without compression: its length depends on the shape alone."""
    stream = io.BytesIO()
    picture(np.ascontiguousarray(pixels)).save(stream, "PNG", compress_level=0)
    return stream.getvalue()


def masks(pixels: Bytes, count: int, seed: int) -> Bytes:
    """uint8 (count, h, w, c): mosaics of small pieces from all over all the pictures, real and fake alike."""
    n, height, width, channels = pixels.shape
    side = max(2, min(height, width) // 8)
    rng = np.random.default_rng(derived(seed, 0, "judge masks"))
    made = np.empty((count, height, width, channels), np.uint8)
    for mask in made:
        for top in range(0, height, side):
            for left in range(0, width, side):
                h, w = min(side, height - top), min(side, width - left)
                y, x = rng.integers(height - h + 1), rng.integers(width - w + 1)
                mask[top : top + h, left : left + w] = pixels[rng.integers(n), y : y + h, x : x + w]
    return made
