"""Networks for photographs: a picture's code is what a frozen backbone sees in it, and needs no training.

The encoder reduces the backbone's features and the coarse colours of a picture to principal components; the painter
makes a picture of them. Between them stands a rectified flow that makes the codes of pictures standard normal, so that
a draw from the latent is a new code of the same kind (Li et al. 2024 generate representations in this way).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limner.core.latent import Gaussian, Latent
from limner.core.pixels import Image
from limner.core.posterior import Posterior
from limner.core.pretrained import Pretrained
from limner.core.spec import register
from limner.models.backbone import CHANNELS, SHRINKS, backbone, resized, size_at, used
from limner.models.base import Encoder, Generator, Labels, Pictures
from limner.models.codeflow import CodeFlow
from limner.models.layers import Conv, Maps, Size, leak, pyramid, widths

Codes = Float[Tensor, "n d"]
COLOURS = 8
"""Side of the grid of mean colours that a code knows."""
START = 0.02
"""Standard deviation of the first weights. What a batch norm follows does not depend on their scale, but how far a step
of the optimizer turns them does: small ones learn faster."""
SIGHT = 64
"""Pixels of the shorter side at which an encoder's backbone sees a picture."""
SPREAD = 1e-3
"""Smallest standard deviation of a column of features that counts as varying."""


@register
class PhotoGenerator(Generator):
    """Code → picture: a flow makes the code that of a picture, convolutions and bilinear doublings paint it.

    Each stage convolves on the coarse grid, doubles bilinearly, and convolves again; coarse maps weigh the channels of
    fine ones (skip-layer excitation, Liu et al. 2021).

    image: shape of what it makes
    latent: prior of its codes
    classes: how many labels it is told, 0 for none
    width: channels at full size
    widest: most channels of any stage
    """

    def __init__(
        self, image: Image, latent: Latent = Gaussian(128), classes: int = 0, width: int = 16, widest: int = 256
    ) -> None:
        super().__init__()
        self.image, self.latent, self.classes = image, latent, classes
        self.flow = CodeFlow(latent.dim, classes)
        grids = pyramid(image)
        channels = widths(len(grids), width, widest)
        self.grid = (channels[0], *grids[0])
        self.entry = nn.Linear(latent.dim, math.prod(self.grid), bias=False)
        self.norm = nn.BatchNorm2d(channels[0])
        shapes = zip(channels, channels[1:], grids, grids[1:], strict=False)
        self.stages = nn.ModuleList(Stage(latent.dim, *shape) for shape in shapes)
        self.gates = nn.ModuleDict(
            {str(k): Excitation(channels[k - EXCITED], channels[k]) for k in range(EXCITED, len(channels))}
        )
        self.last = Conv(channels[-1], image.channels, gain=0.5)
        for weight in (m.weight for m in self.modules() if isinstance(m, (Conv, nn.Conv2d, nn.Linear))):
            nn.init.normal_(weight, std=START)
        nn.init.normal_(self.last.weight, std=0.05)

    def forward(self, z: Codes, label: Labels | None = None) -> Pictures:
        return self.synthesis(self.mapping(z, label))

    def mapping(self, z: Codes, label: Labels | None = None) -> Codes:
        """Latent codes → codes as pictures have them."""
        return self.flow(z, label)

    def synthesis(self, w: Codes) -> Pictures:
        """Codes of pictures → pictures."""
        x = self.entry(w).view(-1, *self.grid).contiguous(memory_format=torch.channels_last)
        maps = [leak(self.norm(x))]
        for k, stage in enumerate(self.stages, 1):
            x = stage(maps[-1], w)
            maps.append(self.gates[str(k)](maps[k - EXCITED], x) if k >= EXCITED else x)
        return self.last(maps[-1]).float().tanh()


EXCITED = 3
"""How many doublings lie between a map and the one whose channels it weighs: a factor of eight."""


class Stage(nn.Module):
    """A layer before a bilinear doubling, where it costs little, and one after it."""

    def __init__(self, dim: int, into: int, out: int, coarse: Size, fine: Size) -> None:
        super().__init__()
        self.size = fine
        self.before = Layer(dim, into, out, coarse, seed=0)
        self.after = Layer(dim, out, out, fine, seed=1)

    def forward(self, x: Maps, w: Codes) -> Maps:
        """(n, into, h, w), codes (n, d) → (n, out, *fine)."""
        x = F.interpolate(self.before(x, w), size=self.size, mode="bilinear", align_corners=False)
        return self.after(x, w)


class Layer(nn.Module):
    """Convolution, noise, batch norm, leaky rectifier."""

    def __init__(self, dim: int, into: int, out: int, size: Size, seed: int) -> None:
        super().__init__()
        self.convolution, self.norm = Conv(into, out, bias=False), nn.BatchNorm2d(out)
        self.grain = Grain(dim, size, seed)

    def forward(self, x: Maps, w: Codes) -> Maps:
        """(n, into, h, w), codes (n, d) → (n, out, h, w)."""
        return leak(self.norm(self.grain(self.convolution(x), w)))


