"""A critic that looks at a frozen backbone's features instead of pixels: a projected critic (Sauer et al. 2021).

Features of four scales are mixed across channels and from coarse to fine by random convolutions that stay as they are,
and brought to mean 0 and standard deviation 1 on training pictures. At each scale a small critic of its own judges.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limner.core.pixels import Image
from limner.core.pretrained import Pretrained
from limner.core.spec import register
from limner.models.backbone import CHANNELS, SHRINKS, SMALLEST, backbone, resized, size_at, used
from limner.models.base import Classes, Critic, Labels, Pictures
from limner.models.layers import Conv, Maps, Shrink, leak
from limner.models.light import LightCritic

MIXED = (64, 64, 96, 128)
"""Channels of each scale after mixing."""
REFERENCE = 3072
"""Numbers in a view for which a penalty's γ holds as it is given, and in proportion for more or fewer: as many as a
picture of 32 × 32 pixels has."""


@register
class ProjectedCritic(Critic):
    """Small critics of frozen features at four scales; what it says is the mean of what they say.

    image: shape of what it judges
    classes: how many labels it is told, 0 for none
    width: channels of the first layer of each small critic, doubled in the next
    side: pixels of the shorter side at which the backbone sees a picture, at least 32
    pixels: channels at half size of one more critic, of the pixels themselves, the first; 0 for none
    """

    def __init__(self, image: Image, classes: int = 0, width: int = 64, side: int = 64, pixels: int = 0) -> None:
        super().__init__()
        self.image, self.classes, self.side = image, classes, max(side, SMALLEST)
        h, w = size_at(image.height, image.width, self.side)
        sides = [(math.ceil(h / k), math.ceil(w / k)) for k in SHRINKS]
        self.mixing = Mixing()
        self.scales = [math.sqrt(REFERENCE / (c * h * w)) for c, (h, w) in zip(MIXED, sides, strict=True)]
        self.heads = nn.ModuleList(
            Head(c, min(size), width, classes, scale) for c, size, scale in zip(MIXED, sides, self.scales, strict=True)
        )
        if pixels:
            self.heads.insert(0, LightCritic(image, classes, width=pixels))

    @property
    def backbone(self) -> Pretrained:
        """What it looks through, which must not judge what it trains."""
        return used()

    def judges(self) -> list[Head | Critic]:
        return cast("list[Head | Critic]", list(self.heads))

    def views(self, x: Pictures) -> list[Tensor]:
        maps = self.mixing(backbone(x)(resized(x, self.side)))
        seen = [m.float() * scale for m, scale in zip(maps, self.scales, strict=True)]
        return [x, *seen] if len(self.heads) > len(seen) else seen

    def forward(self, x: Pictures, label: Labels | None = None) -> Float[Tensor, " n"]:
        return torch.stack([judge(view, label) for judge, view in self._seen(x)]).mean(0)

    def features(self, x: Pictures) -> Float[Tensor, "n d"]:
        """What the small critics' last layers read, averaged over places."""
        return torch.cat([judge.features(view) for judge, view in self._seen(x)], 1)

    def class_logits(self, x: Pictures) -> Float[Tensor, "n k"]:
        return torch.stack([judge.class_logits(view) for judge, view in self._seen(x)]).mean(0)

    def _seen(self, x: Pictures) -> list[tuple[Head | Critic, Tensor]]:
        return list(zip(self.judges(), self.views(x), strict=True))

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Bring the mixed features of these pictures to mean 0 and standard deviation 1."""
        seen = [backbone(x)(resized(x, self.side)) for x in batches]
        self.mixing.fit([torch.cat([m.float() for m in maps]) for maps in zip(*seen, strict=True)])


class Mixing(nn.Module):
    """Frozen random 1×1 convolutions across channels, and from each scale to the next finer one."""

    def __init__(self) -> None:
        super().__init__()
        for k, (into, out) in enumerate(zip(CHANNELS, MIXED, strict=True)):
            self.register_buffer(f"own{k}", torch.randn(out, into, 1, 1) / math.sqrt(into))
            self.register_buffer(f"shift{k}", torch.zeros(out))
            if k + 1 < len(MIXED):
                self.register_buffer(f"coarser{k}", torch.randn(out, MIXED[k + 1], 1, 1) / math.sqrt(MIXED[k + 1]))

    def forward(self, maps: Sequence[Maps]) -> list[Maps]:
        """The backbone's four maps, from fine to coarse → as many, `MIXED` channels each."""
        mixed: list[Maps] = []
        for k in reversed(range(len(MIXED))):
            mixed.insert(0, self._scale(k, maps[k], mixed[0] if mixed else None))
        return mixed

    def _scale(self, k: int, own: Maps, coarser: Maps | None) -> Maps:
        """One scale: its own features, and those of the next coarser one, doubled."""
        y = F.conv2d(own, getattr(self, f"own{k}").to(own.dtype), getattr(self, f"shift{k}").to(own.dtype))
        if coarser is None:
            return y
        more = F.conv2d(coarser, getattr(self, f"coarser{k}").to(own.dtype))
        return y + F.interpolate(more, size=y.shape[2:], mode="bilinear", align_corners=False)

    @torch.no_grad()
    def fit(self, maps: Sequence[Maps]) -> None:
        """Scale the convolutions, from coarse to fine, so that what they make of these maps is standardised."""
        coarser = None
        for k in reversed(range(len(MIXED))):
            own, shift = getattr(self, f"own{k}"), getattr(self, f"shift{k}")
            own /= F.conv2d(maps[k], own).std().clamp_min(1e-6)
            shift.zero_()
            y = self._scale(k, maps[k], coarser)
            mean, std = y.mean((0, 2, 3)), y.std((0, 2, 3)).clamp_min(1e-6)
            for weight in (own, *([getattr(self, f"coarser{k}")] if coarser is not None else [])):
                weight /= std[:, None, None, None]
            shift.copy_(-mean / std)
            coarser = self._scale(k, maps[k], coarser)


