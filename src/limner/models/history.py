"""A store of past fakes: a critic that also sees old ones cannot be led in circles by the newest."""

from __future__ import annotations

import torch
from torch import Tensor

from limner.core import parallel
from limner.core.moment import Moment
from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.base import Model, Pictures


@register
class History(Model):
    """The last fakes, of which half of each batch is exchanged for earlier ones (Shrivastava et al. 2017, section 2.3).

    Kept as buffers of 8 bits, so it is saved, resumed and rolled back with the weights. All processes hold the same.

    image: shape of what it keeps
    size: pictures kept, 0 for none
    """

    kept: Tensor
    count: Tensor

    def __init__(self, image: Image, size: int = 50) -> None:
        super().__init__()
        self.image, self.size = image, size
        kept = torch.zeros(size, image.channels, image.height, image.width, dtype=torch.uint8)
        self.register_buffer("kept", kept)
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, fresh: Pictures, at: Moment) -> Pictures:
        """This process's rows of the batch; each is, with probability ½, an earlier fake whose place it takes."""
        if not self.size:
            return fresh
        shown = parallel.gather(fresh.float())
        levels = _to_levels(shown)
        coins, places = torch.rand(len(shown), 2, generator=at.rng, device=at.rng.device).unbind(1)
        slots = (places * self.size).long().clamp_max(self.size - 1)
        # Without asking what is in a tensor: a GPU would have to be waited for. One after another, because a row may
        # be given what an earlier one of the same batch has left.
        for row in range(len(shown)):
            filling = self.count < self.size
            exchanged = ~filling & (coins[row] < 0.5)
            slot = torch.where(filling, self.count, slots[row])[None]
            old = self.kept.index_select(0, slot)[0]
            shown[row] = torch.where(exchanged, old.float() / 127.5 - 1, shown[row])
            self.kept.index_copy_(0, slot, torch.where(filling | exchanged, levels[row], old)[None])
            self.count += filling
        return shown[at.rows]


def _to_levels(x: Pictures) -> Tensor:
    """[-1, 1] → uint8 of the same shape, rounded."""
    return (x.float() + 1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
