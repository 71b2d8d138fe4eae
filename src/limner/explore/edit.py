"""What is done to a picture by way of its code: moved along directions, led to another's, mixed with it, patched.

Every edit is a row of frames: points (frames, n, d), or layered styles (frames, n, layers, d), the last one the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from limner.core.errors import UserError
from limner.explore.ascents import Points
from limner.explore.directions import Directions
from limner.explore.spaces import Space
from limner.models.base import Generator, Labels, Pictures
from limner.operators.base import Operator

SEAM = 16
"""A seam is one part in so many of the picture's shorter side wide, to either side of the region's edge."""

Frames = Float[Tensor, "frames n d"] | Float[Tensor, "frames n layers d"]
Layers = tuple[int, ...]
Patch = Float[Tensor, "_ 1 h w"]


@runtime_checkable
class Layered(Protocol):
    """A generator whose layers each take a style of their own."""

    @property
    def layers(self) -> int:
        """How many styles synthesis takes, from coarse to fine."""
        ...


def moved(within: Space, points: Points, found: Directions, by: Mapping[str, float], frames: int) -> Frames:
    """Along directions, a share of the way more each frame; kept where the prior can be."""
    total = torch.stack([strength * found.step(name) for name, strength in by.items()]).sum(0).to(points)
    shares = [(k + 1) / frames for k in range(frames)]
    return torch.stack([within.hold(points + share * total, "allowed") for share in shares])


def between(within: Space, points: Points, others: Float[Tensor, "_ d"], frames: int) -> Frames:
    """From points to others by the path that stays in the prior: for a Gaussian, along an arc. Both ends are frames."""
    ends = others.expand_as(points)
    return torch.stack([within.latent.between(points, ends, k / max(frames - 1, 1)) for k in range(frames)])


def in_layers(net: Generator, w: Points, frames: Frames, chosen: Layers) -> Frames:
    """Styles w but for the chosen layers, which take the frames' (Karras et al. 2019, section 3.1)."""
    count = layers_of(net)
    own = torch.zeros(count, 1, dtype=torch.bool, device=w.device)
    own[[k for k in chosen if k < count]] = True
    return torch.where(own, frames[:, :, None], w[:, None])


def layers_of(net: Generator) -> int:
    """How many layers take a style. Raises UserError where none does."""
    if not isinstance(net, Layered):
        raise UserError("this model has no styles to choose by layer; train one with --recipe style")
    return net.layers


def chosen(text: str, count: int) -> Layers:
    """`4-` → from layer 4 on, `0-2` → three of them, `3` → one; commas join. Raises UserError for what is not there."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not ((first or last) and (first or "0").isdecimal() and (last or "0").isdecimal()):
            raise UserError(f"--layers {text}: write 4- for layer 4 and finer, 0-2, or 3; there are 0 to {count - 1}")
        found |= set(range(int(first or 0), (int(last) if last else count - 1 if dash else int(first)) + 1))
    if not found or max(found) >= count:
        raise UserError(f"--layers {text}: this model has layers 0 (coarsest) to {count - 1} (finest)")
    return tuple(sorted(found))


@torch.no_grad()
def decoded(within: Space, frames: Frames, label: Labels | None) -> Float[Tensor, "frames n c h w"]:
    """What frames look like."""
    if frames.ndim == 4:
        return torch.stack([cast(Any, within.scene.generator).synthesis(frame) for frame in frames])
    return torch.stack([within.decode(frame, label) for frame in frames])


def softened(region: Patch) -> Patch:
    """A region of 0 and 1 with a seam that rises linearly across its edge."""
    reach = max(1, min(region.shape[2:]) // SEAM)
    padded = F.pad(region, (reach,) * 4, mode="replicate")
    return F.avg_pool2d(padded, 2 * reach + 1, stride=1)


def composite(x: Pictures, other: Float[Tensor, "_ c h w"], region: Patch) -> Pictures:
    """x, and inside the region the other picture, with a soft seam."""
    return torch.lerp(x, other.expand_as(x), softened(region))


@dataclass(frozen=True, eq=False)
class OffSeam(Operator):
    """Sees a picture but for the seam, which is the model's to fill.

    region: 1 inside
    """

    region: Patch

    def measure(self, x: Pictures) -> Pictures:
        soft = softened(self.region)
        return x * ((soft <= 0) | (soft >= 1)).to(x)


def carried(x: Pictures, before: Pictures, after: Pictures) -> Pictures:
    """The picture itself with the change from before to after: what the model cannot show of it is kept."""
    return (x + after - before).clamp(-1, 1)
