"""A frozen network that was trained on ImageNet: features that see what photographs show.

The trunk of MobileNetV2 (Sandler et al. 2018) with batch norm folded into the convolutions; its weights come with
Limner. Gradients flow through it to the pictures. On a CPU they are taken by forward convolutions with the same
weights: several times as fast in bfloat16 as the convolutions' own backward passes, and equal to them.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from limner.core.errors import UserError
from limner.core.pretrained import Pretrained
from limner.models.layers import Maps

FILE = Path(__file__).with_name("mobilenet_v2.safetensors")
NAME = "mobilenet_v2"
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, repeats, stride of the first repeat: table 2 of the paper."""
CHANNELS = (24, 32, 96, 320)
"""Of the maps that are handed out: after blocks 3, 6, 13 and 17, at a quarter of the picture's side, an eighth, …"""
SHRINKS = (4, 8, 16, 32)
"""How many times smaller those maps are than the picture."""
SMALLEST = 32
"""Pixels: below that the last map would be less than one place."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's red, green and blue, in 0 to 1."""


@dataclass(frozen=True)
class Convolution:
    """A frozen convolution, and ReLU6 behind it where `rectified`; `groups` is 1 or one a channel."""

    weight: Tensor
    bias: Tensor
    stride: int
    groups: int
    rectified: bool

    def __call__(self, x: Maps) -> Maps:
        """(n, c, h, w) → (n, o, ⌈h/stride⌉, ⌈w/stride⌉)."""
        return _Frozen.apply(x, self)  # pyright: ignore[reportReturnType]

    def forward(self, x: Maps) -> Maps:
        """The same, without a record for gradients."""
        return convolved(x, self.kernel, self.bias, self.stride, self.groups, self.rectified)

    def back(self, slope: Maps, shape: torch.Size) -> Maps:
        """The gradient at an input of this shape, from that at the output: convolutions with the turned kernel."""
        k, padding = self.weight.shape[2], self.weight.shape[2] // 2
        if self.stride > 1 and self.groups == 1:
            left = [(shape[i] + 2 * padding - k) % self.stride for i in (2, 3)]
            return F.conv_transpose2d(slope, self.weight, None, self.stride, padding, left, self.groups)
        if self.stride > 1:  # zeros between the places, then as with stride 1
            size = (len(slope), slope.shape[1], *shape[2:])
            wide = torch.zeros_like(slope.new_empty(1).expand(size), memory_format=torch.channels_last)
            wide[:, :, :: self.stride, :: self.stride] = slope
            slope = wide
        return convolved(slope, self.turned, None, 1, self.groups, False)

    @functools.cached_property
    def kernel(self) -> Kernel:
        """The weight, ready to be used."""
        return Kernel.of(self.weight, self.stride, self.groups)

    @functools.cached_property
    def turned(self) -> Kernel:
        """The kernel that carries gradients back: flipped, and transposed where it mixes channels."""
        with torch.inference_mode(False):
            turned = self.weight.flip(2, 3) if self.groups > 1 else self.weight.transpose(0, 1).flip(2, 3)
        return Kernel.of(turned, 1, self.groups)


@dataclass(frozen=True)
class Kernel:
    """A kernel (o, i, k, k) with channels last; on CPUs also in the layout that oneDNN computes with."""

    plain: Tensor
    packed: Tensor | None

    @classmethod
    def of(cls, weight: Tensor, stride: int, groups: int) -> Kernel:
        """A kernel of odd size for zero padding that keeps the size."""
        with torch.inference_mode(False):
            return cls._of(weight, stride, groups)

    @classmethod
    def _of(cls, weight: Tensor, stride: int, groups: int) -> Kernel:
        plain, k = weight.contiguous(memory_format=torch.channels_last), weight.shape[2] // 2
        if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
            return cls(plain, None)
        try:  # the compiler's own operations: torch does not promise them, and what lacks them does without
            packed = torch.ops.mkldnn._reorder_convolution_weight(plain, [k, k], [stride] * 2, [1, 1], groups, None)
            made = cls(plain, packed)
            convolved(plain.new_zeros(1, groups * weight.shape[1], 8, 8), made, None, stride, groups, True)
        except (AttributeError, RuntimeError, TypeError):
            return cls(plain, None)
        return made


def convolved(x: Maps, kernel: Kernel, bias: Tensor | None, stride: int, groups: int, rectified: bool) -> Maps:
    """Zero-padded convolution, and ReLU6 where `rectified`, in one go where the kernel is packed."""
    k = kernel.plain.shape[2] // 2
    if kernel.packed is not None:
        cut, limits = ("hardtanh", [0.0, 6.0]) if rectified else ("none", [])
        more = ([k, k], [stride] * 2, [1, 1], groups, cut, limits, "")
        return torch.ops.mkldnn._convolution_pointwise(x, kernel.packed, bias, *more)
    y = F.conv2d(x, kernel.plain, bias, stride, k, 1, groups)
    return y.clamp_(0, 6) if rectified else y


