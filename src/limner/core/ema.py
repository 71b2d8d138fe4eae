"""The average of a network over recent images: what is sampled, scored and saved."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class Average:
    """An exponential moving average with a half-life in images, short at first.

    After n images the half-life is at most `warmup · n` (Karras et al. 2020, appendix B), so the
    random start is forgotten. Running statistics are averaged alike; counters are copied.
    """

    def __init__(self, nets: nn.ModuleDict, halflife: float, warmup: float = 0.05) -> None:
        self.nets = copy.deepcopy(nets).requires_grad_(False).eval()
        self.halflife, self.warmup = halflife, warmup
        self._pairs = _pairs(self.nets, nets)

    @torch.no_grad()
    def update(self, nimg: int, seen: int) -> None:
        """Take in `seen` images, the last of which was number `nimg`."""
        halflife = min(self.halflife, self.warmup * nimg)
        weight = 1 - 0.5 ** (seen / max(halflife, 1e-8))
        averages, sources, counts, counted = self._pairs
        torch._foreach_lerp_(averages, sources, weight)  # pyright: ignore[reportPrivateUsage]
        for old, new in zip(counts, counted, strict=True):
            old.copy_(new)

    def follow(self, nets: nn.ModuleDict) -> None:
        """Average another set of networks of the same shapes from now on."""
        self._pairs = _pairs(self.nets, nets)


def _pairs(
    average: nn.ModuleDict, source: nn.ModuleDict
) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
    """What is averaged, from what; what is copied, from what."""
    pairs = list(zip(_tensors(average), _tensors(source), strict=True))
    smooth = [(a, s) for a, s in pairs if a.is_floating_point()]
    counts = [(a, s) for a, s in pairs if not a.is_floating_point()]
    return [a for a, _ in smooth], [s for _, s in smooth], [a for a, _ in counts], [s for _, s in counts]


def _tensors(nets: nn.ModuleDict) -> list[Tensor]:
    return [t.detach() for t in (*nets.parameters(), *nets.buffers())]
