"""How many threads compute: as many as find a free core, chosen at the start and again when that changes.

The threads of one operation wait for each other at its end, hundreds of times in a training step. Where another
program holds one of the cores, some thread is always out of turn and all the others wait for it: two threads then
are up to fifty times slower than one (docs/training.md). What is free is measured, by letting threads spin for a
moment. A number that the user gave in OMP_NUM_THREADS is never changed.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Barrier

import torch

from limner.core.events import Event, Progress, Threads

ENOUGH = 0.85
"""Share of a core that a thread must get to be worth its place."""
CROWDED = 0.8
"""Computing time of the process, as a share of threads × seconds, below which what is free is measured again."""
WINDOW = 0.5
"""Seconds over which that share is taken."""
REST, LONGEST_REST = 10.0, 300.0
"""Seconds between two measurements; the rest before trying more threads doubles each time that they had to go."""
SPINNING = 0.05
"""Seconds of a measurement."""

Measure = Callable[[int], list[float]]
"""So many threads → the share of a core that each of them gets, 0 to 1, while all of them spin."""


@dataclass
class Balance:
    """Chooses the number of threads again while a training runs.

    most: threads on a machine that is otherwise idle
    count: threads now
    held: whether the number has to stay; that threads wait for each other is then said, once, and nothing changed
    measure, clock: how free cores and (seconds, computing seconds of this process) are found out
    """

    most: int
    count: int
    held: bool = False
    measure: Measure = field(default_factory=lambda: shares)
    clock: Callable[[], tuple[float, float]] = field(default_factory=lambda: _clock)

    def __post_init__(self) -> None:
        self._rest = REST
        self._next = self.clock()[0]
        self.restart()

    def restart(self) -> None:
        """Begin the window anew: what happened since its begin was not a training step."""
        self._since = self.clock()

    def check(self) -> str:
        """After a step: why `count` has changed, or, where it is held, should; nothing where all is well."""
        now = self.clock()
        seconds, computed = (a - b for a, b in zip(now, self._since, strict=True))
        if seconds < WINDOW:
            return ""
        self._since = now
        share = computed / (seconds * self.count)
        if now[0] < self._next:
            return ""
        if self.count > 1 and share < CROWDED:
            return self._fewer(now[0], share)
        return self._more(now[0]) if self.count < self.most and not self.held else ""

    def _fewer(self, now: float, share: float) -> str:
        self._next = now + REST
        count = fitting(self.count, self.measure)
        if count == self.count:
            return ""  # it waits for something else than a core
        why = f"other programs use this machine, and threads that wait for each other got {share:.0%} of their time"
        if self.held:
            self._next = math.inf
            return f"{why}; {_threads(count)} would be faster (stop, and go on with --resume --threads {count})"
        self._next, self._rest = now + self._rest, min(2 * self._rest, LONGEST_REST)
        return self._change(count, why)

    def _more(self, now: float) -> str:
        count = fitting(self.most, self.measure)
        if count <= self.count:
            self._next = now + self._rest
            return ""
        return self._change(count, "this machine has free cores again")

    def _change(self, count: int, why: str) -> str:
        words = f"{count} instead of {self.count}: {why}"
        self.count = count
        return words


def balanced(events: Iterable[Event], balance: Balance) -> Iterator[Event]:
    """A training's events, with the number of threads changed between two steps, and said, where that helps."""
    for event in events:
        yield event
        if not isinstance(event, Progress):
            balance.restart()
        elif words := balance.check():
            torch.set_num_threads(balance.count)
            yield Threads(event.nimg, balance.count, words)
            balance.restart()


def told() -> bool:
    """Whether the user said how many threads there are to be."""
    return any(os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"))


@cache
def most() -> int:
    """Threads on an idle machine: as many as torch takes by itself, but no more than a container's quota."""
    return max(1, math.floor(min(torch.get_num_threads(), quota())))


@cache
def settle() -> int:
    """Once, at the start of a program: take as many threads as find a free core now; their number."""
    if not told() and torch.get_num_threads() > 1:
        torch.set_num_threads(fitting(most()))
    return torch.get_num_threads()


def fitting(most: int, measure: Measure | None = None) -> int:
    """The largest number of threads, up to `most` and at least 1, each of which gets a core almost for itself."""
    count = most
    while count > 1:
        got = (measure or shares)(count)
        if min(got) >= ENOUGH:
            break
        count = max(1, min(count - 1, math.floor(sum(got))))
    return count


def shares(count: int) -> list[float]:
    """The share of a core that each of `count` threads gets now, while all of them spin for SPINNING seconds."""
    together = Barrier(count)
    block = bytes(1 << 20)

    def spin(_: int) -> float:
        together.wait()
        begun, computed = time.monotonic(), time.thread_time()
        while time.monotonic() - begun < SPINNING:
            hashlib.sha256(block)  # without the interpreter's lock, so that threads run beside each other
        return (time.thread_time() - computed) / (time.monotonic() - begun)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(spin, range(count)))


def quota(root: Path = Path("/sys/fs/cgroup")) -> float:
    """Cores that a container's control group may use (Linux), a fraction perhaps; infinite where nothing limits it."""
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):  # of version 2, of version 1
        try:
            limit, period = " ".join((root / file).read_text("utf-8") for file in files).split()
            return float(limit) / float(period) if float(limit) > 0 else math.inf
        except (OSError, ValueError):
            continue  # no such file, or no limit ("max")
    return math.inf


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _clock() -> tuple[float, float]:
    return time.monotonic(), time.process_time()
