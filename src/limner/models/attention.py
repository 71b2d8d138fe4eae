"""Self-attention over a grid: each place may look at every other one (Zhang et al. 2019, SAGAN).

`AttentiveGenerator` and `AttentiveCritic` put it into any family, behind the last layer at a grid of the asked size.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.core.errors import UserError
from limner.core.pixels import Image
from limner.core.spec import Spec, register
from limner.models.base import Critic, Generator, Judgement, Labels, Model, Pictures
from limner.models.layers import Conv, Maps
from limner.models.wrapping import within


class SelfAttention(nn.Module):
    """x + γ o(x), o a softmax average over all places; γ starts at 0, so nothing changes at first (section 3).

    channels: of the maps
    share: query, key and value have 1/share as many channels
    """

    def __init__(self, channels: int, share: int = 8) -> None:
        super().__init__()
        narrow = max(1, channels // share)
        self.query, self.key, self.value = (Conv(channels, narrow, kernel=1) for _ in range(3))
        self.out = Conv(narrow, channels, kernel=1)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Maps) -> Maps:
        """(n, c, h, w) → (n, c, h, w): eq. 1 to 3, with every place attending to all places of its own image."""
        query, key, value = (f(x).flatten(2) for f in (self.query, self.key, self.value))
        # In the open and not by the fused kernel, which cannot be differentiated twice.
        weights = (query.transpose(1, 2) @ key).softmax(2)
        seen = (value @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])
        return x + self.gamma * self.out(seen)


class Attentive(nn.Module):
    """A layer, and self-attention over what it gives."""

    def __init__(self, layer: nn.Module, channels: int) -> None:
        super().__init__()
        self.layer, self.attention = layer, SelfAttention(channels)

    def forward(self, *given: Any) -> Maps:
        return self.attention(self.layer(*given))


@register
class AttentiveGenerator(Generator):
    """Any generator, with self-attention at one of its grids.

    image: shape of what it makes
    classes: how many labels it is told, 0 for none
    inner: the generator itself, such as LightGenerator(width=16), without image and classes
    grid: longest side of the grid that looks at itself; the largest within it is taken, the whole picture's excepted
    """

    def __init__(self, image: Image, classes: int = 0, inner: str | Spec = "LightGenerator", grid: int = 16) -> None:
        super().__init__()
        net = within(self, Generator, inner, image, classes)
        self.image, self.classes, self.latent = image, classes, net.latent
        self.inner = attentive(net, torch.zeros(2, net.latent.dim), image, grid)

    def forward(self, z: Float[Tensor, "n d"], label: Labels | None = None) -> Pictures:
        return self.inner(z, label)


@register
class AttentiveCritic(Critic):
    """Any critic, with self-attention at one of its grids.

    image: shape of what it judges
    classes: how many labels it is told, 0 for none
    inner: the critic itself, such as LightCritic(width=16), without image and classes
    grid: longest side of the grid that looks at itself; the largest within it is taken, the whole picture's excepted
    """

    def __init__(self, image: Image, classes: int = 0, inner: str | Spec = "LightCritic", grid: int = 16) -> None:
        super().__init__()
        self.image, self.classes = image, classes
        net = within(self, Critic, inner, image, classes)
        self.inner = attentive(net, torch.zeros(2, image.channels, image.height, image.width), image, grid)

    @property
    def head(self) -> Judgement:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The inner network's."""
        return self.inner.head

    def forward(self, x: Pictures, label: Labels | None = None) -> Float[Tensor, " n"]:
        return self.inner(x, label)

    def features(self, x: Pictures) -> Float[Tensor, "n d"]:
        return self.inner.features(x)


def attentive(net: Any, given: Tensor, image: Image, grid: int) -> Any:
    """`net` with self-attention behind its last layer at the largest grid below the image's whose sides are ≤ `grid`.

    Raises UserError when it has none.
    """
    grids = {name: s for name, s in _grids(net, given).items() if max(s[2:]) < max(image.height, image.width)}
    fitting = {name: max(shape[2:]) for name, shape in grids.items() if 1 < max(shape[2:]) <= grid}
    if not fitting:
        there = ", ".join(f"{h}×{w}" for h, w in sorted({tuple(s[2:]) for s in grids.values()})) or "none"
        name = type(net).__name__
        raise UserError(f"{name} has no grid of {grid} or less to attend to; set grid (there are: {there})")
    name = [name for name, side in fitting.items() if side == max(fitting.values())][-1]
    net.set_submodule(name, Attentive(net.get_submodule(name), grids[name][1]))
    return net


@torch.no_grad()
def _grids(net: Model, given: Tensor) -> dict[str, torch.Size]:
    """The layers that give maps, in the order they are run, and the shapes of those maps."""
    shapes: dict[str, torch.Size] = {}

    def note(name: str) -> Any:
        def hook(module: nn.Module, args: Any, out: Any) -> None:
            if isinstance(out, Tensor) and out.ndim == 4 and len(out) == len(given):
                shapes.pop(name, None)
                shapes[name] = out.shape

        return hook

    layers = [(name, m) for name, m in net.named_modules() if name and "parametrizations" not in name]
    handles = [module.register_forward_hook(note(name)) for name, module in layers]
    net.eval()(given)
    net.train()
    for handle in handles:
        handle.remove()
    return shapes
