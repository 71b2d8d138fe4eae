"""Losses as numbers, and the moment at which one of them is none."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor


class NotFinite(ArithmeticError):
    """A loss or a weight was not a number."""


class Tape:
    """Losses as numbers: at once on a CPU, one step late on an accelerator, which then never waits."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._late: tuple[list[str], Tensor, torch.cuda.Event] | None = None
        self._begun: dict[str, float] = {}

    def put(self, values: dict[str, Tensor]) -> dict[str, float]:
        """Numbers of this step, or of the one before; raises NotFinite where one is not finite."""
        names, stacked = list(values), torch.stack(list(values.values())).float()
        if self._device.type != "cuda":
            return self._read(names, stacked)
        copied = torch.empty_like(stacked, device="cpu", pin_memory=True)
        copied.copy_(stacked, non_blocking=True)
        done = torch.cuda.Event()
        done.record()
        before = self.unread()
        self._late, self._begun = (names, copied, done), {}
        return before

    def unread(self) -> dict[str, float]:
        """Numbers of the last step that `put` has not given back yet: part of a state."""
        if self._late is None:
            return self._begun
        names, copied, done = self._late
        done.synchronize()
        return self._read(names, copied)

    def begin(self, unread: dict[str, float]) -> None:
        """Forget the last step and go on from another one's unread numbers."""
        self._late, self._begun = None, dict(unread)

    def _read(self, names: list[str], stacked: Tensor) -> dict[str, float]:
        values = dict(zip(names, cast("list[float]", stacked.tolist()), strict=True))
        for name, number in values.items():
            if not math.isfinite(number):
                raise NotFinite(f"{name} is {number}")
        return values
