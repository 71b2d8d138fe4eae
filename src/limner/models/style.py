"""The style family: a mapping network makes a style w, which scales every layer's channels (Karras et al. 2019, 2020).

w is a second latent space, less entangled than z: in it one truncates, mixes two pictures layer by layer, and edits.
A layer is a convolution whose input is scaled by the style and whose output is scaled back to unit variance
(2020, eq. 1 to 3, rearranged so that all rows of a batch share one kernel).
"""

from __future__ import annotations

import math
from typing import Literal

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
    """Convolution whose channels a style scales before it; after it the variance is gain² again (2020, eq. 1 to 3).

    Without `demodulate` the output keeps the style's scale, as is right for colours.
    """

    def __init__(self, conv: Conv | Up, dim: int, gain: float = 1.0, demodulate: bool = True) -> None:
        super().__init__()
        self.conv, self.gain, self.demodulate = conv, gain, demodulate
        out, into = conv.weight.shape[:2]
        self.style = nn.Linear(dim, into)
        nn.init.normal_(self.style.weight, std=1 / math.sqrt(dim))
        nn.init.ones_(self.style.bias)
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, x: Maps, w: Styles) -> Maps:
        """(n, into, h, w), (n, dim) → (n, out, h', w')."""
        scale = self.style(w)
        y = self.conv(x * scale[:, :, None, None].to(x.dtype))
        bias = self.bias[:, None, None].to(y.dtype)
        if not self.demodulate:
            return y + bias
        return torch.addcmul(bias, y, self.unscale(scale)[:, :, None, None].to(y.dtype))

    def unscale(self, scale: Float[Tensor, "n into"]) -> Float[Tensor, "n out"]:
        """gain / the standard deviation that the scaled kernel gives to unit noise (2020, eq. 3)."""
        with torch.autocast(scale.device.type, enabled=False):
            power = self.conv.weight.float().square().sum((2, 3))
            return self.gain * (scale.float().square() @ power.T + 1e-8).rsqrt()


class Layer(nn.Module):
    """Modulated convolution, noise if asked, leaky rectifier; the variance is kept."""

    def __init__(self, conv: Conv | Up, dim: int, noise: bool) -> None:
        super().__init__()
        self.conv = Modulated(conv, dim, gain=math.sqrt(2))
        self.noise = nn.Parameter(torch.zeros(())) if noise else None

    def forward(self, x: Maps, w: Styles) -> Maps:
        x = self.conv(x, w)
        if self.noise is not None and self.training:
            x = x + self.noise * torch.randn(len(x), 1, *x.shape[2:], device=x.device, dtype=x.dtype)
        return leak(x)


class Stage(nn.Module):
    """Layers that share a style; the first of them doubles where a size is given."""

    def __init__(self, into: int, out: int, size: Size | None, dim: int, blocks: int, noise: bool) -> None:
        super().__init__()
        first = Conv(into, out, bias=False) if size is None else Up(into, out, size, bias=False)
        more = (Conv(out, out, bias=False) for _ in range(blocks))
        self.layers = nn.ModuleList(Layer(conv, dim, noise) for conv in (first, *more))

    def forward(self, x: Maps, w: Styles) -> Maps:
        for layer in self.layers:
            x = layer(x, w)
        return x


@register
class StyleGenerator(Generator):
    """Mapping network and modulated synthesis, every grid painting its share (Karras et al. 2020, figure 7).

    The rows of a batch never see each other, but for styles mixed in training.

    image: shape of what it makes
    latent: prior of its codes; styles are of the same size
    classes: how many labels it is told, 0 for none
    width: channels at half size; the full size has colours only
    widest: most channels of any stage
    depth: dense layers of the mapping network
    blocks: further convolutions a stage
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
        *grids, whole = pyramid(image)
        grids = grids or [whole]
        channels = widths(len(grids), width, widest)
        self.map = Mapping(latent, classes, depth)
        self.grid = (channels[0], *grids[0])
        self.first = nn.Parameter(torch.randn(self.grid)) if entry == "constant" else None
        self.dense = nn.Linear(latent.dim, math.prod(self.grid)) if entry == "style" else None
        shapes = [(channels[0], channels[0], None), *zip(channels, channels[1:], grids[1:], strict=False)]
        self.stages = nn.ModuleList(Stage(*shape, latent.dim, blocks, noise) for shape in shapes)
        # the shares add up to what one layer of gain 0.5 would give
        gain = 0.5 / math.sqrt(len(channels))
        colours = [Conv(c, image.channels, kernel=1, gain=gain, bias=False) for c in channels[:-1]]
        last = Up(channels[-1], image.channels, whole, gain=gain, bias=False)
        self.paints = nn.ModuleList(Modulated(conv, latent.dim, demodulate=False) for conv in (*colours, last))
        self.register_buffer("middle", torch.zeros(latent.dim))

    @property
    def layers(self) -> int:
        """How many styles synthesis takes: one a stage from coarse to fine, and one for the last colours."""
        return len(self.stages) + 1

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
        x = self._start(ws[:, 0]).contiguous(memory_format=torch.channels_last)
        picture: Tensor | None = None
        for k, (stage, paint) in enumerate(zip(self.stages, self.paints, strict=True)):
            x = stage(x, ws[:, k])
            share = paint(x, ws[:, k + (stage is self.stages[-1])])
            picture = share if picture is None else share + _enlarged(picture, share)
        assert picture is not None
        return picture.tanh()

    def _start(self, w: Styles) -> Maps:
        """The coarsest grid."""
        if self.dense is not None:
            return self.dense(w).view(-1, *self.grid)
        assert self.first is not None
        return self.first.expand(w.shape[0], -1, -1, -1)

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


def _enlarged(picture: Maps, like: Maps) -> Maps:
    """Twice the size by bilinear interpolation, cut to a size; four times, where the last doubling skips a grid."""
    times = -(-like.shape[2] // picture.shape[2])
    y = F.interpolate(picture, scale_factor=times, mode="bilinear", align_corners=False)
    return y[:, :, : like.shape[2], : like.shape[3]]
