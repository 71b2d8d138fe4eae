"""LeNet-5 with the names of gan-metrics-pytorch, for digits (LeCun et al. 1998; Xu et al. 2018)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from limner.metrics.base import Images


class LeNet5(nn.Module):
    """RGB or grey in [-1, 1], any size → 84 features; colours are averaged."""

    name = "lenet5"
    resize = "to 32 px, bilinear"

    def __init__(self) -> None:
        super().__init__()
        self.convnet = nn.ModuleDict({"c1": nn.Conv2d(1, 6, 5), "c3": nn.Conv2d(6, 16, 5), "c5": nn.Conv2d(16, 120, 5)})
        self.fc = nn.ModuleDict({"f6": nn.Linear(120, 84), "f7": nn.Linear(84, 10)})

    def forward(self, x: Images) -> Tensor:
        x = F.interpolate((x.mean(1, keepdim=True) + 1) / 2, (32, 32), mode="bilinear")
        x = F.max_pool2d(self.convnet["c1"](x).tanh(), 2)
        x = F.max_pool2d(self.convnet["c3"](x).tanh(), 2)
        return self.fc["f6"](self.convnet["c5"](x).tanh().flatten(1)).tanh()

    def logits(self, x: Images) -> Tensor:
        """The ten digits."""
        return self.read(self(x))

    def read(self, features: Tensor) -> Tensor:
        """Class scores of features."""
        return self.fc["f7"](features)
