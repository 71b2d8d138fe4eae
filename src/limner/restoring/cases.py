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
from limner.operators.base import Measured, Operator

Tick = Callable[[float], None]
"""Told the share of the work that is done, 0 to 1."""
Bytes = UInt8[np.ndarray, "h w c"]
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
    """

    y: Measured
    seen: Pictures
    operator: Operator
    truth: Pictures | None = None
    simulated: bool = False
    seed: int = 0
    number: int = 0
    name: str = ""


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
        parts = [to_bytes(case.seen.expand(-1, channels, -1, -1)), to_bytes(self.samples)]
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
    return Case(y, operator.guess(y, x), operator, x, True, seed, number, name)


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
    if operator.measure(like).shape != y.shape:
        shapes = ["×".join(map(str, reversed(t.shape[1:]))) for t in (operator.measure(like), y)]
        raise UserError(f"this damage of that picture would give {shapes[0]} numbers, not {shapes[1]}")
    return Case(y, operator.guess(y, like), operator, None if truth is None else like, False, seed, number, name)


def compared(x: Pictures, y: Pictures) -> dict[str, float]:
    """PSNR in dB and structural similarity of 8-bit pictures."""
    x = to_float(to_bytes(x))
    return {"PSNR": psnr(x, y).item(), "SSIM": 1 - build("SSIM", Distance)(x, y).item()}
