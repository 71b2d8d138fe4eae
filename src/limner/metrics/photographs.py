"""Features of photographs: EfficientNet-Lite0, trained on ImageNet and shipped in half precision with Limner.

No critic and no other part of a training uses this network, so that nothing is judged by what helped to train it.
A Fréchet distance on these features is not FID, which is defined by another network.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from limner.core.errors import Missing, UserError
from limner.core.spec import register
from limner.metrics.base import Extractor, Features, Images
from limner.metrics.efficientnet import EfficientNetLite0
from limner.metrics.inputs import digest_of, three_channels

FILE = Path(__file__).with_name("efficientnet_lite0.safetensors")
"""Made by benchmarks/make_photograph_features.py; Apache-2.0, see NOTICE."""
DIGEST = "966e139b1fcdbeda"
"""Of the weights in that file."""
SIDE, LARGE = 128, 224
"""Pixels that pictures are looked at with; those with a longer side are better looked at with the second,
which the weights were trained at and which takes three times as long."""
BLOCK = 16
"""Images looked at in one go: what a CPU computes of more does not stay in its caches."""


@register
@dataclass(frozen=True, eq=False)
class Photographs(Extractor):
    """The 1,280 numbers of the last pool of EfficientNet-Lite0, trained on the photographs of ImageNet; no download.

    side: pixels that pictures are made to be square with; features of other sides do not compare
    """

    side: int = SIDE
    backbone = EfficientNetLite0.name

    @property
    def name(self) -> str:  # type: ignore[override]
        """`photographs`, and the side unless it is the usual one."""
        return "photographs" if self.side == SIDE else f"photographs-{self.side}"

    @property
    def resize(self) -> str:  # type: ignore[override]
        """In words."""
        return f"to {self.side} px, bilinear, antialiased"

    @property
    def digest(self) -> str:
        """Hash of the weights and of the resize rule."""
        return digest_of(f"{DIGEST}/{self.resize}", [])

    @cached_property
    def network(self) -> EfficientNetLite0:
        """In evaluation mode. Raises Missing where its file is not there, UserError where it is damaged."""
        with torch.device("meta"):
            network = EfficientNetLite0()
        network.load_state_dict({name: weight.float() for name, weight in _read().items()}, assign=True)
        # channels last: convolutions that see one channel each are several times as fast
        return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def __call__(self, x: Images) -> Features:
        """Features of images in [-1, 1] of any size and channels, float32 (n, 1280)."""
        with torch.inference_mode():
            x, network = three_channels(x.float()), self.network.to(x.device)
            return torch.cat([network(self._sized(part)) for part in x.split(BLOCK)])

    def _sized(self, x: Images) -> Images:
        x = x.contiguous(memory_format=torch.channels_last)
        return F.interpolate(x, (self.side, self.side), mode="bilinear", antialias=True)


def digest(weights: dict[str, Tensor]) -> str:
    """Hash of the half-precision weights."""
    return digest_of(f"{EfficientNetLite0.name}/1", [weights[name] for name in sorted(weights)])


def _read() -> dict[str, Tensor]:
    """The shipped weights, whole."""
    if not FILE.is_file():
        raise Missing(f"{FILE}: the weights of --features photographs are missing; install Limner again")
    try:
        weights = load_file(FILE)
    except (SafetensorError, OSError):
        weights = {}
    if digest(weights) != DIGEST:
        raise UserError(f"{FILE}: the weights of --features photographs are damaged; install Limner again")
    return weights
