"""Inception v3 as FID uses it: the TensorFlow graph of 2015-12-05, its resize and its pooling (Heusel et al. 2017).

It differs from the Inception of the paper (Szegedy et al. 2016) in three ways that move scores: average pools leave
the padding out, the last block pools by maximum, and images are resized as TensorFlow 1 did it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.metrics.base import Images


class Unit(nn.Module):
    """Convolution, batch norm, rectifier."""

    def __init__(self, a: int, b: int, kernel: int | tuple[int, int] = 1, stride: int = 1, pad: bool = True) -> None:
        super().__init__()
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (kernel[0] // 2, kernel[1] // 2) if pad else (0, 0)
        self.conv = nn.Conv2d(a, b, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(b, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Block(nn.Module):
    """Branches side by side: `paths` names the units of each in order, a tuple of names forks at the end."""

    paths: tuple[tuple[str | tuple[str, str], ...], ...]

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([*(self._along(path, x) for path in self.paths), self._pooled(x)], 1)

    def _along(self, path: tuple[str | tuple[str, str], ...], x: Tensor) -> Tensor:
        for step in path:
            x = torch.cat([self.get_submodule(s)(x) for s in ((step,) if isinstance(step, str) else step)], 1)
        return x

    def _pooled(self, x: Tensor) -> Tensor:
        return self.get_submodule("branch_pool")(F.avg_pool2d(x, 3, 1, 1, count_include_pad=False))


class Wide(Block):
    """35×35: 1×1, 5×5 and two 3×3."""

    paths = (
        ("branch1x1",),
        ("branch5x5_1", "branch5x5_2"),
        ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
    )

    def __init__(self, a: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = Unit(a, 64)
        self.branch5x5_1, self.branch5x5_2 = Unit(a, 48), Unit(48, 64, 5)
        self.branch3x3dbl_1, self.branch3x3dbl_2, self.branch3x3dbl_3 = Unit(a, 64), Unit(64, 96, 3), Unit(96, 96, 3)
        self.branch_pool = Unit(a, pooled)


class Halving(Block):
    """A block of stride 2: its pool has no convolution."""

    def _pooled(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 3, 2)


class FirstHalving(Halving):
    """35×35 → 17×17."""

    paths = (("branch3x3",), ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"))

    def __init__(self, a: int) -> None:
        super().__init__()
        self.branch3x3 = Unit(a, 384, 3, 2, pad=False)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Unit(a, 64), Unit(64, 96, 3)
        self.branch3x3dbl_3 = Unit(96, 96, 3, 2, pad=False)


class Long(Block):
    """17×17: 7×7 convolutions as 1×7 and 7×1."""

    paths = (
        ("branch1x1",),
        ("branch7x7_1", "branch7x7_2", "branch7x7_3"),
        ("branch7x7dbl_1", "branch7x7dbl_2", "branch7x7dbl_3", "branch7x7dbl_4", "branch7x7dbl_5"),
    )

    def __init__(self, c: int) -> None:
        super().__init__()
        row, column = (1, 7), (7, 1)
        self.branch1x1, self.branch_pool = Unit(768, 192), Unit(768, 192)
        self.branch7x7_1, self.branch7x7_2 = Unit(768, c), Unit(c, c, row)
        self.branch7x7_3 = Unit(c, 192, column)
        self.branch7x7dbl_1, self.branch7x7dbl_2 = Unit(768, c), Unit(c, c, column)
        self.branch7x7dbl_3, self.branch7x7dbl_4 = Unit(c, c, row), Unit(c, c, column)
        self.branch7x7dbl_5 = Unit(c, 192, row)


class SecondHalving(Halving):
    """17×17 → 8×8."""

    paths = (("branch3x3_1", "branch3x3_2"), ("branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3", "branch7x7x3_4"))

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = Unit(768, 192), Unit(192, 320, 3, 2, pad=False)
        self.branch7x7x3_1, self.branch7x7x3_2 = Unit(768, 192), Unit(192, 192, (1, 7))
        self.branch7x7x3_3, self.branch7x7x3_4 = Unit(192, 192, (7, 1)), Unit(192, 192, 3, 2, pad=False)


class Forked(Block):
    """8×8: branches that end in 1×3 beside 3×1; the very last block pools by maximum."""

    paths = (
        ("branch1x1",),
        ("branch3x3_1", ("branch3x3_2a", "branch3x3_2b")),
        ("branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b")),
    )

    def __init__(self, a: int, last: bool) -> None:
        super().__init__()
        self.last = last
        self.branch1x1, self.branch_pool = Unit(a, 320), Unit(a, 192)
        self.branch3x3_1, self.branch3x3_2a, self.branch3x3_2b = _fork(a)
        self.branch3x3dbl_1 = Unit(a, 448)
        self.branch3x3dbl_2, self.branch3x3dbl_3a, self.branch3x3dbl_3b = _fork(448, 3)

    def _pooled(self, x: Tensor) -> Tensor:
        return self.branch_pool(F.max_pool2d(x, 3, 1, 1)) if self.last else super()._pooled(x)


class Inception(nn.Module):
    """RGB in [-1, 1], any size → the 2,048 numbers of the last pool. State names are pt_inception-2015-12-05's."""

    name = "inception_v3"
    resize = "to 299 px, bilinear as TensorFlow 1 did it"

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, 3, 2, pad=False)
        self.Conv2d_2a_3x3 = Unit(32, 32, 3, pad=False)
        self.Conv2d_2b_3x3 = Unit(32, 64, 3)
        self.Conv2d_3b_1x1 = Unit(64, 80)
        self.Conv2d_4a_3x3 = Unit(80, 192, 3, pad=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = Wide(192, 32), Wide(256, 64), Wide(288, 64)
        self.Mixed_6a = FirstHalving(288)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = Long(128), Long(160), Long(160), Long(192)
        self.Mixed_7a = SecondHalving()
        self.Mixed_7b, self.Mixed_7c = Forked(1280, last=False), Forked(2048, last=True)
        self.fc = nn.Linear(2048, 1008)

    def forward(self, x: Images) -> Tensor:
        # the graph computes (byte - 128) / 128 of bytes 0 … 255
        x = (tensorflow_resize((x + 1) * 127.5, 299) - 128) / 128
        for name, layer in self.named_children():
            if name == "fc":
                break
            if name in ("Conv2d_3b_1x1", "Mixed_5b"):
                x = F.max_pool2d(x, 3, 2)
            x = layer(x)
        return x.mean((2, 3))

    def read(self, features: Tensor) -> Tensor:
        """Class scores without their bias, as the Inception score takes them (torch-fidelity's `logits_unbiased`)."""
        return features @ self.fc.weight.T


def tensorflow_resize(x: Images, size: int) -> Images:
    """Bilinear resize to size × size as TensorFlow 1 did it: pixel i is read at i · old / new, no half-pixel shift."""
    for axis in (3, 2):
        old = x.shape[axis]
        at = torch.arange(size, dtype=torch.float32, device=x.device) * (old / size)
        low = at.long().clamp_max(old - 1)
        share = (at - low).view(-1, *[1] * (3 - axis))
        below, above = x.index_select(axis, low), x.index_select(axis, (low + 1).clamp_max(old - 1))
        x = below + (above - below) * share
    return x


def _fork(a: int, kernel: int = 1) -> tuple[Unit, Unit, Unit]:
    return Unit(a, 384, kernel), Unit(384, 384, (1, 3)), Unit(384, 384, (3, 1))
