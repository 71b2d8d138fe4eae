"""Networks that learn small pictures first: the size doubles when its share of the training has come.

Most of what a short training must learn of photographs, where things are and of which colour, can be seen on 16×16
pixels, where a step costs less than half. The generator adds up what each scale paints (Karras et al. 2020, section
4.1); a scale that has not begun paints nothing, so that a doubling changes no picture, and what is sampled is always
of full size. The critic's new first layer is blended in (Karras et al. 2018, figure 2).
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limner.core.errors import UserError
from limner.core.latent import Gaussian, Latent
from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.base import Entry, Generator, Labels, Pictures
from limner.models.layers import Conv, Up, flat, leak, pyramid, widths
from limner.models.light import LightCritic, Norm

GROW = (0.3, 0.6)
"""Shares of a training after which the size doubles."""
BLEND = 0.3
"""Share of a phase in which the critic's new layer is blended in."""


class Doublings:
    """How often a network has doubled its size, which it never takes back: a training may go on for longer.

    It is saved with the weights.
    """

    grow: tuple[float, ...]
    begun = 0

    def phase(self, progress: float) -> int:
        """Doublings so far, 0 to len(grow)."""
        self.begun = max(self.begun, sum(progress >= share for share in self.grow))
        return self.begun

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self.begun)

    def set_extra_state(self, state: Tensor) -> None:
        self.begun = int(state)


@register
class GrowingGenerator(Doublings, Generator):
    """Doublings with batch norm; from the first size on each adds its part to the picture made so far.

    image: shape of what it makes
    latent: prior of its codes
    classes: how many labels it is told, 0 for none
    width: channels at full size
    widest: most channels of any stage
    grow: shares of the training, 0 to 1, after each of which the size doubles; none for the full size throughout
    """

    def __init__(
        self,
        image: Image,
        latent: Latent = Gaussian(64),
        classes: int = 0,
        width: int = 16,
        widest: int = 256,
        grow: tuple[float, ...] = GROW,
    ) -> None:
        super().__init__()
        self.image, self.latent, self.classes, self.grow = image, latent, classes, in_order(grow)
        self.sizes = pyramid(image)
        channels = widths(len(self.sizes), width, widest)
        self.first = max(0, len(self.sizes) - 1 - len(grow))
        self.scale = len(self.sizes) - 1
        self.grid = (channels[0], *self.sizes[0])
        self.entry = Entry(latent, 0, math.prod(self.grid))
        self.ups = nn.ModuleList(Up(*s) for s in zip(channels, channels[1:], self.sizes[1:], strict=False))
        self.norms = nn.ModuleList(Norm(c, classes) for c in channels)
        gains = [0.5, *(0.0 for _ in channels[self.first + 1 :])]
        self.paints = nn.ModuleList(
            Conv(c, image.channels, gain=gain) for c, gain in zip(channels[self.first :], gains, strict=True)
        )

    def pace(self, progress: float) -> None:
        self.scale = max(self.first, len(self.sizes) - 1 - len(self.grow) + self.phase(progress))

    def forward(self, z: Float[Tensor, "n d"], label: Labels | None = None) -> Pictures:
        top = self.scale if self.training else len(self.sizes) - 1
        x = self.entry(z, None).view(-1, *self.grid).contiguous(memory_format=torch.channels_last)
        x = leak(self.norms[0](x, label))
        picture = self.paints[0](x) if self.first == 0 else None
        for k in range(1, top + 1):
            x = leak(self.norms[k](self.ups[k - 1](x), label))
            if k >= self.first:
                painted = self.paints[k - self.first](x)
                if picture is not None:
                    painted = painted + F.interpolate(picture, size=self.sizes[k], mode="bilinear")
                picture = painted
        assert picture is not None
        return picture.tanh()


@register
class GrowingCritic(Doublings, LightCritic):
    """The light critic, which pictures enter further in as long as they are small.

    Pictures that are larger than those it has got to are averaged down to them.

    image: shape of what it judges at full size
    classes: how many labels it is told, 0 for none
    width: channels of the first, half-size stage
    widest: most channels of any stage
    features: numbers the last layer reads
    grow: shares of the training, 0 to 1, after each of which the size doubles: the generator's
    """

    def __init__(
        self,
        image: Image,
        classes: int = 0,
        width: int = 32,
        widest: int = 256,
        features: int = 256,
        grow: tuple[float, ...] = GROW,
    ) -> None:
        super().__init__(image, classes, width, widest, features)
        self.grow = in_order(grow)
        self.sizes = pyramid(image)[::-1]
        channels = widths(len(self.sizes) - 1, width, widest)[::-1]
        self.enters = nn.ModuleList(Conv(image.channels, c) for c in channels[: len(grow)])
        self.begin, self.new = 0, 1.0

    def pace(self, progress: float) -> None:
        bounds, phase = (0.0, *self.grow, 1.0), self.phase(progress)
        self.begin = min(len(self.grow) - phase, len(self.sizes) - 1)
        since = (progress - bounds[phase]) / (bounds[phase + 1] - bounds[phase])
        self.new = min(since / BLEND, 1.0) if phase and since >= 0 else 1.0

    def features(self, x: Pictures) -> Float[Tensor, "n d"]:
        if x.shape[3] > self.sizes[self.begin][1]:
            x = F.adaptive_avg_pool2d(x, self.sizes[self.begin])
        h = leak(self.enters[self.begin - 1](x)) if self.begin else x
        for k, shrink in enumerate(self.body.shrinks[self.begin :], self.begin):
            h = leak(shrink(h))
            if k == self.begin and self.new < 1 and k < len(self.enters):
                smaller = F.adaptive_avg_pool2d(x, self.sizes[k + 1])
                h = torch.lerp(leak(self.enters[k](smaller)).to(h.dtype), h, self.new)
        return leak(self.body.last(flat(h)))


def in_order(grow: tuple[float, ...]) -> tuple[float, ...]:
    """The shares themselves. Raises UserError unless they rise within 0 and 1."""
    if not all(a < b for a, b in pairwise((0.0, *grow, 1.0))):
        raise UserError(f"grow={list(grow)}: shares of a training rise from above 0 to below 1; try grow=[0.3,0.6]")
    return grow
