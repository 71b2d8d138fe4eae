"""Layers that families share: changes of resolution as one strided convolution, residual blocks.

Upsampling ×2 before a 3×3 convolution, and average pooling after one, are both exactly a 4×4
convolution with stride 2 whose kernel is a linear function of the 3×3 one: 2.25 times fewer
multiplications. The weights stay 3×3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limner.core.pixels import Image

Maps = Float[Tensor, "n _ _ _"]
Size = tuple[int, int]


def pyramid(image: Image, smallest: int = 4) -> list[Size]:
    """Sizes from coarse to fine: each half of the next, rounded up, while both sides stay ≥ `smallest`."""
    sizes = [(image.height, image.width)]
    while min(sizes[0]) / 2 >= smallest:
        sizes.insert(0, (math.ceil(sizes[0][0] / 2), math.ceil(sizes[0][1] / 2)))
    return sizes


def widths(stages: int, finest: int, widest: int) -> list[int]:
    """Channels from coarse to fine: doubling towards the coarse end, up to `widest`."""
    return [min(finest * 2**k, widest) for k in reversed(range(stages))]


class Up(nn.Module):
    """Nearest ×2 upsampling, 3×3 convolution, cut to an exact size."""

    def __init__(self, into: int, out: int, size: Size, gain: float = 1.0, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(_he(out, into, gain))
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None
        self.size = size

    def forward(self, x: Maps) -> Maps:
        """(n, into, h, w) → (n, out, *size), size ≤ 2h × 2w."""
        kernel = _spread(_spread(self.weight.flip(2, 3).transpose(0, 1), 2), 3)
        return doubled(x, kernel, self.bias, self.size)


class Down(nn.Module):
    """3×3 convolution, 2×2 average pooling; odd sizes are rounded up by a row of zeros."""

    def __init__(self, into: int, out: int, gain: float = 1.0, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(_he(out, into, gain))
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None

    def forward(self, x: Maps) -> Maps:
        """(n, into, h, w) → (n, out, ⌈h/2⌉, ⌈w/2⌉)."""
        kernel = _spread(_spread(self.weight, 2), 3) / 4
        return F.conv2d(_even(x), _last(kernel), self.bias, stride=2, padding=1)


class Grow(nn.Module):
    """4×4 transposed convolution with stride 2, cut to an exact size: doubling with every weight free."""

    def __init__(self, into: int, out: int, size: Size, gain: float = 1.0, bias: bool = True) -> None:
        super().__init__()
        # each output sees a quarter of the taps
        self.weight = nn.Parameter(_he(into, out, gain * math.sqrt(4 * out / into), 4))
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None
        self.size = size

    def forward(self, x: Maps) -> Maps:
        """(n, into, h, w) → (n, out, *size), size ≤ 2h × 2w."""
        return doubled(x, self.weight, self.bias, self.size)


class Shrink(nn.Module):
    """4×4 convolution with stride 2: halving that sees the finest grain, which averaging hides from a critic."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(_he(out, into, 1.0, 4))
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, x: Maps) -> Maps:
        """(n, into, h, w) → (n, out, ⌈h/2⌉, ⌈w/2⌉)."""
        return F.conv2d(_even(x), _last(self.weight), self.bias, stride=2, padding=1)


