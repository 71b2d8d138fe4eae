"""Time in a training: seconds over all its sessions, and the moments at which to stop and look."""

from __future__ import annotations

import math
import time

import torch

from limner.core import parallel


class Clock:
    """Seconds of training, those of earlier sessions included."""

    def __init__(self, already: float) -> None:
        self._start = time.monotonic() - already

    def seconds(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._start


EARLY = (0.0125, 0.025)
"""Shares of the run at which to look beside the equal ones: what is wrong from the start shows at once."""
FEW = 20
"""Looks below which no early ones are added: whoever asks for few gets few."""
MINUTE = 60.0
"""Seconds of a run within which a trained generator is to be seen, however long the run is."""
GLANCES = 15.0
"""Seconds between two previews until then."""


class Pace:
    """When to look: twice early, at equal shares of the run, every two minutes, and never a tenth of the time.

    And when to draw a preview without looking: in the first minute, before which a long run has only its first look.
    """

    def __init__(self, looks: int) -> None:
        self.looks = looks
        self._shown, self._trained = 0.0, False
        self._early = EARLY if looks >= FEW else ()
        self._taken: list[float] = []
        self._passed, self._seconds = -1, -math.inf
        self._soon = math.inf

    def begin(self, share: float, seconds: float, took: float) -> None:
        """Go on where an earlier session looked, which took so many seconds."""
        self._taken = [took, took] if took else []
        self._passed, self._seconds = self._moments(share), seconds
        self._shown, self._trained = seconds, True
        self._soon = math.inf

    def hasten(self, share: float) -> None:
        """Look again after a fifth of the usual share: what was seen needs a second look."""
        self._soon = share + 1 / (5 * self.looks)

    def due(self, share: float, seconds: float) -> bool:
        """Whether now is such a moment."""
        since = seconds - self._seconds
        now = self._moments(share)
        # The first look also warms up: a second one soon after tells what they really take.
        rest = 10 if len(self._taken) > 1 else 2
        early = now == self._passed and since < 120 and share < self._soon
        if since < rest * min(self._taken, default=0.0) or early:
            return False
        self._passed, self._seconds, self._soon = now, seconds, math.inf
        return True

    def glance(self, seconds: float) -> bool:
        """Whether now is a moment for a preview alone: fifteen seconds after the last one in the first minute, or
        later for the first one, where the first look took longer than that.
        """
        if seconds - self._shown < GLANCES or (seconds > MINUTE and self._trained):
            return False
        self._shown, self._trained = seconds, True
        return True

    def took(self, seconds: float, device: torch.device) -> float:
        """A look took this long, in the slowest process; the seconds to keep free for the last one."""
        self._taken.append(parallel.agree(seconds, False, device)[0])
        self._shown, self._trained = self._seconds + self._taken[-1], len(self._taken) > 1
        return min(self._taken[1:], default=0.0)

    def _moments(self, share: float) -> int:
        """How many of the moments at which to look have come."""
        return math.floor(share * self.looks) + sum(share >= early for early in self._early)
