"""Images one number after another, in reading order: p(x) = Π p(x_i | x_1 … x_i-1), exactly.

A code is one uniform number for each number of the image, and sampling is the inverse of the distribution
function, number by number: the same code gives the same image. Pixels have a few levels; two are black and white.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limner.core.errors import UserError
from limner.core.latent import Uniform
from limner.core.pixels import Image
from limner.models.base import Labels, LikelihoodGenerator, Pictures
from limner.models.layers import leak

Logits = Float[Tensor, "*n levels"]
NEVER = 1e-6
"""Probabilities are kept so far from 0 and 1 where their logit is taken."""


class Autoregressive(LikelihoodGenerator):
    """What sampling and likelihood share. A network says what it knows at a pixel of the pixels before it."""

    def __init__(self, image: Image, classes: int, levels: int, features: int) -> None:
        super().__init__()
        if not 2 <= levels <= 256:
            raise UserError(f"levels takes 2 (black and white) to 256, not {levels}")
        self.image, self.classes, self.levels = image, classes, levels
        self.latent = Uniform(image.size)
        self.place = nn.Parameter(torch.zeros(image.height, image.width, features))
        self.head = Head(features, image.channels, levels)

    def features(self, x: Pictures, label: Labels | None) -> Float[Tensor, "n h w d"]:
        """What is known at each pixel, all at once; it must not depend on that pixel nor on any after it."""
        raise NotImplementedError

    def walk(self, x: Pictures, label: Labels | None) -> Iterator[Float[Tensor, "n d"]]:
        """The same, pixel after pixel, of images that are written meanwhile."""
        raise NotImplementedError

    def log_likelihood(self, x: Pictures, label: Labels | None = None) -> Float[Tensor, " n"]:
        """log p(x | label) in nats, of images whose numbers are at the levels."""
        known, y = self.features(x, label) + self.place, x.permute(0, 2, 3, 1).float()
        level = ((y + 1) / 2 * (self.levels - 1)).round().long()
        each = [
            F.log_softmax(self.head(known, y, j).float(), -1).gather(-1, level[..., j : j + 1])
            for j in range(self.image.channels)
        ]
        return torch.cat(each, -1).flatten(1).sum(1)

    def quantise(self, x: Pictures, noise: Float[Tensor, "n c h w"] | float = 0.5) -> Pictures:
        """Numbers in [-1, 1] → the level below or above: the nearest, or by uniform noise, right on average."""
        top = self.levels - 1
        return (((x + 1) / 2 * top + noise).floor().clamp(0, top) / top) * 2 - 1

    def forward(self, z: Float[Tensor, "n d"], label: Labels | None = None) -> Pictures:
        """Images at the levels. Their gradient is a stand-in: of smoothed steps, the pixels before held fixed."""
        u = (z.float() + 1).div(2).unflatten(1, (self.image.channels, self.image.height, self.image.width))
        # In full precision: a probability that is rounded differently gives another picture.
        with torch.autocast(z.device.type, enabled=False):
            with torch.no_grad():
                x = self.draw(u, label)
            if not torch.is_grad_enabled():
                return x
            soft = self._smooth(x, u, label)
        return x + (soft - soft.detach())

    def draw(self, u: Float[Tensor, "n c h w"], label: Labels | None) -> Pictures:
        """Each number of the image is the level at which its distribution function passes u."""
        x = torch.full_like(u, -1.0)
        for i, known in enumerate(self.walk(x, label)):
            row, column = divmod(i, self.image.width)
            known = known + self.place[row, column]
            for j in range(self.image.channels):
                below = _below(self.head(known, x[:, :, row, column], j))
                level = (u[:, j, row, column, None] > below).sum(-1)
                x[:, j, row, column] = level / (self.levels - 1) * 2 - 1
        return x

    def _smooth(self, x: Pictures, u: Tensor, label: Labels | None) -> Pictures:
        """As `draw`, with each step of the distribution function turned into a sigmoid (straight-through)."""
        known, y, u = self.features(x, label) + self.place, x.permute(0, 2, 3, 1), u.permute(0, 2, 3, 1)
        parts: list[Tensor] = []
        for j in range(self.image.channels):
            steps = u[..., j, None].logit(NEVER) - _below(self.head(known, y, j)).logit(NEVER)
            parts.append(steps.sigmoid().sum(-1) / (self.levels - 1) * 2 - 1)
        return torch.stack(parts, 1)


class Head(nn.Module):
    """What is known at a pixel → logits of the levels of each channel, which sees the channels before it."""

    def __init__(self, features: int, channels: int, levels: int) -> None:
        super().__init__()
        self.first = nn.ModuleList(nn.Linear(features + j, features) for j in range(channels))
        self.last = nn.ModuleList(nn.Linear(features, levels) for _ in range(channels))

    def forward(self, known: Float[Tensor, "*n d"], y: Float[Tensor, "*n c"], j: int) -> Logits:
        """Logits of channel j; of y, the pixel itself, only the channels before j are read."""
        return self.last[j](leak(self.first[j](torch.cat([known, y[..., :j].to(known.dtype)], -1))))


def _below(logits: Logits) -> Float[Tensor, "*n levels-1"]:
    """The distribution function at each level but the last, where it is 1."""
    return logits.softmax(-1).cumsum(-1)[..., :-1]
