"""Scores of generated images against real ones, each with what is needed to judge it.

Beside every value stand the n it was computed at (the same for real and generated), the features and their digest,
the floor (real against other real images at that n: what a perfect generator would get) and a 95 % interval.
Work is done in blocks, reported as events; the last event is `Scored`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.errors import UserError
from limner.core.events import Event, Progress
from limner.core.pixels import Bytes, to_bytes, to_float
from limner.core.rng import generator
from limner.core.spec import build
from limner.data.images import Images
from limner.metrics.base import Extractor, Features, Metric

Draw = Callable[[int, int], Bytes | Tensor]
"""(first, count) → images number first … first + count - 1, uint8 (n, h, w, c) or float (n, c, h, w) in [-1, 1]."""
DEFAULT = ("FrechetDistance", "KernelDistance", "Precision", "Recall", "Density", "Coverage")


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


@dataclass(frozen=True)
class Scored(Event):
    """The evaluation is done; `notes` say in plain words what was not as asked."""

    scores: tuple[Score, ...]
    notes: tuple[str, ...] = ()


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
) -> Iterator[Event]:
    """Score n images of `draw` against n of `data`; yields Progress, then one Scored.

    `other` are more real images of the same kind (the training split, say) for the floor; without them the floor is
    one half of `data` against the other. Where there are fewer than n, n shrinks and a note says so. The result does
    not depend on `batch`. Raises UserError for under 16 real images, or where shapes do not agree.
    """
    chosen = tuple(build(m, Metric) for m in metrics)
    if min(n, len(data)) < 16:
        raise UserError(f"{data.source}: scores need 16 images of each kind, not {min(n, len(data))}; use more (-n)")
    plan = _plan(data, other, n, seed)
    more = sum(len(rows) for _, rows in plan.floor if rows is not plan.rows)
    look = _Look(extractor, device, batch, total=2 * plan.n + more)
    real = yield from look.at(_reader(data, plan.rows), plan.n)
    fake = yield from look.at(_checked(draw, data), plan.n)
    sides: list[Features] = []
    for source, rows in plan.floor:
        seen = rows is plan.rows
        sides.append(real if seen else (yield from look.at(_reader(source, rows), len(rows))))
    scores: list[Score] = []
    for done, metric in enumerate(chosen):
        scores.append(_score(metric, real, fake, sides, extractor))
        yield Progress(plan.n, 0.5 + 0.5 * (done + 1) / len(chosen), look.seconds)
    yield Scored(plan.n, tuple(scores), plan.notes)


def table(scores: Sequence[Score]) -> str:
    """The scores as text: value, interval and floor of each, then the n and the features."""
    head = ("", "value", "95 % interval", "real against real")
    arrows = {"lower": "↓", "higher": "↑"}
    rows = [head] + [
        (f"{s.label} {arrows[s.better]}", _short(s.value), f"{_short(s.low)} – {_short(s.high)}", _short(s.floor))
        for s in scores
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
             for row in rows]  # fmt: skip
    feet = {f"n = {s.n:,}{f' (floor {s.floor_n:,})' if s.floor_n != s.n else ''} · features {s.features} {s.digest}"
            for s in scores}  # fmt: skip
    return "\n".join([*(line.rstrip() for line in lines), *sorted(feet)])


@dataclass(frozen=True)
class _Plan:
    """Which real images are compared with the generated, and which two sets give the floor."""

    n: int
    rows: np.ndarray
    floor: tuple[tuple[Images, np.ndarray], tuple[Images, np.ndarray]]
    notes: tuple[str, ...]


class _Look:
    """Takes the features of pictures block by block, and knows how much of all the looking is done."""

    def __init__(self, extractor: Extractor, device: torch.device | str, batch: int, total: int) -> None:
        self.extractor, self.device, self.batch, self.total = extractor, device, batch, total
        # Apple's GPUs have no float64, in which scores are computed
        self.home = "cpu" if torch.device(device).type == "mps" else device
        self.done, self.start = 0, time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.start

    def at(self, pictures: Callable[[int, int], Bytes], n: int) -> Generator[Event, None, Features]:
        """Features of pictures 0 … n - 1, returned; yields Progress."""
        blocks: list[Float[Tensor, "k d"]] = []
        for first in range(0, n, self.batch):
            count = min(self.batch, n - first)
            x = to_float(np.ascontiguousarray(pictures(first, count)), self.device)
            blocks.append(self.extractor(x).to(self.home))
            self.done += count
            yield Progress(self.done, 0.5 * self.done / self.total, self.seconds)
        return torch.cat(blocks)


def _plan(data: Images, other: Images | None, n: int, seed: int) -> _Plan:
    notes: list[str] = []
    if n > len(data):
        notes.append(f"{data.source} has {len(data):,} images to compare with, so n is {len(data):,} and not {n:,}")
    n = min(n, len(data))
    order = _shuffled(len(data), seed, "real")
    rows = np.sort(order[:n])
    if other is not None and len(other) >= n:
        return _Plan(n, rows, ((data, rows), (other, np.sort(_shuffled(len(other), seed, "floor")[:n]))), tuple(notes))
    half = min(n, len(data) // 2)
    if half < n:
        notes.append(f"the floor is real against real at n = {half:,}: there are not {2 * n:,} real images")
    return _Plan(n, rows, ((data, np.sort(order[:half])), (data, np.sort(order[half : 2 * half]))), tuple(notes))


def _shuffled(size: int, seed: int, purpose: str) -> np.ndarray:
    return torch.randperm(size, generator=generator(seed, 0, f"evaluate {purpose}")).numpy()


def _score(metric: Metric, real: Features, fake: Features, floor: list[Features], extractor: Extractor) -> Score:
    value = metric(real, fake)
    low, high = metric.interval(real, fake, value)
    return Score(
        type(metric).__name__, metric.label, metric.better, value, low, high, len(real),
        metric(floor[0], floor[1]), len(floor[0]), extractor.name, extractor.digest,
    )  # fmt: skip


def _reader(source: Images, rows: np.ndarray) -> Callable[[int, int], Bytes]:
    return lambda first, count: source.pixels[rows[first : first + count]]


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


def _short(value: float) -> str:
    """Four significant digits, without exponents down to 0.0001."""
    return f"{value:.4g}" if abs(value) >= 1e-4 or value == 0 else f"{value:.1e}"
