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


class Pace:
    """When to look: at equal shares of the run, every two minutes, and never a tenth of the time."""

    def __init__(self, looks: int) -> None:
        self.looks = looks
        self._taken: list[float] = []
        self._share, self._seconds = -1, -math.inf

    def begin(self, share: float, seconds: float, took: float) -> None:
        """Go on where an earlier session looked, which took so many seconds."""
        self._taken = [took, took] if took else []
        self._share, self._seconds = math.floor(share * self.looks), seconds

    def due(self, share: float, seconds: float) -> bool:
        """Whether now is such a moment."""
        since = seconds - self._seconds
        now = math.floor(share * self.looks)
        # The first look also warms up: a second one soon after tells what they really take.
        rest = 10 if len(self._taken) > 1 else 2
        if since < rest * min(self._taken, default=0.0) or (now == self._share and since < 120):
            return False
        self._share, self._seconds = now, seconds
        return True

    def took(self, seconds: float, device: torch.device) -> float:
        """A look took this long, in the slowest process; the seconds to keep free for the last one."""
        self._taken.append(parallel.agree(seconds, False, device)[0])
        return min(self._taken[1:], default=0.0)