class Head(nn.Module):
    """Strided convolutions down to 4×4 places, then a logit; labels by projection (Miyato & Koyama 2018).

    scale: what the views it is shown were multiplied with, which is taken back
    """

    def __init__(self, into: int, side: int, width: int, classes: int, scale: float) -> None:
        super().__init__()
        self.unscale = 1 / scale
        self.shrinks = nn.ModuleList()
        while side > 4:
            out = min(2 * width, max(into, width))
            self.shrinks.append(Shrink(into, out))
            into, side = out, math.ceil(side / 2)
        if not self.shrinks:
            self.shrinks.append(Conv(into, width, kernel=1))
            into = width
        self.last = Conv(into, 1, kernel=3 if side > 2 else 1)
        self.label = Classes(classes, into, scale=0.0) if classes else None

    def forward(self, view: Maps, label: Labels | None = None) -> Float[Tensor, " n"]:
        """(n, c, h, w) → logits (n,)."""
        h = self.body(view)
        logit = self.last(h).float().mean((1, 2, 3))
        return logit if self.label is None else logit + (self.pooled(h) * self.label(label, len(h))).sum(1)

    def body(self, view: Maps) -> Maps:
        x = view * self.unscale
        for shrink in self.shrinks:
            x = leak(shrink(x))
        return x

    def pooled(self, h: Maps) -> Float[Tensor, "n d"]:
        """The mean over places."""
        return h.float().mean((2, 3))

    def features(self, view: Maps) -> Float[Tensor, "n d"]:
        """What labels are compared with."""
        return self.pooled(self.body(view))

    def class_logits(self, view: Maps) -> Float[Tensor, "n k"]:
        """The rows of the projection as a linear classifier."""
        assert self.label is not None
        return self.features(view) @ self.label.rows.weight[1:].T
