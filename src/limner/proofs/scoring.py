"""What several proofs measure on pictures: features in blocks, a model's distance to real ones, nearest neighbours."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limner.core.pixels import to_float
from limner.likeness import Likeness
from limner.metrics.base import Extractor
from limner.metrics.kernel import KernelDistance
from limner.metrics.weights import WeightsFile
from limner.proofs.base import Bench

BLOCK = 64
CPU = torch.device("cpu")


def photographs(bench: Bench) -> Extractor:
    """MobileNetV2 of the data folder."""
    return WeightsFile(str(bench.shared / "weights" / "mobilenet_v2-imagenet-fp16.safetensors"))


def features(extractor: Extractor, pixels: NDArray[np.uint8]) -> Tensor:
    """uint8 (n, h, w, c) → (n, d)."""
    blocks = (np.ascontiguousarray(pixels[i : i + BLOCK]) for i in range(0, len(pixels), BLOCK))
    return torch.cat([extractor(to_float(block, CPU)) for block in blocks])


def distance(model: Likeness, real: Tensor, extractor: Extractor) -> float:
    """1000 × kernel distance between real features and those of as many samples."""
    return 1000 * KernelDistance()(real, features(extractor, model.sample(len(real), seed=0)))


def nearest(some: Tensor, others: Tensor) -> Tensor:
    """Of each row, the distance to the nearest of the others."""
    return torch.cdist(some.double(), others.double()).amin(1)
