"""Features that need neither a download nor training: a network with fixed random weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from limner.core.spec import register
from limner.metrics.base import Extractor, Features, Images
from limner.metrics.inputs import at_most, digest_of, three_channels

WIDTHS = (16, 24, 32)


@register
@dataclass(frozen=True, eq=False)
class RandomFeatures(Extractor):
    """Means and spreads of the responses of a convolution network with fixed random weights, at three scales, and the
    coarsest responses in each quarter of the picture.

    Images become three channels (see `three_channels`) and, where larger, are reduced to 32 pixels on the longer
    side. Weights come from NumPy's frozen Mersenne twister, so they are the same on every machine. 272 features.

    seed: of the weights; features of other seeds do not compare
    """

    seed: int = 0
    resize = "to at most 32 px, bilinear, antialiased"

    @property
    def name(self) -> str:  # type: ignore[override]
        """`random`, and the seed unless it is 0."""
        return "random" if self.seed == 0 else f"random-{self.seed}"

    @cached_property
    def digest(self) -> str:  # type: ignore[override]
        """Hash of the weights and of this class's rules."""
        return digest_of("random/three-channels/at-most-32/mean-std-quarters/1", self._weights)

    @cached_property
    def _weights(self) -> list[Tensor]:
        rng = np.random.RandomState(self.seed)
        shapes = [(b, a, 3, 3) for a, b in zip((3, *WIDTHS), WIDTHS, strict=False)]
        drawn = [rng.standard_normal(s).astype(np.float32) * np.float32((2 / np.prod(s[1:])) ** 0.5) for s in shapes]
        # filters that sum to zero see edges, not brightness: one in four keeps its sum
        return [_edges(torch.from_numpy(w)) for w in drawn]

    def __call__(self, x: Images) -> Features:
        """Features of images in [-1, 1], float32 (n, 272)."""
        with torch.inference_mode():
            h = at_most(three_channels(x.float()), 32).contiguous(memory_format=torch.channels_last)
            out: list[Tensor] = []
            for weight in self._weights:
                h = F.relu_(F.conv2d(h, weight.to(x.device), stride=2, padding=1))
                out += [h.mean((2, 3)), h.std((2, 3), correction=0)]
            return torch.cat([*out, F.adaptive_avg_pool2d(h, 2).flatten(1)], 1)


def _edges(weight: Tensor) -> Tensor:
    weight[len(weight) // 4 :] -= weight[len(weight) // 4 :].mean((1, 2, 3), keepdim=True)
    return weight
