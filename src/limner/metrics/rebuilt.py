"""How near a model's reconstructions are to the images: mean over images of a distance or similarity of each pair.

The floor is that of another real image in the place of the reconstruction: what knowing nothing of the image scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.pixels import psnr
from limner.core.shares import NORMAL_95
from limner.core.spec import register
from limner.distances.lpips import LPIPS
from limner.distances.msssim import MSSSIM
from limner.distances.ssim import SSIM
from limner.metrics.base import Images, Metric, Reading, Sets

BLOCK = 100


@dataclass(frozen=True)
class Rebuilt(Metric):
    """A score of pairs."""

    quantile: ClassVar[float] = NORMAL_95
    wants: ClassVar[tuple[str, ...]] = ("rebuilt",)
    of_features: ClassVar[bool] = False

    def each(self, x: Images, y: Images) -> Float[Tensor, " n"]:
        """The score of each pair, of images in [-1, 1]."""
        raise NotImplementedError

    def score(self, sets: Sets) -> Reading:
        """The mean with its interval over images."""
        assert sets.rebuilt is not None
        x, made = sets.rebuilt
        values, other = self._all(x, made), self._all(x, x.roll(1, 0))
        mean, away = float(values.mean()), self.quantile * float(values.std()) / len(values) ** 0.5
        low, high = self.bounds
        reach, floor = (max(low, mean - away), min(high, mean + away)), float(other.mean())
        return Reading(mean, *reach, len(x), floor, len(x), on="pixels, as they are")

    def _all(self, x: Images, y: Images) -> Float[Tensor, " n"]:
        with torch.inference_mode():
            blocks = [self.each(x[i : i + BLOCK], y[i : i + BLOCK]) for i in range(0, len(x), BLOCK)]
            return torch.cat(blocks).double()


@register
@dataclass(frozen=True)
class RebuiltPSNR(Rebuilt):
    """Peak signal-to-noise ratio of reconstructions, in dB; equal pictures count as 100."""

    better: ClassVar[str] = "higher"
    label: ClassVar[str] = "reconstruction PSNR (dB)"
    bounds: ClassVar[tuple[float, float]] = (0.0, 100.0)

    def each(self, x: Images, y: Images) -> Float[Tensor, " n"]:
        """dB."""
        return psnr(x, y)


@register
@dataclass(frozen=True)
class RebuiltSSIM(Rebuilt):
    """Structural similarity of reconstructions, 1 for equal pictures (Wang et al. 2004).

    window: side of the window in pixels; small pictures take the largest odd one that fits
    """

    better: ClassVar[str] = "higher"
    label: ClassVar[str] = "reconstruction SSIM"
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    window: int = 11

    def each(self, x: Images, y: Images) -> Float[Tensor, " n"]:
        """-1 to 1."""
        return 1 - SSIM(self.window)(x, y)


@register
@dataclass(frozen=True)
class RebuiltMSSSIM(Rebuilt):
    """Multi-scale structural similarity of reconstructions, 1 for equal pictures (Wang et al. 2003).

    window: side of the window in pixels at every scale; small pictures have fewer scales, smaller ones a smaller window
    """

    better: ClassVar[str] = "higher"
    label: ClassVar[str] = "reconstruction MS-SSIM"
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    window: int = 11

    def each(self, x: Images, y: Images) -> Float[Tensor, " n"]:
        """0 to 1."""
        return 1 - MSSSIM(self.window)(x, y)


@register
@dataclass(frozen=True)
class RebuiltLPIPS(Rebuilt):
    """Learned perceptual distance of reconstructions, 0 for equal pictures (Zhang et al. 2018).

    backbone: file of torchvision's AlexNet or VGG16 weights, .safetensors or .pth
    heads: file of LPIPS's linear heads
    """

    label: ClassVar[str] = "reconstruction LPIPS"
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))

    backbone: str
    heads: str

    def each(self, x: Images, y: Images) -> Float[Tensor, " n"]:
        """0 and more."""
        return LPIPS(self.backbone, self.heads)(x, y)
