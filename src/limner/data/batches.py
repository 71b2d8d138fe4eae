"""Batches: a pure function from (seed, images seen so far) to the next batch.

Each epoch visits every image once, in an order of its own. Pixels stay uint8 until the batch is put together; on a GPU
with room for it the whole array lives there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from numpy.typing import NDArray
from torch import Tensor

from limner.core.rng import generator
from limner.data.images import Images

RESIDENT = 0.25
"""Largest part of a GPU's free memory that the images may take."""


@dataclass(frozen=True)
class Batch:
    """Images in [-1, 1], channels-last in memory, and what is told of them where the data has labels.

    label: class numbers, -1 = unlabelled; or k numbers each in [0, 1], nan = unknown
    """

    x: Float[Tensor, "n c h w"]
    label: Int64[Tensor, " n"] | Float[Tensor, "n told"] | None

    def __len__(self) -> int:
        return len(self.x)


class Batches:
    """Batches of `size` images; the last of an epoch is filled up from the next.

    among: the images that take part, by index; all of them by default
    mirror: whether half of the images, drawn anew for each batch, are mirrored left to right
    """

    def __init__(
        self,
        images: Images,
        size: int,
        seed: int,
        device: torch.device | str = "cpu",
        among: NDArray[np.int64] | None = None,
        mirror: bool = False,
    ) -> None:
        self.mirror = mirror
        self.images, self.size, self.seed, self.device = images, size, seed, torch.device(device)
        self.among = np.arange(len(images)) if among is None else among
        self._resident = torch.from_numpy(np.array(images.pixels)).to(self.device) if self._fits() else None
        self._orders: dict[int, NDArray[np.int64]] = {}

    def __len__(self) -> int:
        """How many different images there are."""
        return len(self.among)

    def at(self, nimg: int, rows: slice | None = None) -> Batch:
        """The batch that starts after `nimg` images were seen; `rows` picks this process's part of it."""
        index = self.indices(nimg)
        index = index if rows is None else index[rows]
        labels = self.images.told
        label = None if labels is None else self._moved(torch.from_numpy(labels[index]))
        x = _scaled(self._pixels(index))
        if self.mirror:
            drawn = torch.rand(self.size, generator=generator(self.seed, nimg, "mirror")) < 0.5
            mirrored = self._moved(drawn if rows is None else drawn[rows])
            x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
        return Batch(x, label)

    def indices(self, nimg: int) -> NDArray[np.int64]:
        """Which images those are, int64 (size,)."""
        total = len(self.among)
        first, last = nimg // total, (nimg + self.size - 1) // total
        self._orders = {epoch: order for epoch, order in self._orders.items() if epoch >= first}
        begins = ((epoch, nimg - epoch * total) for epoch in range(first, last + 1))
        return np.concatenate([self._order(epoch)[max(begin, 0) : begin + self.size] for epoch, begin in begins])

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._orders:
            rng = generator(self.seed, epoch, "order")
            self._orders[epoch] = self.among[torch.randperm(len(self.among), generator=rng).numpy()]
        return self._orders[epoch]

    def _pixels(self, index: NDArray[np.int64]) -> UInt8[Tensor, "n h w c"]:
        if self._resident is not None:
            return self._resident[self._moved(torch.from_numpy(index))]
        picked = torch.empty((len(index), *self.images.pixels.shape[1:]), dtype=torch.uint8, pin_memory=self._is_cuda)
        # a disk likes to be read in order
        ascending = np.argsort(index)
        picked.numpy()[ascending] = self.images.pixels[index[ascending]]
        return self._moved(picked)

    def _moved(self, tensor: Tensor) -> Tensor:
        if self._is_cuda and not tensor.is_pinned():
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=self._is_cuda)

    @property
    def _is_cuda(self) -> bool:
        return self.device.type == "cuda"

    def _fits(self) -> bool:
        return self._is_cuda and self.images.pixels.nbytes < RESIDENT * torch.cuda.mem_get_info(self.device)[0]


def _scaled(pixels: UInt8[Tensor, "n h w c"]) -> Float[Tensor, "n c h w"]:
    # the same arithmetic as core.pixels.to_float
    return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
