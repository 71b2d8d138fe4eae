"""Scores of generated images against real ones, each with what is needed to judge it.

Beside every value stand the n it was computed at (the same for real and generated), what was looked at and its digest,
the floor (real against other real images at that n: what a perfect generator would get) and a 95 % interval.
A score that needs more than there is is withheld, with the reason. Work is done in blocks, reported as events; the
last event is `Scored`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from limner.core.errors import UserError
from limner.core.events import Event, Progress
from limner.core.pixels import Bytes, to_bytes, to_float
from limner.core.pretrained import Pretrained
from limner.core.rng import generator
from limner.core.spec import build, spec
from limner.data.images import Images
from limner.metrics.base import Extractor, Metric, Reading, Seen, Sets, small
from limner.metrics.sight import Sight, joined
from limner.metrics.visible import FAULTS

Draw = Callable[[int, int], Bytes | Tensor]
"""(first, count) → images number first … first + count - 1, uint8 (n, h, w, c) or float (n, c, h, w) in [-1, 1]."""
T = TypeVar("T", "Score", "Withheld")
PIXELS = "pixels"
"""What scores look at that need no features."""
Rebuild = Callable[[Bytes], Bytes]
"""Images → what an encoder and a generator make of them, uint8 (n, h, w, c)."""
DEFAULT = ("FrechetDistance", "KernelDistance", "Precision", "Recall", "Density", "Coverage", *FAULTS.values())
LABELLED = ("LinearProbeAccuracy",)
"""Where the generated images were told classes."""
MEMORY = ("NearestInTraining", "DataCopying", "Authenticity", "GeneralisationGap")
"""Tests for memorised images, where it is known what a model was trained on."""
REBUILT = 1000
"""Images that are reconstructed at most."""
MISSING = {
    "train": "the images that it was trained on are not known",
    "labels": "it is not known what was asked for, or what the real images are of",
    "answers": "these features name no classes; take --features in-domain, where the data has labels",
    "rebuilt": "there is no encoder",
}
"""Why a score is withheld that wants this."""


@dataclass(frozen=True)
class Score:
    """One score and what is needed to judge it.

    metric: class name
    label: what a table calls it
    better: `lower` or `higher`
    value: the score
    low: lower end of the 95 % interval for the mean score at this n over fresh real and generated images
    high: upper end
    n: images of either kind
    floor: the score of real against other real images
    floor_n: images of either kind in the floor; smaller than n where the data did not suffice
    features: name of the features
    digest: hash of the features; scores with different digests do not compare
    resize: what was done to the size of the images, in words
    p_value: chance of so high a score where real and generated are alike; None where it is no test
    controls: what is known to be good or bad and its score, by name: held-out real images, copies of training images
    verdict: what the score says, in words, where that can be said
    """

    metric: str
    label: str
    better: str
    value: float
    low: float
    high: float
    n: int
    floor: float
    floor_n: int
    features: str
    digest: str
    resize: str = ""
    p_value: float | None = None
    controls: tuple[tuple[str, float], ...] = ()
    verdict: str = ""

    @property
    def looked_at(self) -> str:
        """`features in-domain 3f0c…`, or `pixels, as they are` of visible faults, which have no options."""
        return f"pixels, {self.resize}" if self.metric in FAULTS.values() else f"features {self.features} {self.digest}"


@dataclass(frozen=True)
class Withheld:
    """A score that cannot be given: it would say nothing, or what it needs is not there.

    metric: class name
    label: what a table calls it
    reason: why, and which score to read instead
    features: name of the features
    """

    metric: str
    label: str
    reason: str
    features: str = ""


@dataclass(frozen=True)
class Scored(Event):
    """The evaluation is done; `notes` say in plain words what was not as asked."""

    scores: tuple[Score, ...]
    notes: tuple[str, ...] = ()
    withheld: tuple[Withheld, ...] = ()


def evaluate(
    draw: Draw,
    data: Images,
    *,
    extractor: Extractor,
    n: int = 10_000,
    other: Images | None = None,
    metrics: Sequence[Metric | str] = DEFAULT,
    seed: int = 0,
    device: torch.device | str = "cpu",
    batch: int = 250,
    train: Images | None = None,
    asked: NDArray[np.int64] | None = None,
    rebuild: Rebuild | None = None,
    trained_with: Sequence[Pretrained] = (),
) -> Iterator[Event]:
    """Score n images of `draw` against n of `data`; yields Progress, then one Scored.

    `other` are more real images of the same kind (the training split, say) for the floor; without them the floor is
    one half of `data` against the other. Where there are fewer than n, n shrinks and a note says so. The result does
    not depend on `batch`. `train` are the images that the model was trained on, for tests of memory; `asked` the
    classes that the images of `draw` were told; `rebuild` reconstructs. Scores that lack something are withheld, and so
    are those of features that look through a frozen network that the model was `trained_with`.
    Raises UserError for under 16 real images, or where shapes do not agree.
    """
    chosen = tuple(build(m, Metric) for m in metrics)
    if min(n, len(data)) < 16:
        raise UserError(f"{data.source}: scores need 16 images of each kind, not {min(n, len(data))}; use more (-n)")
    biased = extractor.biased(trained_with)
    if biased and all(metric.of_features for metric in chosen):
        yield Scored(0, (), (), tuple(_withheld(metric, biased, extractor) for metric in chosen))
        return
    plan = _plan(data, other, n, seed)
    wanted = {want for metric in chosen for want in metric.wants}
    look = _Look(extractor, device, batch, wanted, plan, train)
    every = yield from look.real(data, plan.looked)
    real = _some(every, plan.looked, plan.rows)
    fake = yield from look.at(_checked(draw, data), plan.n, None if asked is None else asked[: plan.n])
    known = (yield from look.real(train, np.arange(len(train)))) if train is not None and "train" in wanted else None
    sides: list[Seen] = []
    for source, rows in plan.floor:
        if source is data:
            sides.append(_some(every, plan.looked, rows))
        elif train is not None and source is train and known is not None:
            sides.append(_some(known, np.arange(len(train)), rows))
        else:
            sides.append((yield from look.real(source, rows)))
    pairs = None if rebuild is None or "rebuilt" not in wanted else _rebuilt(rebuild, data, plan.some)
    sets = Sets(real, fake, (sides[0], sides[1]), known, pairs, len(data.names))
    scores: list[Score] = []
    withheld: list[Withheld] = []
    for done, metric in enumerate(chosen):
        if why := (biased if metric.of_features else "") or _missing(metric, sets) or metric.lacks(sets):
            withheld.append(_withheld(metric, why, extractor))
        else:
            scores.append(_score(metric, metric.score(sets), extractor))
        yield Progress(plan.n, 0.5 + 0.5 * (done + 1) / len(chosen), look.seconds)
    yield Scored(plan.n, tuple(scores), plan.notes, tuple(withheld))


def table(scores: Sequence[Score], withheld: Sequence[Withheld] = ()) -> str:
    """The scores as text, a table for each kind of features; those of pixels stand with the first."""
    kinds = list(dict.fromkeys(one.features for one in (*scores, *withheld) if one.features not in ("", PIXELS)))
    if len(kinds) < 2:
        return _table(scores, withheld)

    def of(kind: str, given: Sequence[T]) -> list[T]:
        return [one for one in given if one.features == kind or (kind == kinds[0] and one.features in ("", PIXELS))]

    return "\n\n".join(_table(of(kind, scores), of(kind, withheld)) for kind in kinds)


def _table(scores: Sequence[Score], withheld: Sequence[Withheld]) -> str:
    """The value, interval and floor of each; those with controls below; then n and the features."""
    plain, tested = ([s for s in scores if bool(s.controls) == with_controls] for with_controls in (False, True))
    lines: list[str] = []
    if plain:
        rows = [(*_named(s), _short(s.floor), s.verdict if s.p_value is None else _p(s.p_value)) for s in plain]
        lines += _columns([("", "value", "95 % interval", "real against real", ""), *rows])
    if tested:
        heads = [name for name, _ in tested[0].controls]
        rows = [(*_named(s), *(_short(value) for _, value in s.controls), s.verdict) for s in tested]
        lines += [""] * bool(lines) + _columns([("memorised?", "value", "95 % interval", *heads, ""), *rows])
    feet = _feet(scores)
    most = max(map(len, feet.values()), default=0)
    lines += [name if len(found) == most else f"{name}: {'; '.join(found)}" for name, found in feet.items()]
    return "\n".join([*lines, *refused(withheld)])


def refused(withheld: Sequence[Withheld]) -> list[str]:
    """A line for each reason, with the scores that are withheld for it."""
    reasons = dict.fromkeys(w.reason for w in withheld)
    labels = [", ".join(dict.fromkeys(w.label for w in withheld if w.reason == reason)) for reason in reasons]
    return [f"withheld: {label}: {reason}" for label, reason in zip(labels, reasons, strict=True)]


def _feet(scores: Sequence[Score]) -> dict[str, list[str]]:
    """What was looked at, and the labels of the scores that looked at it."""
    feet: dict[str, list[str]] = {}
    for s in scores:
        n = f"n = {s.n:,}{f' (floor {s.floor_n:,})' if s.floor_n != s.n else ''}"
        feet.setdefault(f"{n} · {s.looked_at}", []).append(s.label)
    return feet


def _named(score: Score) -> tuple[str, str, str]:
    arrow = {"lower": "↓", "higher": "↑"}[score.better]
    return f"{score.label} {arrow}", _short(score.value), f"{_short(score.low)} – {_short(score.high)}"


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with aligned columns: the first to the left, the last as it is, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:-1], widths[1:-1], strict=True)),
                        row[-1]]) for row in rows]  # fmt: skip
    return [line.rstrip() for line in lines]


def _short(value: float) -> str:
    """Four significant digits, without exponents down to 0.0001."""
    return f"{value:.4g}" if abs(value) >= 1e-4 or value == 0 else f"{value:.1e}"


def _p(value: float) -> str:
    return f"p = {value:.2g}" if value >= 1e-4 else "p < 0.0001"


@dataclass(frozen=True)
class _Plan:
    """Which real images are compared with the generated, which of them are rebuilt, and which give the floor."""

    n: int
    rows: np.ndarray
    some: np.ndarray
    floor: tuple[tuple[Images, np.ndarray], tuple[Images, np.ndarray]]
    notes: tuple[str, ...]

    @property
    def looked(self) -> np.ndarray:
        """All rows of the data that are looked at, in order."""
        first = self.floor[0][0]
        return np.unique(np.concatenate([self.rows, *(rows for source, rows in self.floor if source is first)]))


class _Look:
    """Takes the features of pictures block by block, and knows how much of all the looking is done."""

    def __init__(
        self, extractor: Extractor, device: torch.device | str, batch: int, wanted: set[str], plan: _Plan,
        train: Images | None,
    ) -> None:  # fmt: skip
        self.extractor, self.device, self.batch, self.wanted = extractor, device, batch, wanted
        # Apple's GPUs have no float64, in which scores are computed
        self.home = "cpu" if torch.device(device).type == "mps" else device
        known = len(train) if train is not None and "train" in wanted else 0
        (data, _), (other, more) = plan.floor
        new = 0 if other is data or (known and other is train) else len(more)
        self.total = len(plan.looked) + plan.n + known + new
        self.done, self.start = 0, time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.start

    def real(self, source: Images, rows: np.ndarray) -> Generator[Event, None, Seen]:
        """Some images of a data set, with their labels."""
        labels = None if source.labels is None else source.labels[rows]
        return self.at(lambda first, count: source.pixels[rows[first : first + count]], len(rows), labels)

    def at(
        self, pictures: Callable[[int, int], Bytes], n: int, labels: NDArray[np.int64] | None
    ) -> Generator[Event, None, Seen]:
        """What scores see of pictures 0 … n - 1, returned; yields Progress."""
        blocks: list[Float[Tensor, "k d"]] = []
        images: list[UInt8[Tensor, "k _ _ _"]] = []
        sights: list[Sight] = []
        for first in range(0, n, self.batch):
            count = min(self.batch, n - first)
            x = to_float(np.ascontiguousarray(pictures(first, count)), self.device)
            blocks.append(self.extractor(x).to(self.home))
            images += [small(x).to(self.home)] if "images" in self.wanted else []
            sights += [sight.to(self.home)] if "sight" in self.wanted and (sight := Sight.of(x)) else []
            self.done += count
            yield Progress(self.done, 0.5 * self.done / self.total, self.seconds)
        features = torch.cat(blocks)
        answers = self.extractor.answers(features) if "answers" in self.wanted else None
        told = None if labels is None else torch.from_numpy(labels).to(self.home)
        seen = joined(sights) if sights else None
        return Seen(features, torch.cat(images) if images else None, told, answers, seen)


def _plan(data: Images, other: Images | None, n: int, seed: int) -> _Plan:
    notes: list[str] = []
    if n > len(data):
        notes.append(f"{data.source} has {len(data):,} images to compare with, so n is {len(data):,} and not {n:,}")
    n = min(n, len(data))
    order = _shuffled(len(data), seed, "real")
    rows, some = np.sort(order[:n]), np.sort(order[: min(n, REBUILT)])
    if other is not None and len(other) >= n:
        more = np.sort(_shuffled(len(other), seed, "floor")[:n])
        return _Plan(n, rows, some, ((data, rows), (other, more)), tuple(notes))
    half = min(n, len(data) // 2)
    if half < n:
        notes.append(f"the floor is real against real at n = {half:,}: there are not {2 * n:,} real images")
    return _Plan(n, rows, some, ((data, np.sort(order[:half])), (data, np.sort(order[half : 2 * half]))), tuple(notes))


def _shuffled(size: int, seed: int, purpose: str) -> np.ndarray:
    return torch.randperm(size, generator=generator(seed, 0, f"evaluate {purpose}")).numpy()


def _some(seen: Seen, looked: np.ndarray, rows: np.ndarray) -> Seen:
    """Those of the rows that were looked at, all in order."""
    return seen.rows(torch.from_numpy(np.searchsorted(looked, rows)).to(seen.features.device))


def _missing(metric: Metric, sets: Sets) -> str:
    """Why what a metric wants is not there."""
    there = {
        "train": sets.train is not None,
        "labels": sets.fake.labels is not None and sets.real.labels is not None,
        "answers": sets.fake.answers is not None,
        "rebuilt": sets.rebuilt is not None,
    }
    return next((MISSING[want] for want in metric.wants if not there.get(want, True)), "")


def _withheld(metric: Metric, why: str, extractor: Extractor) -> Withheld:
    return Withheld(type(metric).__name__, metric.label, why, extractor.name)


def _score(metric: Metric, found: Reading, extractor: Extractor) -> Score:
    features, digest, resize = extractor.name, extractor.digest, extractor.resize
    if found.on:
        features, _, resize = found.on.partition(", ")
        digest = hashlib.blake2b(f"{found.on} {spec(metric)}".encode(), digest_size=8).hexdigest()
    return Score(
        type(metric).__name__, metric.label, metric.better, found.value, found.low, found.high, found.n,
        found.floor, found.floor_n, features, digest, resize, found.p_value, found.controls, found.verdict,
    )  # fmt: skip


def _rebuilt(rebuild: Rebuild, data: Images, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """Some of the real images and what is made of them."""
    pixels = np.ascontiguousarray(data.pixels[rows])
    return to_float(pixels), to_float(rebuild(pixels))


def _checked(draw: Draw, data: Images) -> Callable[[int, int], Bytes]:
    """Generated images as bytes, because real ones are bytes and a file of them would be; of the data's shape."""

    def pictures(first: int, count: int) -> Bytes:
        drawn = draw(first, count)
        if isinstance(drawn, Tensor):
            if not bool(torch.isfinite(drawn).all()):
                raise UserError("the model makes images that are not numbers; it cannot be scored, train it again")
            drawn = to_bytes(drawn)
        if drawn.shape != (count, *data.pixels.shape[1:]):
            h, w, c = drawn.shape[1:]
            raise UserError(
                f"the model makes {h}×{w}×{c} images and {data.source} was read as {data.image}; "
                f"read it with --size {h}x{w} --channels {c}"
            )
        return drawn

    return pictures
