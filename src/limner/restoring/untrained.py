"""Restoring one picture with no model at all: a network that can only paint natural pictures easily is fitted to it.

The deep image prior (Ulyanov et al. 2018) with the deep decoder as its network (Heckel & Hand 2019): mixing of channels
and smooth doublings, no convolution across pixels, few weights. What it learns last is noise, so it is stopped early.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from torch.nn import functional as F

from limner.core.pixels import Image
from limner.core.rng import derived
from limner.models.base import Pictures
from limner.operators.base import Operator
from limner.restoring.cases import Answer, Case, Tick, part

MEMORY = 0.97
"""Share of the running average of its pictures that stays at a step."""


@dataclass(frozen=True)
class Untrained:
    """Restores with nothing but the picture; sizes and channels are those of the measurement.

    steps: of fitting
    width: channels of every stage
    coarsest: least side of the first grid
    lr: rate of Adam
    device: where it is fitted
    """

    steps: int = 1500
    width: int = 64
    coarsest: int = 8
    lr: float = 0.01
    device: str = "cpu"
    channels: int = 0
    at_once: int = 1

    def check(self, case: Case) -> None:
        """It takes any picture."""

    def __call__(self, cases: Sequence[Case], tick: Tick | None = None) -> list[Answer]:
        return [Answer(self.fitted(case, part(tick, k, 1, len(cases)))) for k, case in enumerate(cases)]

    def fitted(self, case: Case, tick: Tick | None = None) -> Pictures:
        """The average of the last pictures on the way: stopped by the noise that is known, if any is."""
        operator = case.operator.settled(0.5)
        channels, height, width = case.seen.shape[1:]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived(case.seed, case.number, "untrained"))
            net = Decoder(Image(channels, height, width), self.width, self.coarsest).to(self.device)
        y = case.y.to(self.device)
        told = informative(operator, case.seen.to(self.device))
        optimizer = torch.optim.Adam(net.parameters(), self.lr)
        mean: Tensor | None = None
        for step in range(self.steps):
            if tick:
                tick(step / self.steps)
            x = net()
            error = (operator.measure(x) - y).square()[told].mean()
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            x = x.detach()
            mean = x if mean is None else MEMORY * mean + (1 - MEMORY) * x
            if error.item() < operator.deviation**2:
                break
        assert mean is not None
        return mean.to(case.seen.device)


def informative(operator: Operator, like: Pictures) -> Bool[Tensor, "n ..."]:
    """Which numbers of a measurement say something of the picture; a masked pixel does not."""
    white = torch.ones_like(like)
    return operator.measure(white) != operator.measure(-white)


class Decoder(nn.Module):
    """A fixed grid of noise → a picture: channels mixed, doubled smoothly, rectified, normalised, at every stage."""

    def __init__(self, image: Image, width: int, coarsest: int) -> None:
        super().__init__()
        self.sizes = [(image.height, image.width)]
        while min(self.sizes[0]) / 2 >= coarsest:
            self.sizes.insert(0, (-(-self.sizes[0][0] // 2), -(-self.sizes[0][1] // 2)))
        self.register_buffer("grid", torch.rand(1, width, *self.sizes[0]))
        self.mixes = nn.ModuleList(nn.Conv2d(width, width, 1, bias=False) for _ in self.sizes)
        self.norms = nn.ModuleList(nn.GroupNorm(width, width) for _ in self.sizes)
        self.last = nn.Conv2d(width, image.channels, 1)

    def forward(self) -> Pictures:
        """(1, c, h, w) in [-1, 1]."""
        h = self.get_buffer("grid")
        for mix, norm, size in zip(self.mixes, self.norms, [*self.sizes[1:], self.sizes[-1]], strict=True):
            h = mix(h)
            h = F.interpolate(h, size=size, mode="bilinear") if h.shape[2:] != torch.Size(size) else h
            h = norm(F.relu(h))
        return self.last(h).tanh()
