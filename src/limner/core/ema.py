"""The average of a network over recent images: what is sampled, scored and saved."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn


class Average:
    """An exponential moving average with a half-life in images, short at first.

    After n images the half-life is at most `warmup · n` (Karras et al. 2020, appendix B), so the
    random start is forgotten. Buffers (running statistics) are copied, not averaged.
    """

    def __init__(self, nets: nn.ModuleDict, halflife: float, warmup: float = 0.05) -> None:
        self.nets = cast(nn.ModuleDict, copy.deepcopy(nets)).requires_grad_(False).eval()
        self.halflife, self.warmup = halflife, warmup
        self._pairs = _pairs(self.nets, nets)

    @torch.no_grad()
    def update(self, nimg: int, seen: int) -> None:
        """Take in `seen` images, the last of which was number `nimg`."""
        halflife = min(self.halflife, self.warmup * nimg)
        weight = 1 - 0.5 ** (seen / max(halflife, 1e-8))
        averages, sources, kept, buffers = self._pairs
        torch._foreach_lerp_(averages, sources, weight)
        for old, new in zip(kept, buffers, strict=True):
            old.copy_(new)

    def follow(self, nets: nn.ModuleDict) -> None:
        """Average another set of networks of the same shapes from now on."""
        self._pairs = _pairs(self.nets, nets)


def _pairs(average: nn.ModuleDict, source: nn.ModuleDict) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
    return (
        list(average.parameters()),
        [p.detach() for p in source.parameters()],
        list(average.buffers()),
        list(source.buffers()),
    )
