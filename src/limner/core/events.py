"""What happens during long work, as values: programs watch them, tests read them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Event:
    """Something that happened after `nimg` images."""

    nimg: int


@dataclass(frozen=True)
class Progress(Event):
    """One step is done. `share` is the part of the budget that is used up, 0 to 1."""

    share: float
    seconds: float
    losses: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Look(Event):
    """A good moment to look and to save: a whole number of steps is done and every weight is finite."""

    share: float
    seconds: float


@dataclass(frozen=True)
class Glance(Event):
    """A good moment to draw a preview and nothing else: looks, which also score and save, are far apart."""


@dataclass(frozen=True)
class Preview(Event):
    """Pictures to look at, uint8 (n, h, w, c): the same codes each time.

    `faults` are scores of what the eye sees at once, by name: 1.0 is as in real pictures.
    """

    images: NDArray[np.uint8]
    name: str = "samples"
    faults: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True)
class Scores(Event):
    """Numbers of the averaged model against held-out images; `score` (lower is better) picks the best.

    `error` is the standard error of the score, 0 where it is not known.
    """

    values: dict[str, float]
    score: float
    error: float = 0.0


@dataclass(frozen=True)
class Alarm(Event):
    """Something is wrong: `kind` for programs, `words` for people, `action` what was done about it."""

    kind: str
    words: str
    action: str = ""


@dataclass(frozen=True)
class Threads(Event):
    """From here on `count` threads compute; `words` say why."""

    count: int
    words: str


@dataclass(frozen=True)
class Saved(Event):
    """A file or folder is safely on disk."""

    path: Path


@dataclass(frozen=True)
class Finished(Event):
    """The budget is used up or training was told to stop; `reason` says which."""

    seconds: float
    reason: str
