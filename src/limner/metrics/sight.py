"""What the eye sees at once in pictures, as a few numbers of each: grids, repetition, tones, contrast, its rough shape.

They are taken at the picture's own size, so that the pictures themselves need not be kept; scores of visible faults
(`metrics/visible.py`) compare those of generated and of real pictures.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from limner.metrics.inputs import Images, on_white

SMALLEST = 16
"""Shorter side of pictures below which nothing is said, in pixels."""
PERIOD = 8
"""Pixels after which the grid of three strided convolutions repeats: its frequencies are multiples of 1/8."""
LAGS = (0, 5, 6, 8, 10, 11, 13, 14, 16, 18, 19)
"""Shifts, in pixels, at which pictures are compared with themselves."""
END = 0.98
"""Beyond ±0.98 of the [-1, 1] range a tone is at the end of the scale."""
WINDOW = 5
"""Side of the window whose mean is taken away to leave fine detail, in pixels."""


class Sight(NamedTuple):
    """What is seen of each of n pictures, float32.

    blocks: mean of the picture's 8×8 blocks, whose Fourier transform is that of the picture at multiples of 1/8
    around: power at the neighbours of each of these frequencies, in the units of |FFT(blocks)|²
    detail: autocovariance of fine detail at LAGS, down and across; 0 at shifts that leave less than 8 pixels
    ends: share of numbers at the dark and at the bright end of the scale
    spread: variance of the numbers of the picture
    thumb: the picture at 8×8, with mean 0 and length 1
    """

    blocks: Float[Tensor, "n c 8 8"]
    around: Float[Tensor, "n c 8 8"]
    detail: Float[Tensor, "n 2 lags"]
    ends: Float[Tensor, "n 2"]
    spread: Float[Tensor, " n"]
    thumb: Float[Tensor, "n d"]

    @classmethod
    def of(cls, x: Images) -> Sight | None:
        """Of pictures in [-1, 1]; None where they are smaller than 16 pixels."""
        if min(x.shape[2:]) < SMALLEST:
            return None
        x = on_white(x.float()).contiguous()
        ends = torch.stack([(side >= END).flatten(1).float().mean(1) for side in (-x, x)], 1)
        whole = x[..., : x.shape[2] // PERIOD * PERIOD, : x.shape[3] // PERIOD * PERIOD]
        return cls(_blocks(whole), _around(whole), _detail(x), ends, x.flatten(1).var(1, correction=0), _thumb(x))

    @property
    def n(self) -> int:
        """How many pictures."""
        return len(self.spread)

    def rows(self, picked: Int[Tensor, " m"]) -> Sight:
        """Of some of the pictures."""
        return Sight(*(part[picked.to(part.device)] for part in self))

    def to(self, device: torch.device | str) -> Sight:
        """The same numbers on another device."""
        return Sight(*(part.to(device) for part in self))


def joined(sights: list[Sight]) -> Sight:
    """Of the pictures of all of them, in order."""
    return Sight(*map(torch.cat, zip(*sights, strict=True)))


def fine(x: Images, around: bool = False) -> Images:
    """Fine detail: what is left when the mean of a 5×5 window around each pixel is taken away.

    Beyond the border there is nothing or, `around`, what is at the opposite border.
    """
    down, across = (_window(side, around).to(x) for side in x.shape[2:])
    return x - down @ x @ across.mT


def _window(side: int, around: bool) -> Float[Tensor, "side side"]:
    """The matrix that takes the mean of WINDOW neighbours, or of as many as there are."""
    apart = (torch.arange(side)[:, None] - torch.arange(side)).abs()
    near = (torch.minimum(apart, side - apart) if around else apart) <= WINDOW // 2
    return near / near.sum(1, keepdim=True)


def _blocks(x: Images) -> Float[Tensor, "n c 8 8"]:
    """The mean of all 8×8 blocks."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h // PERIOD, PERIOD, w // PERIOD, PERIOD).mean((2, 4))


def _around(x: Images) -> Float[Tensor, "n c 8 8"]:
    """Mean power at up to two bins from each multiple of 1/8 and nearer to it than to the next one."""
    h, w = x.shape[2:]
    steps = h // PERIOD, w // PERIOD
    power = torch.fft.fft2(x - x.mean((2, 3), keepdim=True)).abs().square() / (steps[0] * steps[1]) ** 2
    down, across = (min(2, step // 2) for step in steps)
    near = [(a, b) for a in range(-down, down + 1) for b in range(-across, across + 1) if a or b]
    at = [power[:, :, (torch.arange(PERIOD) * steps[0] + a)[:, None] % h, (torch.arange(PERIOD) * steps[1] + b) % w]
          for a, b in near]  # fmt: skip
    return torch.stack(at).mean(0)


def _detail(x: Images) -> Float[Tensor, "n 2 lags"]:
    """Mean product of fine detail with itself, shifted: the diagonals of the Gram matrices of its rows and columns."""
    d = fine(x)
    grams = (d @ d.mT).sum(1) / d.shape[3], (d.mT @ d).sum(1) / d.shape[2]
    return torch.stack([torch.stack([_diagonal(gram, lag) for lag in LAGS], 1) for gram in grams], 1) / x.shape[1]


def _diagonal(gram: Float[Tensor, "n k k"], lag: int) -> Float[Tensor, " n"]:
    k = gram.shape[1]
    return gram.diagonal(lag, 1, 2).mean(1) if k - lag > 2 else gram.new_zeros(len(gram))


def _thumb(x: Images) -> Float[Tensor, "n d"]:
    """8×8 means; one grey level keeps the noise of a picture of one colour from becoming a pattern."""
    small = F.adaptive_avg_pool2d(x, PERIOD).flatten(1)
    small = small - small.mean(1, keepdim=True)
    return small / (small.norm(dim=1, keepdim=True) + small.shape[1] ** 0.5 / 127.5)
