"""Masked convolutions: a gated PixelCNN in two stacks, which together see all that is above and to the left.

van den Oord et al. 2016 (Conditional Image Generation with PixelCNN Decoders, figure 2): the vertical stack reads the
rows above, the horizontal one its own row and the vertical stack. A mask is a kernel that ends where it would begin.
"""

from __future__ import annotations

from collections.abc import Iterator

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.autoregressive import Autoregressive
from limner.models.base import Classes, Labels, Pictures
from limner.models.layers import Maps

REACH = 3
"""Pixels that the first layer sees upwards and to either side."""


@register
class MaskedGenerator(Autoregressive):
    """A gated PixelCNN; likelihood in one pass, and a sample for the price of one pass, in h · w steps.

    image: shape of what it makes
    classes: how many labels it is told, 0 for none
    levels: of a pixel: 2 for black and white, up to 256
    width: channels of either stack
    depth: gated layers; their kernels are spread by 1, 2, 4, 1, 2, 4, ... pixels
    """

    def __init__(self, image: Image, classes: int = 0, levels: int = 2, width: int = 32, depth: int = 6) -> None:
        super().__init__(image, classes, levels, width)
        self.above = nn.Conv2d(image.channels, width, (REACH, 2 * REACH + 1))
        self.left = nn.Conv2d(image.channels, width, (1, REACH))
        self.layers = nn.ModuleList(Gated(width, 2 ** (k % 3)) for k in range(depth))
        self.label = Classes(classes, width) if classes else None

    @property
    def gated(self) -> list[Gated]:
        """The layers, from the first."""
        return [layer for layer in self.layers if isinstance(layer, Gated)]

    def features(self, x: Pictures, label: Labels | None) -> Float[Tensor, "n h w d"]:
        v = self.above(F.pad(x, (REACH, REACH, REACH, -1))) + self._told(label, len(x))
        h = self.left(F.pad(x, (REACH, -1)))
        for layer in self.gated:
            down, across = layer.down(F.pad(v, (layer.spread, layer.spread, layer.spread, 0)))
            h = h + layer.right(F.pad(h, (layer.spread, 0)), across)
            v = v + down
        return h.permute(0, 2, 3, 1).float()

    def walk(self, x: Pictures, label: Labels | None) -> Iterator[Float[Tensor, "n d"]]:
        told, spreads = self._told(label, len(x)), [layer.spread for layer in self.gated]
        framed = F.pad(x, (REACH, REACH, REACH, 0))
        rows = [self._blank(x, self.image.height, s, s, s) for s in spreads]
        for row in range(self.image.height):
            v = self.above(framed[:, :, row : row + REACH]) + told
            across: list[Tensor] = []
            for layer, seen in zip(self.gated, rows, strict=True):
                s = layer.spread
                seen[:, :, row + s, s : s + self.image.width] = v[:, :, 0]
                down, beside = layer.down(seen[:, :, row : row + s + 1])
                across.append(beside)
                v = v + down
            for h in self._along(framed[:, :, row + REACH :][:, :, :1], across, spreads):
                yield h
                framed[:, :, row + REACH, REACH:-REACH] = x[:, :, row]

    def _along(self, framed: Maps, across: list[Maps], spreads: list[int]) -> Iterator[Float[Tensor, "n d"]]:
        """The horizontal stack in one row, whose pixels are written into `framed` meanwhile."""
        before = [self._blank(framed, 1, 0, s, 0) for s in spreads]
        for column in range(self.image.width):
            h = self.left(framed[..., column : column + REACH])
            for layer, seen, beside in zip(self.gated, before, across, strict=True):
                seen[:, :, 0, column + layer.spread] = h[:, :, 0, 0]
                window = seen[..., column : column + layer.spread + 1]
                h = h + layer.right(window, beside[..., column : column + 1])
            yield h[:, :, 0, 0]

    def _blank(self, x: Tensor, height: int, top: int, left: int, right: int) -> Maps:
        """Zeros for a map of so many rows, with a frame."""
        width = self.place.shape[-1]
        return x.new_zeros(len(x), width, top + height, left + self.image.width + right)

    def _told(self, label: Labels | None, n: int) -> Tensor | float:
        return 0.0 if self.label is None else self.label(label, n)[:, :, None, None]


class Gated(nn.Module):
    """One layer of both stacks: tanh(·) sigmoid(·) of what the kernels see (eq. 2), added to what was there."""

    def __init__(self, width: int, spread: int) -> None:
        super().__init__()
        self.spread = spread
        self.above = nn.Conv2d(width, 2 * width, (2, 3), dilation=spread)
        self.beside = nn.Conv2d(2 * width, 2 * width, 1)
        self.before = nn.Conv2d(width, 2 * width, (1, 2), dilation=spread)
        self.out = nn.Conv2d(width, width, 1)

    def down(self, v: Maps) -> tuple[Maps, Maps]:
        """Framed rows → the vertical stack's addition, and what the horizontal stack is told of it."""
        seen = self.above(v)
        return _gate(seen), self.beside(seen)

    def right(self, h: Maps, beside: Maps) -> Maps:
        """A framed row and what is above it → the horizontal stack's addition."""
        return self.out(_gate(self.before(h) + beside))


def _gate(x: Maps) -> Maps:
    new, share = x.chunk(2, 1)
    return new.tanh() * share.sigmoid()
