"""EfficientNet-Lite0 without its classifier (Tan and Le 2019; Lite: squeeze-and-excitation left out, ReLU6 throughout).

Batch norm is folded into the convolutions, which changes nothing: w' = w γ / √(σ² + ε), b' = β - μ γ / √(σ² + ε).
The weights were trained in TensorFlow, whose `same` padding at stride 2 adds a row more below and to the right than
above and to the left; symmetrical padding would shift what the network sees by a pixel at each of its five halvings.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from limner.metrics.inputs import Images

STAGES = (
    (1, 16, 3, 1, 1),
    (6, 24, 3, 2, 2),
    (6, 40, 5, 2, 2),
    (6, 80, 3, 3, 2),
    (6, 112, 5, 3, 1),
    (6, 192, 5, 4, 2),
    (6, 320, 3, 1, 1),
)
"""Expansion, channels, kernel, repeats, stride of the first repeat: table 1 of the paper."""


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's `same` padding: n pixels become ⌈n / stride⌉."""

    def __init__(self, a: int, b: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__(a, b, kernel, stride, groups=groups)

    def forward(self, input: Tensor) -> Tensor:
        (above, below), (left, right) = (self._margins(side) for side in input.shape[2:])
        if (left, above) == (right, below):
            return F.conv2d(input, self.weight, self.bias, self.stride, (above, left), 1, self.groups)
        padded = F.pad(input, (left, right, above, below))
        return F.conv2d(padded, self.weight, self.bias, self.stride, 0, 1, self.groups)

    def _margins(self, side: int) -> tuple[int, int]:
        """Zeros before and after a side of this length; an odd one goes after."""
        stride, kernel = self.stride[0], self.kernel_size[0]
        total = max(0, (-(-side // stride) - 1) * stride + kernel - side)
        return total // 2, total - total // 2


class Inverted(nn.Module):
    """Inverted residual: widen, filter each channel, narrow; added to its input where the shapes agree."""

    def __init__(self, a: int, b: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = a * expansion
        self.widen = SameConv(a, wide) if expansion > 1 else None
        self.filter = SameConv(wide, wide, kernel, stride, wide)
        self.narrow = SameConv(wide, b)
        self.residual = stride == 1 and a == b

    def forward(self, x: Tensor) -> Tensor:
        h = x if self.widen is None else F.relu6(self.widen(x), inplace=True)
        h = self.narrow(F.relu6(self.filter(h), inplace=True))
        return x + h if self.residual else h


class EfficientNetLite0(nn.Module):
    """RGB in [-1, 1], any size → the 1,280 numbers of the last pool; trained at 224 px."""

    name = "efficientnet_lite0"

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, 32, 3, 2)
        a = 32
        blocks: list[Inverted] = []
        for expansion, b, kernel, repeats, stride in STAGES:
            for i in range(repeats):
                blocks.append(Inverted(a, b, expansion, kernel, stride if i == 0 else 1))
                a = b
        self.blocks = nn.Sequential(*blocks)
        self.head = SameConv(a, 1280)

    def forward(self, x: Images) -> Float[Tensor, "n 1280"]:
        # trained on (bytes - 127) / 128
        x = (x * (127.5 / 128) + 0.5 / 128).to(self.stem.weight.dtype)
        h = F.relu6(self.head(self.blocks(F.relu6(self.stem(x), inplace=True))), inplace=True)
        return h.mean((2, 3), dtype=torch.float32)