class _Frozen(torch.autograd.Function):
    """A frozen convolution, differentiable once, by its input alone."""

    @staticmethod
    def forward(ctx: Any, x: Maps, layer: Convolution) -> Maps:
        y = layer.forward(x)
        ctx.layer, ctx.shape = layer, x.shape
        ctx.save_for_backward(*([y] if layer.rectified else []))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Maps) -> tuple[Maps, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        slope = slopes[0].contiguous(memory_format=torch.channels_last)
        for y in ctx.saved_tensors:
            slope = torch.ops.aten.hardtanh_backward(slope, y, 0.0, 6.0)
        return ctx.layer.back(slope, ctx.shape), None


@dataclass(frozen=True)
class Block:
    """Some convolutions; where `residual`, their input is added to what they give."""

    layers: tuple[Convolution, ...]
    residual: bool

    def __call__(self, x: Maps) -> Maps:
        """(n, c, h, w) → (n, o, ⌈h/stride⌉, ⌈w/stride⌉)."""
        y = x
        for layer in self.layers:
            y = layer(y)
        return x + y if self.residual else y


@dataclass(frozen=True)
class Backbone:
    """The frozen trunk on one device in one precision.

    blocks: its layers
    dtype: precision of its weights and maps
    mean: of each colour of ImageNet, (3, 1, 1), on the device
    std: the standard deviation of each, likewise
    """

    blocks: tuple[Block, ...]
    dtype: torch.dtype
    mean: Tensor
    std: Tensor

    def __call__(self, x: Float[Tensor, "n c h w"], stages: int = 4) -> list[Maps]:
        """Pictures in [-1, 1], grey or RGB, both sides ≥ 32 → the first `stages` maps, `CHANNELS` wide, in `dtype`."""
        x = (x.float() * 0.5 + 0.5 - self.mean) / self.std
        x = x.to(self.dtype).contiguous(memory_format=torch.channels_last)
        maps: list[Maps] = []
        for k, block in enumerate(self.blocks):
            x = block(x)
            if k in (3, 6, 13, 17):
                maps.append(x)
            if len(maps) == stages:
                break
        return maps


def backbone(x: Tensor) -> Backbone:
    """The frozen trunk where these pictures are, in bfloat16 under autocast to it and else in single precision."""
    kind = x.device.type
    half = torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.bfloat16
    return _built(x.device, torch.bfloat16 if half else torch.float32)


def size_at(height: int, width: int, side: int) -> tuple[int, int]:
    """The size of a picture whose shorter side is made `side`, and neither less than the backbone can see."""
    scale = side / min(height, width)
    return max(round(height * scale), SMALLEST), max(round(width * scale), SMALLEST)


def resized(x: Float[Tensor, "n c h w"], side: int) -> Float[Tensor, "n rgb h2 w2"]:
    """Pictures enlarged or reduced bilinearly until their shorter side is `side`, with three channels: grey thrice, no
    alpha."""
    x = x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x[:, :3]
    h, w = x.shape[2:]
    size = size_at(h, w, side)
    return (
        x
        if size == (h, w)
        else F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=side < min(h, w))
    )


def digest() -> str:
    """SHA-256 of the weights, in hexadecimal."""
    return hashlib.sha256(_read()).hexdigest()


def used() -> Pretrained:
    """What the file of a model that was trained through the trunk records, so that it does not judge that model."""
    return Pretrained(NAME, digest())


@functools.cache
@torch.inference_mode(False)  # what was made in inference mode could never carry gradients
def _built(device: torch.device, dtype: torch.dtype) -> Backbone:
    state = {name: weight.to(device, dtype) for name, weight in _weights().items()}
    places = iter(range(len(state) // 2))

    def convolution(stride: int = 1, groups: int = 1, rectified: bool = True) -> Convolution:
        k = next(places)
        return Convolution(state[f"{k}.weight"], state[f"{k}.bias"], stride, groups, rectified)

    blocks, a = [Block((convolution(2),), False)], 32
    for expansion, b, repeats, first in STAGES:
        for i in range(repeats):
            stride, wide = first if i == 0 else 1, a * expansion
            widen = (convolution(),) if expansion > 1 else ()
            layers = (*widen, convolution(stride, wide), convolution(rectified=False))
            blocks.append(Block(layers, stride == 1 and a == b))
            a = b
    # made once: to make a tensor of numbers on a GPU is to wait for it
    mean, std = (torch.tensor(colours, device=device)[:, None, None] for colours in (MEAN, STD))
    return Backbone(tuple(blocks), dtype, mean, std)


def _weights() -> dict[str, Tensor]:
    _read()
    try:
        return load_file(FILE)
    except Exception:  # safetensors raises its own errors on what is no such file
        raise UserError(f"{FILE}: the weights of the backbone are damaged; install Limner again") from None


def _read() -> bytes:
    try:
        return FILE.read_bytes()
    except OSError as error:
        raise UserError(f"{FILE}: cannot be read ({error}); install Limner again") from error
