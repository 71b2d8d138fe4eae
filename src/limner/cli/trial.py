"""A few real steps of a plan, thrown away afterwards: how fast it is here and what it takes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limner.cli.values import amount

if TYPE_CHECKING:
    from limner.core.spec import Spec
    from limner.data.images import Images

SECONDS = 2.0
ENDLESS, LATE = 10**12, 90
"""Images of a training that is not going to end, and the percentage of it that is over."""


@dataclass(frozen=True)
class Trial:
    """images_per_second in training, and the peak memory of the process (CPU) or the device (CUDA), in bytes."""

    images_per_second: float
    memory: int
    device: str
    epochs: int = 50

    @property
    def words(self) -> str:
        """`600 images/s on cpu, 480 MB of memory`."""
        return f"{amount(self.images_per_second)} images/s on {self.device}, {self.memory / 1e6:,.0f} MB of memory"


def attempt(plan: Spec, images: Images, device: str) -> Trial:
    """Train on `images` for about two seconds after a first step that warms up.

    As late in a training, when networks that grow have grown: the beginning is faster and smaller than the whole.
    """
    import torch

    from limner.core.events import Progress
    from limner.core.spec import build
    from limner.data.batches import Batches
    from limner.run import Run
    from limner.train import Budget, State, train

    run = build(plan, Run)
    state = State(run, torch.device(device))
    state.nimg = LATE * ENDLESS // 100
    events = train(state, run, Batches(images, run.batch, run.seed, device), until=Budget(images=ENDLESS))
    first = next(event for event in events if isinstance(event, Progress))
    started, last = time.monotonic(), first
    for event in events:
        last = event if isinstance(event, Progress) else last
        if time.monotonic() - started > SECONDS and last is not first:
            break
    return Trial((last.nimg - first.nimg) / (time.monotonic() - started), _peak(device), device)


def _peak(device: str) -> int:
    import sys

    import torch

    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    try:
        from resource import RUSAGE_SELF, getrusage
    except ImportError:  # not on Windows
        return 0
    return getrusage(RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