class Grain(nn.Module):
    """Noise of a learned strength, the same in all channels (Karras et al. 2019, section 2): cosines of random phases.

    In training phases are drawn anew for each picture. Afterwards they are random projections of its code (Rahimi &
    Recht 2007): a code has one picture, different codes have independent noise, and on a walk it moves smoothly.
    """

    directions: Tensor
    phases: Tensor

    def __init__(self, dim: int, size: Size, seed: int) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(2 * size[0] + seed)
        self.strength = nn.Parameter(torch.zeros(1))
        directions = torch.randn(dim, *size, generator=rng) * (2 / math.sqrt(dim))
        self.register_buffer("directions", directions, persistent=False)
        self.register_buffer("phases", torch.rand(size, generator=rng) * 2 * math.pi, persistent=False)

    def forward(self, x: Maps, w: Codes) -> Maps:
        """(n, c, h, w), codes (n, d) → (n, c, h, w)."""
        if self.training:
            phases = torch.rand(len(x), *x.shape[2:], device=x.device) * (2 * math.pi)
        else:
            phases = torch.tensordot(w.detach().float(), self.directions, 1) + self.phases
        noise = math.sqrt(2) * phases.cos()[:, None].to(x.dtype)
        return _Grainy.apply(x, noise, self.strength)  # pyright: ignore[reportReturnType]


class _Grainy(torch.autograd.Function):
    """x + strength · noise: the strength's gradient is a product of sums over channels, not a map of every channel."""

    @staticmethod
    def forward(ctx: Any, x: Maps, noise: Maps, strength: Tensor) -> Maps:
        ctx.save_for_backward(noise)
        return x + noise * strength.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *slopes: Maps) -> tuple[Maps, None, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (noise,) = ctx.saved_tensors
        return slopes[0], None, (slopes[0].sum(1, keepdim=True).float() * noise.float()).sum().view(1)


class Excitation(nn.Module):
    """The channels of a large map, weighed by what a small map says (Liu et al. 2021, section 3.1)."""

    def __init__(self, small: int, large: int) -> None:
        super().__init__()
        self.read = nn.Conv2d(small, large, 4, bias=False)
        self.weigh = nn.Conv2d(large, large, 1)

    def forward(self, small: Maps, large: Maps) -> Maps:
        """(n, s, h, w), (n, l, h', w') → (n, l, h', w')."""
        return large * self.weigh(F.silu(self.read(F.adaptive_avg_pool2d(small, 4)))).sigmoid()


@register
class PhotoEncoder(Encoder):
    """Picture → code: principal components of a frozen backbone's features and of colours, made normal by a flow.

    Nothing in it is trained by gradients; `fit` computes it from the training pictures.

    image: shape of what it reads
    latent: prior of the codes
    classes: how many labels it is told, 0 for none
    """

    mean: Tensor
    scale: Tensor
    axes: Tensor

    def __init__(self, image: Image, latent: Latent = Gaussian(128), classes: int = 0) -> None:
        super().__init__()
        self.image, self.latent, self.classes = image, latent, classes
        self.flow = CodeFlow(latent.dim, classes)
        h, w = size_at(image.height, image.width, SIGHT)
        deep = [CHANNELS[k] * math.ceil(h / SHRINKS[k]) * math.ceil(w / SHRINKS[k]) for k in (2, 3)]
        self.kinds = [*deep, COLOURS**2 * image.channels]
        columns = sum(self.kinds)
        self.register_buffer("mean", torch.zeros(columns))
        self.register_buffer("scale", torch.ones(columns))
        self.register_buffer("axes", torch.randn(columns, latent.dim) / math.sqrt(columns))

    @property
    def backbone(self) -> Pretrained:
        """What it looks through, which must not judge what is made of its codes."""
        return used()

    def forward(self, x: Pictures, label: Labels | None = None) -> Posterior:
        """A point: the variance is nearly nothing."""
        z = self.flow.noise(self.code(x), label)
        return Posterior(z, torch.full_like(z, math.log(1e-6)))

    def code(self, x: Pictures) -> Codes:
        """Pictures → codes as the painter takes them, before they are made normal."""
        return self.of_columns(self.columns(x))

    def of_columns(self, columns: Float[Tensor, "n k"]) -> Codes:
        """`columns` → codes."""
        return ((columns - self.mean) * self.scale) @ self.axes

    def columns(self, x: Pictures) -> Float[Tensor, "n k"]:
        """All that a code may depend on: the backbone's last two maps, and mean colours on a grid."""
        maps = backbone(x)(resized(x, SIGHT))[2:]
        return torch.cat([m.float().flatten(1) for m in (*maps, F.adaptive_avg_pool2d(x.float(), COLOURS))], 1)

    def fit_axes(self, columns: Float[Tensor, "n k"], rng: torch.Generator) -> None:
        """Principal components of the columns of training pictures.

        Each kind of column counts alike, whatever its number. Axes are scaled by the square root of their standard
        deviation: half way to white, so that details count, and noise does not. In single precision: what autocast
        makes of matrices on a GPU, bfloat16, cannot be decomposed.
        """
        columns = columns.float()
        weight = torch.cat([torch.full((k,), k**-0.5) for k in self.kinds]).to(columns)
        self.mean.copy_(columns.mean(0))
        self.scale.copy_(weight / (columns.std(0) + SPREAD))
        x = (columns - self.mean) * self.scale
        with torch.autocast(x.device.type, enabled=False), torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**31, (), generator=rng, device=rng.device)))
            _, sizes, axes = torch.svd_lowrank(x, q=min(self.latent.dim + 32, *x.shape), niter=3)
            kept = min(self.latent.dim, len(sizes))
            self.axes.zero_()
            self.axes[:, :kept] = axes[:, :kept] * sizes[:kept].clamp_min(1e-6) ** -0.5
            self.axes /= (x @ self.axes).square().mean().sqrt().clamp_min(1e-6)
