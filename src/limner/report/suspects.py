"""The samples most likely to be memorised: far nearer to a training picture than to any picture held out.

The ratio of the two distances, in feature space, says how much nearer. Alone it says little, because there are more
training than held-out pictures and so one of them is nearer by chance; therefore half of the held-out pictures are
measured in exactly the same way, against training and the other half, and the samples are judged beside them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from limner.core.pixels import Bytes, to_float
from limner.core.rng import generator
from limner.core.shares import wilson
from limner.data.images import Images
from limner.metrics.base import Extractor, Features, rows_per_block

MOST = 50_000
"""Training pictures that are searched, at most."""
CONTROLS = 1000
LEAST = 40
"""Held-out pictures below which there are no controls."""
TAIL = 0.05
"""Share of the controls that count as near."""
UNLIKELY = 0.001
SHOWN, NEIGHBOURS = 8, 3
BLOCK = 250


@dataclass(frozen=True, eq=False)
class Suspects:
    """The most suspicious of some pictures.

    pictures: uint8 (k, h, w, c), the most suspicious first
    ratios: (k,) distance to the nearest training picture over that to the nearest held-out one
    neighbours: uint8 (k, 3, h, w, c), the training pictures nearest to each
    """

    pictures: Bytes
    ratios: tuple[float, ...]
    neighbours: Bytes


@dataclass(frozen=True)
class Share:
    """How many of n samples are as near to training as only a twentieth of the controls is; 0.05 is innocent.

    value: the share, low and high its 95 % interval, which allows for the controls' own scatter
    beyond: samples that are nearer than every control, which shows a few copies among many
    chance: that there are so many of those where samples are as near as controls
    """

    value: float
    low: float
    high: float
    n: int
    beyond: int = 0
    chance: float = 1.0

    @property
    def copies(self) -> bool:
        """Whether more samples are near than chance allows."""
        return self.low > TAIL or self.chance < UNLIKELY


class Search:
    """Training pictures, held-out pictures and controls, looked at once and then searched for each model."""

    def __init__(self, train: Images, held_out: Images, extractor: Extractor, seed: int = 0, device: str = "cpu"):
        self._look = lambda pixels: _features(pixels, extractor, device)
        order = torch.randperm(len(held_out), generator=generator(seed, 0, "controls")).numpy()
        half = min(CONTROLS, len(held_out) // 2)
        self._train = _some(train, seed)
        self._near = self._look(self._train)
        self._held = self._look(held_out.pixels[np.sort(order[half:])])
        self._apart = np.ascontiguousarray(held_out.pixels[np.sort(order[:half])])
        self._control = self._ratios(self._look(self._apart))

    @property
    def searched(self) -> int:
        """Training pictures that are searched."""
        return len(self._train)

    @property
    def count(self) -> int:
        """Controls that samples are judged beside: as many samples make the comparison of extremes fair."""
        return len(self._control)

    @property
    def controls(self) -> Suspects:
        """The most suspicious of the held-out pictures, which nobody can have copied."""
        return self._worst(self._apart, self._control)

    def among(self, pixels: Bytes) -> tuple[Suspects, Share]:
        """The most suspicious of these, uint8 (n, h, w, c), and the share that is nearer than controls are."""
        ratios = self._ratios(self._look(pixels))
        limit = torch.quantile(self._control, TAIL)
        share = float((ratios < limit).double().mean())
        both = 1 / (1 / len(ratios) + 1 / len(self._control))
        beyond = int((ratios < self._control.min()).sum())
        chance = all_of_one_kind(beyond, len(ratios), len(self._control))
        return self._worst(pixels, ratios), Share(share, *wilson(share, both), len(ratios), beyond, chance)

    def _ratios(self, x: Features) -> Float[Tensor, " n"]:
        """Distance to the nearest training picture over that to the nearest held-out one."""
        to_train = torch.cat([d for d, _ in nearest(x, self._near, 1)])[:, 0]
        to_held = torch.cat([d for d, _ in nearest(x, self._held, 1)])[:, 0]
        # equal to both is no sign of anything
        return torch.where(to_held > 0, to_train / to_held.clamp_min(1e-12), torch.ones_like(to_train))

    def _worst(self, pixels: Bytes, ratios: Float[Tensor, " n"]) -> Suspects:
        rows = ratios.argsort()[:SHOWN].numpy()
        most = min(NEIGHBOURS, len(self._train))
        found = np.concatenate([at.numpy() for _, at in nearest(self._look(pixels[rows]), self._near, most)])
        return Suspects(pixels[rows], tuple(ratios[rows].tolist()), self._train[found])


def all_of_one_kind(k: int, n: int, m: int) -> float:
    """Chance that the k smallest of n + m numbers of one distribution are all among the n."""
    return math.prod((n - i) / (n + m - i) for i in range(k))


def nearest(x: Features, ground: Features, k: int) -> Iterator[tuple[Float[Tensor, "rows k"], Int64[Tensor, "rows k"]]]:
    """Distances to the k nearest rows of `ground`, and which they are, for block after block of x."""
    step = rows_per_block(2 * len(ground))
    for start in range(0, len(x), step):
        # by differences and not by the scalar product, which makes the distance to an exact copy about 1e-3
        d = torch.cdist(x[start : start + step], ground, compute_mode="donot_use_mm_for_euclid_dist")
        found = d.topk(k, dim=1, largest=False)
        yield found.values, found.indices


def _some(train: Images, seed: int) -> Bytes:
    if len(train) <= MOST:
        return train.pixels
    rows = torch.randperm(len(train), generator=generator(seed, 0, "searched"))[:MOST].numpy()
    return train.pixels[np.sort(rows)]


def _features(pixels: Bytes, extractor: Extractor, device: str) -> Features:
    blocks = [pixels[i : i + BLOCK] for i in range(0, len(pixels), BLOCK)]
    # float64 is dear here, and features are float32
    return torch.cat([extractor(to_float(np.ascontiguousarray(b), device)).float().cpu() for b in blocks])
