"""A few real steps of a plan, thrown away afterwards: how fast it is here and what it takes."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from limner.cli.values import amount

if TYPE_CHECKING:
    from limner.core.pixels import Image
    from limner.core.spec import Spec
    from limner.data.images import Images
    from limner.data.survey import Survey
    from limner.recipes.base import Facts
    from limner.recipes.sizes import Size, Speed

SECONDS = 2.0
ENDLESS, LATE = 10**12, 90
"""Images of a training that is not going to end, and the percentage of it that is over."""


PLANTED = 256
"""Pictures of noise that a trial is done with: what they show does not matter to its speed."""


@dataclass(frozen=True)
class Trial:
    """images_per_second in training, and the peak memory of the process (CPU) or the device (CUDA), in bytes."""

    image: Image
    images_per_second: float
    memory: int
    device: str

    @property
    def words(self) -> str:
        """`600 images/s on cpu, 480 MB of memory`."""
        return f"{amount(self.images_per_second)} images/s on {self.device}, {self.memory / 1e6:,.0f} MB of memory"

    @property
    def speed(self) -> Speed:
        """How fast it is at this shape."""
        from limner.recipes.sizes import Speed

        return Speed(self.image, self.images_per_second)


def facts_at(size: Size, seen: Survey, channels: int | None, device: str, seed: int) -> Facts:
    """What a recipe would know of pictures that are made this size."""
    from limner.core.pixels import Image
    from limner.recipes.base import Facts

    image = Image(channels or seen.channels, *size)
    return Facts(image, seen.count, len(seen.classes), device.partition(":")[0], seed)


def attempt_at(facts: Facts, plan: Spec, numeric: bool, seconds: float | None = None) -> Trial:
    """`attempt` with pictures of noise of the shape and with the kind of labels that the facts tell of."""
    import numpy as np

    from limner.data.gather import of_arrays

    rng = np.random.default_rng(0)
    image = facts.image
    pixels = rng.integers(0, 256, (PLANTED, image.height, image.width, image.channels), dtype=np.uint8)
    images = of_arrays(pixels)
    if facts.classes and numeric:
        images = replace(images, numbers=rng.random((PLANTED, facts.classes), dtype=np.float32))
    elif facts.classes:
        images = replace(images, labels=np.arange(PLANTED, dtype=np.int64) % facts.classes)
    return attempt(plan, images, facts.device, seconds)


def attempt(plan: Spec, images: Images, device: str, seconds: float | None = None) -> Trial:
    """Train on `images` for about so many seconds after a first step that warms up.

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
    started, last, enough = time.monotonic(), first, SECONDS if seconds is None else seconds
    for event in events:
        last = event if isinstance(event, Progress) else last
        if time.monotonic() - started > enough and last is not first:
            break
    speed = (last.nimg - first.nimg) / (time.monotonic() - started)
    return Trial(images.image, speed, _peak(device), device)


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
