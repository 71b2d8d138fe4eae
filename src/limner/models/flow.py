"""A generator that follows a learned velocity from noise to a picture (Liu et al. 2022; Lipman et al. 2022).

On the straight path z = (1 - t) x + t e from a picture x (t = 0) to noise e (t = 1) the network learns the mean
velocity E[e - x | z]; drawing a picture is solving dz/dt = velocity from t = 1 to t = 0. Told an earlier time r as
well, the same network can learn the average velocity from t to r (Geng et al. 2025), which needs one step alone.
The network is a U-Net over patches: the finest convolutions, the dearest of a U-Net over pixels, are left out. What it
says is the picture, not the noise, which would not fit through its channels (Li & He 2025).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limner.core.errors import UserError
from limner.core.latent import Gaussian
from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.base import Classes, Generator, Labels, Pictures
from limner.models.layers import Conv, Down, Maps, Up, leak, pyramid, widths

Times = Float[Tensor, " n"]
Solver = Literal["heun", "euler", "average"]
WAVES = 2
"""Sines and cosines that tell the network a time: of one half turn between 0 and 1, and of two. Averages are trained by
derivatives with respect to time, which faster waves make so large that training explodes."""
TOLD = 128
"""Numbers of the vector that tells every block times and label."""
EARLIEST = 0.05
"""Least time that is divided by, so that the last trace of noise does not count for everything (Li & He 2025)."""


@register
class FlowGenerator(Generator):
    """Noise of the picture's own size carried along a learned velocity to a picture.

    image: shape of what it makes
    classes: how many labels it is told, 0 for none
    width: channels at the grid of patches
    widest: most channels of any stage
    blocks: residual blocks of a stage on the way down, and as many on the way up
    patch: side of the patches that the network sees a picture as, in pixels
    steps: how many steps lead from noise to a picture
    solver: of a step: heun, two evaluations (one in the last step) and second order; euler, one and first order;
        average, one evaluation of the average velocity over the whole step, which the objective MeanFlow trains
    guidance: how far velocities are moved away from the unlabelled ones; 1 leaves them, more makes classes plainer
    """

    def __init__(
        self,
        image: Image,
        classes: int = 0,
        width: int = 32,
        widest: int = 128,
        blocks: int = 2,
        patch: int = 2,
        steps: int = 8,
        solver: Solver = "heun",
        guidance: float = 1.0,
    ) -> None:
        super().__init__()
        for name, given, least in (("steps", steps, 1), ("patch", patch, 1), ("blocks", blocks, 1)):
            if given < least:
                raise UserError(f"FlowGenerator: {name}={given} is too little; give {least} or more")
        if solver not in get_args(Solver):
            raise UserError(f"FlowGenerator: solver={solver}; there are {', '.join(get_args(Solver))}")
        self.image, self.classes, self.latent = image, classes, Gaussian(image.size)
        self.patch, self.steps, self.guidance = patch, steps, guidance
        self.solver: Solver = solver
        grid = Image(image.channels * patch**2, math.ceil(image.height / patch), math.ceil(image.width / patch))
        self.times = nn.Linear(4 * WAVES, TOLD)
        self.label = Classes(classes, TOLD) if classes else None
        self.body = UNet(grid, width, widest, blocks, TOLD)

    def forward(self, z: Float[Tensor, "n d"], label: Labels | None = None) -> Pictures:
        """Images in [-1, 1]: the end of the path that begins at z."""
        x = z.view(-1, self.image.channels, self.image.height, self.image.width)
        return self.carry(x, label, self.steps, self.solver).clamp(-1, 1)

    def invert(self, x: Pictures, label: Labels | None = None, steps: int = 32) -> Float[Tensor, "n d"]:
        """The codes of pictures: the velocities' path backwards, exact up to the error of Heun's steps."""
        return self.carry(x, label, steps, "heun", backwards=True).flatten(1)

    def carry(self, x: Pictures, label: Labels | None, steps: int, solver: Solver, backwards: bool = False) -> Pictures:
        """Noise carried to pictures in equal steps, or pictures to noise. Pictures are not cut to [-1, 1]."""
        x = x.float().contiguous(memory_format=torch.channels_last)
        for k in range(steps):
            t, r = ((k + more if backwards else steps - k - more) / steps for more in (0, 1))
            x = self._step(x, label, t, r, solver)
        return x

    def velocity(self, x: Pictures, t: Times, label: Labels | None = None) -> Pictures:
        """E[noise - picture | x on the path at time t]."""
        return self.average(x, t, t, label)

    def average(self, x: Pictures, r: Times, t: Times, label: Labels | None = None) -> Pictures:
        """The average velocity between the times r and t of what is at x at time t, r ≤ t."""
        return (x - self.predicted(x, r, t, label)) / t.clamp_min(EARLIEST)[:, None, None, None]

    def predicted(self, x: Pictures, r: Times, t: Times, label: Labels | None = None) -> Pictures:
        """The picture that x at time t would end at with the average velocity between r and t; grey at first."""
        told = self.times(torch.cat([waves(t), waves(t - r)], 1))
        told = leak(told if self.label is None else told + self.label(label, len(x)))
        high, wide = -x.shape[2] % self.patch, -x.shape[3] % self.patch
        padded = F.pad(x, (0, wide, 0, high)) if high or wide else x
        patches = F.pixel_unshuffle(padded, self.patch).contiguous(memory_format=torch.channels_last)
        said = F.pixel_shuffle(self.body(patches, told).to(x.dtype), self.patch)
        return said[:, :, : x.shape[2], : x.shape[3]]

    def _step(self, x: Pictures, label: Labels | None, t: float, r: float, solver: Solver) -> Pictures:
        """From time t to time r."""
        if solver == "average":
            return x + (r - t) * self._guided(x, r, t, label)
        first = self._guided(x, t, t, label)
        there = x + (r - t) * first
        # at t = 0, without noise, velocities are not trained; one step without them costs no order (Karras et al. 2022)
        return there if solver == "euler" or r == 0 else x + (r - t) * (first + self._guided(there, r, r, label)) / 2

    def _guided(self, x: Pictures, r: float, t: float, label: Labels | None) -> Pictures:
        """Average velocities, away from the unlabelled ones (Ho & Salimans 2022)."""
        times = x.new_full((len(x),), r), x.new_full((len(x),), t)
        told = self.average(x, *times, label)
        if self.guidance == 1 or label is None or not self.classes:
            return told
        return torch.lerp(self.average(x, *times, None), told, self.guidance)


class UNet(nn.Module):
    """Maps → maps of the same shape, told a vector: halvings down to 4×4, and back up beside what was there before."""

    def __init__(self, grid: Image, width: int, widest: int, blocks: int, told: int) -> None:
        super().__init__()
        sizes = pyramid(grid)[::-1]
        channels = widths(len(sizes), width, widest)[::-1]
        self.first = Conv(grid.channels, width)
        self.last = Conv(width, grid.channels, gain=0.0)
        self.fall = nn.ModuleList(Stage(c, blocks, told) for c in channels)
        self.rise = nn.ModuleList(Stage(c, blocks, told) for c in channels[:-1])
        self.downs = nn.ModuleList(Down(*pair) for pair in pairwise(channels))
        # without biases, whose own gradients know no forward-mode derivative
        ups = zip(channels[1:], channels, sizes, strict=False)
        self.ups = nn.ModuleList(Up(into, out, size, bias=False) for into, out, size in ups)

    def forward(self, x: Maps, told: Float[Tensor, "n d"]) -> Maps:
        """(n, c, h, w), (n, told) → (n, c, h, w)."""
        x = self.fall[0](self.first(x), told)
        beside: list[Maps] = []
        for down, stage in zip(self.downs, self.fall[1:], strict=True):
            beside.append(x)
            x = stage(down(x), told)
        for up, stage, before in reversed(list(zip(self.ups, self.rise, beside, strict=True))):
            x = stage(up(x) + before, told)
        return self.last(x)


class Stage(nn.Module):
    """Residual blocks at one size."""

    def __init__(self, channels: int, blocks: int, told: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(channels, told) for _ in range(blocks))

    def forward(self, x: Maps, told: Float[Tensor, "n d"]) -> Maps:
        """(n, c, h, w), (n, told) → (n, c, h, w)."""
        for block in self.blocks:
            x = block(x, told)
        return x


class Block(nn.Module):
    """x + f(x), where f starts at 0; what it was told scales and shifts the maps between its two convolutions."""

    def __init__(self, channels: int, told: int) -> None:
        super().__init__()
        self.first = Conv(channels, channels)
        self.second = Conv(channels, channels, gain=0.0)
        self.told = nn.Linear(told, 2 * channels)

    def forward(self, x: Maps, told: Float[Tensor, "n d"]) -> Maps:
        """(n, c, h, w), (n, told) → (n, c, h, w)."""
        scale, shift = self.told(told)[:, :, None, None].chunk(2, 1)
        return x + self.second(leak(torch.addcmul(shift, self.first(normed(x)), 1 + scale)))


def normed(x: Maps) -> Maps:
    """Channels of each place with mean 0 and variance 1: with channels last in memory hardly more than a copy.

    Group norm costs as much as half a convolution there, and has no forward-mode derivative in this memory format.
    """
    return F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2]).permute(0, 3, 1, 2)


def waves(t: Times) -> Float[Tensor, "n waves"]:
    """Sines and cosines of a time: smooth, since averages are trained by the derivative with respect to it."""
    angles = math.pi * t[:, None] * torch.arange(1, WAVES + 1, device=t.device)
    return torch.cat([angles.sin(), angles.cos()], 1)
