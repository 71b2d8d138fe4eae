"""MobileNetV2 with torchvision's state names (Sandler et al. 2018). A Fréchet distance on it is not FID."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.metrics.base import Images

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, repeats, stride of the first repeat: table 2 of the paper."""


def unit(a: int, b: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, rectifier cut at 6."""
    conv = nn.Conv2d(a, b, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(b), nn.ReLU6())


class Inverted(nn.Module):
    """Inverted residual: widen, filter each channel, narrow."""

    def __init__(self, a: int, b: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = a * expansion
        widen = [unit(a, wide)] if expansion > 1 else []
        narrow = [nn.Conv2d(wide, b, 1, bias=False), nn.BatchNorm2d(b)]
        self.conv = nn.Sequential(*widen, unit(wide, wide, 3, stride, wide), *narrow)
        self.residual = stride == 1 and a == b

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(nn.Module):
    """RGB in [-1, 1], any size → the 1,280 numbers of the last pool."""

    name = "mobilenet_v2"
    resize = "to 224 px, bilinear, antialiased"

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [unit(3, 32, 3, 2)]
        a = 32
        for expansion, b, repeats, stride in STAGES:
            for i in range(repeats):
                layers.append(Inverted(a, b, expansion, stride if i == 0 else 1))
                a = b
        self.features = nn.Sequential(*layers, unit(a, 1280))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 1000))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225])[:, None, None], persistent=False)

    def forward(self, x: Images) -> Tensor:
        x = F.interpolate((x + 1) / 2, (224, 224), mode="bilinear", antialias=True)
        return self.features((x - self.mean) / self.std).mean((2, 3))

    def logits(self, x: Images) -> Tensor:
        """The 1,000 ImageNet classes."""
        return self.read(self(x))

    def read(self, features: Tensor) -> Tensor:
        """Class scores of features."""
        return self.classifier(features)
