"""A critic that is an autoencoder: its logit is minus the error of its reconstruction (Zhao et al. 2017, section 2.3).

What it has learned to reconstruct has low energy and looks real. Neither half has a norm, so images of a batch do not
see each other, and a gradient penalty can be taken through both.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.core.errors import UserError
from limner.core.latent import Gaussian
from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.base import Critic, Entry, Judgement, Labels, Pictures
from limner.models.layers import Conv, Up, leak, pyramid, widths
from limner.models.light import Trunk


@register
class AutoencoderCritic(Critic):
    """Light encoder to a code and back; the logit is minus the mean error of a pixel.

    image: shape of what it judges
    classes: how many labels its decoder is told, 0 for none
    width: channels at full size
    widest: most channels of any stage
    code: numbers between encoder and decoder
    power: the error is |difference| to this power, 1 or 2
    """

    balance: Tensor
    """What an objective has learned of the energies of the two sides (BEGAN's k), kept with the weights."""

    def __init__(
        self, image: Image, classes: int = 0, width: int = 32, widest: int = 256, code: int = 64, power: int = 2
    ) -> None:
        super().__init__()
        self.image, self.classes, self.power = image, classes, power
        sizes = pyramid(image)
        channels = widths(len(sizes), width, widest)
        self.grid = (channels[0], *sizes[0])
        self.encode = Trunk(image, width, widest, code)
        self.entry = Entry(Gaussian(code), classes, math.prod(self.grid))
        self.ups = nn.ModuleList(Up(*s) for s in zip(channels, channels[1:], sizes[1:], strict=False))
        self.last = Conv(channels[-1], image.channels, gain=0.5)
        self.register_buffer("balance", torch.zeros(()))

    @property
    def head(self) -> Judgement:  # pyright: ignore[reportIncompatibleVariableOverride]
        """There is none. Raises UserError: whoever asks for it wants classes named."""
        raise UserError("an AutoencoderCritic names no classes; take another critic: -o critic=LightCritic")

    def forward(self, x: Pictures, label: Labels | None = None) -> Float[Tensor, " n"]:
        # Full precision: the error is a difference of nearly equal numbers.
        difference = (x.float() - self.reconstruct(x, label).float()).abs()
        return -difference.pow(self.power).flatten(1).mean(1)

    def features(self, x: Pictures) -> Float[Tensor, "n d"]:
        """Codes."""
        return self.encode(x)

    def reconstruct(self, x: Pictures, label: Labels | None = None) -> Pictures:
        """The image as the critic would have it, in [-1, 1]."""
        y = leak(self.entry(self.features(x), label))
        y = y.view(-1, *self.grid).contiguous(memory_format=torch.channels_last)
        for up in self.ups:
            y = leak(up(y))
        return self.last(y).tanh()
