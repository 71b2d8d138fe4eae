"""Features that need no download: which network the scores look through, chosen by name.

`random` here; `in-domain` is trained on the pictures themselves (indomain.py), files of weights are in weights.py.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from limner.core.errors import UserError
from limner.core.spec import register
from limner.data.images import Images as Data
from limner.metrics.base import Extractor, Features, Images

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


def choose(name: str, data: Data) -> Extractor:
    """The extractor `--features` names: `in-domain`, `random`, `inception`, or a file of weights.

    `data` is what an in-domain network is trained on. Raises UserError for anything else.
    """
    from limner.metrics.indomain import InDomain
    from limner.metrics.weights import WeightsFile, inception_file

    if name == "in-domain":
        return InDomain.of(data)
    if name == "random":
        return RandomFeatures()
    if name == "inception":
        return WeightsFile(str(inception_file()))
    if Path(name).suffix in (".safetensors", ".pth", ".pt") or Path(name).exists():
        return WeightsFile(name)
    raise UserError(f"--features {name}: type in-domain, random, inception, or the path of a .safetensors or .pth file")


def three_channels(x: Images) -> Images:
    """Grey becomes three equal channels; alpha is laid on white."""
    if x.shape[1] in (2, 4):
        alpha = (x[:, -1:] + 1) / 2
        x = x[:, :-1] * alpha + (1 - alpha)
    return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x


def at_most(x: Images, longest: int) -> Images:
    """Images with a longer side above `longest` pixels are reduced to it (bilinear, antialiased), others left."""
    h, w = x.shape[2:]
    if max(h, w) <= longest:
        return x
    scale = longest / max(h, w)
    size = (max(8, round(h * scale)), max(8, round(w * scale)))
    return F.interpolate(x, size, mode="bilinear", antialias=True)


def digest_of(rule: str, weights: Iterable[Tensor]) -> str:
    """16 hexadecimal digits that depend on the rule's words and on every number."""
    h = hashlib.blake2b(rule.encode(), digest_size=8)
    for weight in weights:
        h.update(weight.detach().cpu().contiguous().numpy().tobytes())
    return h.hexdigest()


def cache_folder() -> Path:
    """`$LIMNER_CACHE`, or `~/.cache/limner`."""
    return Path(os.environ.get("LIMNER_CACHE") or Path.home() / ".cache" / "limner")


def _edges(weight: Tensor) -> Tensor:
    weight[len(weight) // 4 :] -= weight[len(weight) // 4 :].mean((1, 2, 3), keepdim=True)
    return weight
