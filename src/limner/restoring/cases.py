"""A damaged picture, what is known of it, and how well it was made good."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from limner.core.errors import UserError
from limner.core.pixels import psnr, to_bytes, to_float
from limner.core.rng import generator
from limner.core.spec import build
from limner.distances.base import Distance
from limner.models.base import Pictures
from limner.operators.base import Keep, Measured, Operator

Tick = Callable[[float], None]
"""Told the share of the work that is done, 0 to 1."""
Bytes = UInt8[np.ndarray, "h w c"]
BOARD = 150, 70
"""The greys of what is missing."""
KINDS = {1: "grey", 3: "in colour"}
WHITE = 1.0
"""Standard deviation, in the [-1, 1] range, that is drawn white in a picture of uncertainty."""


def part(tick: Tick | None, start: float, length: float, whole: float) -> Tick:
    """For a part of the work, `length` of `whole` from `start` on: told its share, it tells that of the whole."""
    return lambda share: tick((start + share * length) / whole) if tick else None


@dataclass(frozen=True)
class Case:
    """One picture to restore.

    y: what was measured
    seen: the measurement as a picture, (1, c, h, w), 0 where nothing was measured
    operator: what happened, as far as it is known
    truth: the whole picture, if there is one to compare with
    simulated: whether the damage was made up
    seed: of what is drawn at random in restoring
    number: the picture's own, which that depends on too
    name: of the picture
    missing: 1 where nothing was measured, (1, 1, h, w); None for nowhere
    """

    y: Measured
    seen: Pictures
    operator: Operator
    truth: Pictures | None = None
    simulated: bool = False
    seed: int = 0
    number: int = 0
    name: str = ""
    missing: Keep | None = None

    def shown(self) -> UInt8[np.ndarray, "h w c"]:
        """What was seen, to look at: a checkerboard where nothing was, as grey may be what was measured."""
        seen = to_bytes(self.seen)[0]
        if self.missing is None:
            return seen
        return np.where(self.missing[0, 0].cpu().numpy()[:, :, None] > 0.5, _board(*seen.shape[:2]), seen)


@dataclass(frozen=True)
class Answer:
    """What a picture may have been: the best first.

    samples: (k, c, h, w) in [-1, 1]
    """

    samples: Float[Tensor, "k c h w"]

    def kept(self, case: Case) -> Answer:
        """The same with measured pixels as they were measured."""
        keep = case.operator.kept(case.seen)
        return replace(self, samples=keep * case.seen + (1 - keep) * self.samples)

    def scores(self, case: Case) -> dict[str, float]:
        """PSNR in dB and SSIM of the first answer and of what was seen, where the truth is known."""
        found = {"samples": float(len(self.samples)), "spread": self.spread().mean().item()}
        found = found if len(self.samples) > 1 else {}
        if case.truth is None:
            return found
        seen = {f"seen {name}": value for name, value in compared(case.seen, case.truth).items()}
        return compared(self.samples[:1], case.truth) | seen | found

    def spread(self) -> Float[Tensor, "h w"]:
        """Standard deviation of each pixel over the answers."""
        return self.samples.std(0, correction=0).mean(0)

    def uncertainty(self) -> Bytes:
        """The spread as a picture, white where it is 1 in the [-1, 1] range or more."""
        return (255 * (self.spread() / WHITE).clamp(0, 1)).round().to(torch.uint8).cpu().numpy()[:, :, None]

    def row(self, case: Case) -> UInt8[np.ndarray, "n h w c"]:
        """For a sheet: what was seen, the answers, the uncertainty, the truth."""
        channels = self.samples.shape[1]
        seen = case.shown()
        parts = [np.broadcast_to(seen, (*seen.shape[:2], channels))[None], to_bytes(self.samples)]
        parts += [np.repeat(self.uncertainty()[None], channels, 3)] if len(self.samples) > 1 else []
        parts += [to_bytes(case.truth)] if case.truth is not None else []
        return np.concatenate(parts)


@runtime_checkable
class Solver(Protocol):
    """Restores cases.

    channels: those of its pictures; 0 for as many as it is given
    at_once: cases that are as fast together as one
    """

    @property
    def channels(self) -> int: ...

    @property
    def at_once(self) -> int: ...

    def check(self, case: Case) -> None:
        """Raises UserError for a case that it cannot restore."""
        ...

    def __call__(self, cases: Sequence[Case], tick: Tick | None = None) -> list[Answer]: ...


def damaged(pixels: Bytes, operator: Operator, seed: int = 0, number: int = 0, name: str = "") -> Case:
    """A whole picture, damaged: what is Unknown and the noise follow from the seed and the picture's number."""
    x = to_float(pixels[None])
    rng = generator(seed, number, "damage")
    operator = operator.drawn(rng)
    y = operator(x, rng)
    return Case(y, operator.guess(y, x), operator, x, True, seed, number, name, operator.missing(x))


def given(
    pixels: Bytes,
    operator: Operator,
    truth: UInt8[np.ndarray, "_ _ _"] | None = None,
    channels: int = 0,
    seed: int = 0,
    number: int = 0,
    name: str = "",
) -> Case:
    """A picture that is damaged already; `channels` are those of the restored one, 0 for its own.

    Raises UserError when the truth is not what it could have come from.
    """
    y = to_float(pixels[None])
    if truth is not None:
        like = to_float(truth[None])
    else:
        height, width = operator.shape(*y.shape[2:])
        like = torch.zeros(1, channels or y.shape[1], height, width)
        if operator.measure(like).shape[1] != y.shape[1]:
            # a colour picture for a grey restorer, or the other way round
            like = torch.zeros(1, y.shape[1], height, width)
    if (measured := operator.measure(like)).shape != y.shape:
        raise UserError(_misfit(measured, y, "the whole picture" if truth is not None else "what this damage leaves"))
    known, missing = None if truth is None else like, operator.missing(like)
    return Case(y, operator.guess(y, like), operator, known, False, seed, number, name, missing)


def _board(height: int, width: int) -> UInt8[np.ndarray, "h w 1"]:
    """Two greys in turn, as transparency is drawn; the squares of a large picture are large enough to be seen."""
    side = max(2, min(height, width) // 32)
    odd = (np.arange(height)[:, None] // side + np.arange(width) // side) % 2
    return np.where(odd, *BOARD).astype(np.uint8)[:, :, None]


def _misfit(measured: Measured, y: Pictures, what: str) -> str:
    """Why a picture cannot be what a damage left, and what to do."""
    if measured.dim() == 4 and measured.shape[2:] == y.shape[2:]:
        given, wanted = (KINDS.get(t.shape[1], f"of {t.shape[1]} channels") for t in (y, measured))
        return f"it is {given} and {what} is {wanted}; save it {wanted} too, or name another --damage"
    shapes = ["×".join(map(str, reversed(t.shape[1:]))) for t in (measured, y)]
    return f"this damage would leave {shapes[0]} numbers, not {shapes[1]}; name the --damage that was done to it"


def compared(x: Pictures, y: Pictures) -> dict[str, float]:
    """PSNR in dB and structural similarity of 8-bit pictures."""
    x = to_float(to_bytes(x))
    return {"PSNR": psnr(x, y).item(), "SSIM": 1 - build("SSIM", Distance)(x, y).item()}
