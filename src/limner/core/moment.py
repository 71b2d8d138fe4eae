"""Where training stands in one turn: time, randomness, and this process's share of the batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from limner.core.latent import Latent
from limner.core.schedule import Schedule, value


@dataclass(frozen=True)
class Moment:
    """What a loss may know besides networks and data.

    Everything random is drawn for the whole batch and then cut to `rows`, so that two processes
    with half a batch each see what one process with all of it would.
    """

    nimg: int
    progress: float
    rng: torch.Generator
    total: int
    """Rows of the whole batch, over all processes."""
    rows: slice = field(default_factory=lambda: slice(None))
    """This process's rows."""
    augment: Callable[[Tensor, Moment], Tensor] | None = None
    """Shown to the critic instead of the images themselves."""
    strength: float = 0.0
    """How strongly an adaptive augmentation acts now, 0 to 1."""
    notes: dict[str, Tensor] = field(default_factory=dict)
    """Per-sample numbers to log and to steer by, not to minimise."""
    kept: dict[str, Any] = field(default_factory=dict[str, Any])
    """What one turn leaves for the next turns of the same step."""

    def __call__(self, schedule: Schedule) -> float:
        """What a schedule is now."""
        return value(schedule, self.progress)

    def codes(self, latent: Latent) -> Tensor:
        """Codes from a prior, (n, dim)."""
        return latent.sample(self.total, self.rng)[self.rows]

    def uniform(self, *shape: int) -> Tensor:
        """(n, *shape) numbers in [0, 1)."""
        return torch.rand(self.total, *shape, generator=self.rng, device=self.rng.device)[self.rows]

    def normal(self, *shape: int) -> Tensor:
        """(n, *shape) standard normal numbers."""
        return torch.randn(self.total, *shape, generator=self.rng, device=self.rng.device)[self.rows]

    def seen(self, x: Tensor) -> Tensor:
        """Images as the critic sees them."""
        return x if self.augment is None else self.augment(x, self)
