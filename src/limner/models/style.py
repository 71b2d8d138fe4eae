"""The style family: code → style w by a mapping network; w scales the channels of every layer (Karras et al. 2019, 2020).

w is a second latent space, less entangled than z: in it one truncates, mixes two pictures layer by layer, and edits.
A layer is a convolution whose input is scaled by the style and whose output is scaled back to unit variance
(2020, eq. 1 to 3, rearranged so that all rows of a batch share one kernel).
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limner.core.latent import Gaussian, Latent
from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.base import Entry, Generator, Labels, Pictures
from limner.models.layers import Conv, Maps, Size, Up, leak, pyramid, widths

Styles = Float[Tensor, "n d"]
LayerStyles = Float[Tensor, "n layers d"]


class Mapping(nn.Module):
    """Code and label → style: the code brought to unit length per number, then dense layers (2019, section 2).

    Layers learn `slowness` times slower than others (2019, appendix C): weights are stored that much larger than used.
    """

    def __init__(self, latent: Latent, classes: int, depth: int, slowness: float = 10.0) -> None:
        super().__init__()
        self.entry = Entry(latent, classes, latent.dim)
        self.dense = nn.ModuleList(nn.Linear(latent.dim, latent.dim) for _ in range(depth - 1))
        self.slowness = slowness
        for layer in (self.entry.dense, *self.dense):
            assert isinstance(layer, nn.Linear)
            nn.init.normal_(layer.weight, std=slowness * math.sqrt(2 / layer.in_features))
            nn.init.zeros_(layer.bias)

    def forward(self, z: Styles, label: Labels | None) -> Styles:
        z = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        w = leak(self.entry(z, label) / self.slowness)
        for layer in self.dense:
            w = leak(layer(w) / self.slowness)
        return w


class Modulated(nn.Module):
    """Convolution with channels scaled by a style before it, and back to unit variance after it (2020, eq. 1 to 3)."""

    def __init__(self, conv: Conv | Up, dim: int, demodulate: bool = True) -> None:
        super().__init__()
        self.conv, self.demodulate = conv, demodulate
        out, into = conv.weight.shape[:2]
        self.style = nn.Linear(dim, into)
        nn.init.normal_(self.style.weight, std=1 / math.sqrt(dim))
        nn.init.ones_(self.style.bias)
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, x: Maps, w: Styles) -> Maps:
        """(n, into, h, w), (n, dim) → (n, out, h', w')."""
        scale = self.style(w)
        y = self.conv(x * scale[:, :, None, None].to(x.dtype))
        if self.demodulate:
            y = y * self.unscale(scale)[:, :, None, None].to(y.dtype)
        return y + self.bias[:, None, None].to(y.dtype)

    def unscale(self, scale: Float[Tensor, "n into"]) -> Float[Tensor, "n out"]:
        """1 / the standard deviation that the scaled kernel gives to unit noise (2020, eq. 3)."""
        with torch.autocast(scale.device.type, enabled=False):
            power = self.conv.weight.float().square().sum((2, 3))
            return (scale.float().square() @ power.T + 1e-8).rsqrt()


class Layer(nn.Module):
    """Modulated convolution, noise if asked, leaky rectifier scaled to keep the variance."""

    def __init__(self, conv: Conv | Up, dim: int, noise: bool) -> None:
        super().__init__()
        self.conv = Modulated(conv, dim)
        self.noise = nn.Parameter(torch.zeros(())) if noise else None

    def forward(self, x: Maps, w: Styles) -> Maps:
        x = self.conv(x, w)
        if self.noise is not None and self.training:
            x = x + self.noise * torch.randn(len(x), 1, *x.shape[2:], device=x.device, dtype=x.dtype)
        return leak(x) * math.sqrt(2)


@register
class StyleGenerator(Generator):
    """Mapping network and modulated synthesis; every grid paints its share of the picture (Karras et al. 2020, figure 7).

    The rows of a batch never see each other, but for styles mixed in training.

    image: shape of what it makes
    latent: prior of its codes; styles are of the same size
    classes: how many labels it is told, 0 for none
    width: channels at full size
    widest: most channels of any stage
    depth: dense layers of the mapping network
    blocks: further convolutions a stage, the full size excepted: there they cost most
    entry: what synthesis begins with: a learned constant, as published, or a dense layer of the style
    mixing: share of training pictures that take their fine layers' style from another code
    noise: whether layers get noise in training; pictures drawn later are without
    memory: share of the mean style that one step renews
    """

    middle: Tensor

    def __init__(
        self,
        image: Image,
        latent: Latent = Gaussian(64),
        classes: int = 0,
        width: int = 32,
        widest: int = 256,
        depth: int = 3,
        blocks: int = 0,
        entry: Literal["constant", "style"] = "constant",
        mixing: float = 0.5,
        noise: bool = False,
        memory: float = 0.01,
    ) -> None:
        super().__init__()
        self.image, self.latent, self.classes = image, latent, classes
        self.mixing, self.memory = mixing, memory
        sizes = pyramid(image)
        channels = widths(len(sizes), width, widest)
        self.map = Mapping(latent, classes, depth)
        self.grid = (channels[0], *sizes[0])
        self.first = nn.Parameter(torch.randn(self.grid)) if entry == "constant" else None
        self.dense = nn.Linear(latent.dim, math.prod(self.grid)) if entry == "style" else None
        make = _stage(latent.dim, noise)
        self.stages = nn.ModuleList([make(channels[0], channels[0], None, blocks)])
        for into, out, size in zip(channels, channels[1:], sizes[1:], strict=False):
            self.stages.append(make(into, out, size, 0 if size == sizes[-1] else blocks))
        self.paints = nn.ModuleList(
            Modulated(Conv(c, image.channels, kernel=1, gain=0.5, bias=False), latent.dim, demodulate=False)
            for c in channels
        )
        self.register_buffer("middle", torch.zeros(latent.dim))

    @property
    def layers(self) -> int:
        """How many styles synthesis takes: one a stage, from coarse to fine."""
        return len(self.stages)

    def forward(self, z: Float[Tensor, "n d"], label: Labels | None = None) -> Pictures:
        w = self.mapping(z, label)
        if not self.training:
            return self.synthesis(w)
        with torch.no_grad():
            self.middle.lerp_(w.detach().float().mean(0), self.memory)
        return self.synthesis(self.mixed(w, self.mapping(z.roll(1, 0), label)) if self.mixing else w)

    def mapping(self, z: Float[Tensor, "n d"], label: Labels | None = None) -> Styles:
        """Codes → styles."""
        return self.map(z, label)

    def synthesis(self, w: Styles | LayerStyles) -> Pictures:
        """One style for all layers, or one for each, from coarse to fine → images."""
        ws = w[:, None].expand(-1, self.layers, -1) if w.ndim == 2 else w
        x = self.dense(ws[:, 0]).view(-1, *self.grid) if self.first is None else self.first.expand(ws.shape[0], -1, -1, -1)
        x = x.contiguous(memory_format=torch.channels_last)
        picture: Tensor | None = None
        for k, (stage, paint) in enumerate(zip(self.stages, self.paints, strict=True)):
            for layer in stage:
                x = layer(x, ws[:, k])
            share = paint(x, ws[:, k])
            picture = share if picture is None else share + _doubled(picture, share)
        assert picture is not None
        return picture.tanh()

    def mixed(self, w: Styles, other: Styles) -> LayerStyles:
        """Styles by layer: of some rows, those from a random layer on are the other's (2019, section 3.1)."""
        n, last = len(w), self.layers
        cut = torch.randint(1, max(last, 2), (n, 1), device=w.device)
        cut = torch.where(torch.rand(n, 1, device=w.device) < self.mixing, cut, last)
        ours = torch.arange(last, device=w.device) < cut
        return torch.where(ours[:, :, None], w[:, None], other[:, None])

    def truncated(self, z: Float[Tensor, "n d"], label: Labels | None, psi: float) -> Pictures:
        """Images of styles moved towards the mean style (2019, appendix B)."""
        return self.synthesis(torch.lerp(self.middle, self.mapping(z, label), psi))


def _stage(dim: int, noise: bool) -> Any:
    """What makes the layers of one stage, the first of which doubles."""

    def make(into: int, out: int, size: Size | None, blocks: int) -> nn.ModuleList:
        first = Conv(into, out, bias=False) if size is None else Up(into, out, size, bias=False)
        more = (Conv(out, out, bias=False) for _ in range(blocks))
        return nn.ModuleList(Layer(conv, dim, noise) for conv in (first, *more))

    return make


def _doubled(picture: Maps, like: Maps) -> Maps:
    """Twice the size by bilinear interpolation, cut to a size."""
    y = F.interpolate(picture, scale_factor=2, mode="bilinear", align_corners=False)
    return y[:, :, : like.shape[2], : like.shape[3]]