class Conv(nn.Module):
    """3×3 (or k×k) convolution that keeps the size, started at the variance-keeping scale times `gain`."""

    def __init__(self, into: int, out: int, kernel: int = 3, gain: float = 1.0, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(_he(out, into, gain, kernel))
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None

    def forward(self, x: Maps) -> Maps:
        """(n, into, h, w) → (n, out, h, w)."""
        return F.conv2d(x, _last(self.weight), self.bias, padding=self.weight.shape[2] // 2)


class Residual(nn.Module):
    """x + f(x), where f starts at zero: no normalisation is needed (Zhang et al. 2019, Fixup)."""

    def __init__(self, channels: int, inner: int | None = None) -> None:
        super().__init__()
        self.first = Conv(channels, inner or channels)
        self.second = Conv(inner or channels, channels, gain=0.0)

    def forward(self, x: Maps) -> Maps:
        """(n, c, h, w) → (n, c, h, w)."""
        return x + self.second(leak(self.first(leak(x))))


def doubled(x: Maps, kernel: Tensor, bias: Tensor | None, size: Size) -> Maps:
    """Transposed convolution with stride 2, of a 2×2 or 4×4 kernel (into, out, k, k), cut to `size`, ≤ 2h × 2w."""
    added = None if bias is None else bias.detach()
    y = F.conv_transpose2d(x, kernel, added, stride=2, padding=kernel.shape[2] // 2 - 1)
    y = y if bias is None else _Biased.apply(y, bias)
    return y[:, :, : size[0], : size[1]]


class _Biased(torch.autograd.Function):
    """What already holds a bias, with the bias's gradient: oneDNN's transposed convolutions take up to two thirds of
    their gradients' time for it, a sum hardly any."""

    @staticmethod
    def forward(ctx: Any, y: Maps, bias: Tensor) -> Maps:
        ctx.dtype = bias.dtype
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, *slopes: Maps) -> tuple[Maps, Tensor | None]:
        return slopes[0], slopes[0].sum((0, 2, 3)).to(ctx.dtype) if ctx.needs_input_grad[1] else None


class Transposed(nn.ConvTranspose2d):
    """Torch's transposed convolution with stride 2, as `doubled` computes it."""

    def __init__(self, into: int, out: int, kernel: int) -> None:
        super().__init__(into, out, kernel, 2, kernel // 2 - 1)

    def forward(self, input: Maps, output_size: Sequence[int] | None = None) -> Maps:
        """(n, into, h, w) → (n, out, *output_size), by default (n, out, 2h, 2w)."""
        height, width = output_size or (2 * input.shape[2], 2 * input.shape[3])
        return doubled(input, self.weight, self.bias, (height, width))


class Dropout(nn.Dropout):
    """Dropout (Srivastava et al. 2014) whose shares are multiples of 1/65,536: 16 random bits a number.

    On a CPU random numbers are drawn one by one, and torch's take six times as long: a fifth of a step of `dense`.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; in training each number is 0, or what it was over the share that is kept."""
        if not self.training or self.p == 0:
            return input
        if self.p == 1 or self.inplace or input.device.type != "cpu":
            return super().forward(input)
        n = input.numel()
        drawn = torch.empty(-(-n // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        kept = torch.empty_like(input, requires_grad=False)
        share = min(round(self.p * 2**16), 2**16 - 1)
        kept.as_strided((n,), (1,)).copy_(drawn[:n] >= share - 2**15)
        return input * kept.div_(1 - share / 2**16)


def leak(x: Tensor) -> Tensor:
    """Leaky rectifier with slope 0.2."""
    return F.leaky_relu(x, 0.2)


def flat(x: Maps) -> Float[Tensor, "n d"]:
    """(n, c, h, w) → (n, c·h·w). Gradients come back with channels last, as what was computed before has them."""
    if x.requires_grad:
        x.register_hook(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))
    return x.flatten(1)


class Flat(nn.Module):
    """`flat` as a layer."""

    def forward(self, x: Maps) -> Float[Tensor, "n d"]:
        return flat(x)


def _he(out: int, into: int, gain: float, kernel: int = 3) -> Tensor:
    """Weights that keep the variance through a leaky rectifier (He et al. 2015), times gain."""
    std = math.sqrt(2 / (1 + 0.2**2)) / math.sqrt(into * kernel * kernel)
    return torch.randn(out, into, kernel, kernel) * (std * gain)


def _even(x: Maps) -> Maps:
    """Odd sizes rounded up by a row and a column of zeros."""
    high, wide = x.shape[2] % 2, x.shape[3] % 2
    return F.pad(x, (0, wide, 0, high)) if high or wide else x


def _last(kernel: Tensor) -> Tensor:
    """A kernel with channels last in memory, one channel included: what a convolution gives has its kernel's layout,
    and a rectifier between two layouts walks memory five times as slowly."""
    return kernel.clone(memory_format=torch.channels_last) if kernel.shape[1] == 1 else kernel


def _spread(weight: Tensor, dim: int) -> Tensor:
    """Convolve a 3-tap axis with (1, 1): [a, b, c] → [a, a+b, b+c, c]."""
    zero = torch.zeros_like(weight.narrow(dim, 0, 1))
    return torch.cat([weight, zero], dim) + torch.cat([zero, weight], dim)
