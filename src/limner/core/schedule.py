"""Numbers that change during training, as functions of the run's progress from 0 to 1.

Progress is images seen over the images planned, or seconds over the seconds planned: the same
schedule fits a minute and a day.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from limner.core.errors import UserError
from limner.core.spec import register


@dataclass(frozen=True)
class Curve:
    """A number that moves from `start` to `end` while progress goes from `begin` to `finish`."""

    start: float
    end: float
    begin: float = 0.0
    finish: float = 1.0

    def share(self, progress: float) -> float:
        """How much of the way is done, 0 to 1."""
        width = self.finish - self.begin
        return min(max((progress - self.begin) / width, 0.0), 1.0) if width > 0 else float(progress >= self.finish)

    def at(self, progress: float) -> float:
        """The number at a progress from 0 to 1."""
        return self.start + (self.end - self.start) * self.share(progress)


@register
@dataclass(frozen=True)
class Ramp(Curve):
    """A straight line.

    start: the value up to `begin`
    end: the value from `finish` on
    begin: progress at which it starts to move, 0 to 1
    finish: progress at which it arrives, 0 to 1
    """


@register
@dataclass(frozen=True)
class Cosine(Curve):
    """Half a cosine: slow, fast, slow (Loshchilov & Hutter 2017, eq. 5).

    start: the value up to `begin`
    end: the value from `finish` on
    begin: progress at which it starts to move, 0 to 1
    finish: progress at which it arrives, 0 to 1
    """

    def at(self, progress: float) -> float:
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * self.share(progress))) / 2


@register
@dataclass(frozen=True)
class Geometric(Curve):
    """Equal factors over equal shares, for numbers above 0 that fall or rise by orders of magnitude.

    start: the value up to `begin`
    end: the value from `finish` on
    begin: progress at which it starts to move, 0 to 1
    finish: progress at which it arrives, 0 to 1
    """

    def __post_init__(self) -> None:
        if min(self.start, self.end) <= 0:
            raise UserError(f"Geometric goes from {self.start:g} to {self.end:g}; both must be above 0, or take a Ramp")

    def at(self, progress: float) -> float:
        return self.start * (self.end / self.start) ** self.share(progress)


@register
@dataclass(frozen=True)
class Step(Curve):
    """A jump at `finish`.

    start: the value before
    end: the value after
    begin: unused
    finish: progress of the jump, 0 to 1
    """

    def at(self, progress: float) -> float:
        return self.end if progress >= self.finish else self.start


Schedule = float | Curve


def value(schedule: Schedule, progress: float) -> float:
    """What a schedule is at a progress from 0 to 1; a number is itself."""
    return schedule.at(progress) if isinstance(schedule, Curve) else schedule
