"""A critic that judges every patch for itself: colour, ink and texture, whatever the whole shows."""

from __future__ import annotations

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.base import Critic, Judgement, Pictures
from limner.models.layers import Conv, Down, leak


@register
class PatchCritic(Critic):
    """The mean of the logits of all patches of a picture (Isola et al. 2017, section 2.2.2); labels by projection.

    A patch is about 4 · 2^depth pixels wide. Without normalisation, so a gradient penalty can be taken through it.

    image: shape of what it judges
    classes: how many labels it is told, 0 for none
    width: channels of the first, half-size stage
    widest: most channels of any stage
    depth: halvings
    """

    def __init__(self, image: Image, classes: int = 0, width: int = 32, widest: int = 128, depth: int = 2) -> None:
        super().__init__()
        self.image, self.classes = image, classes
        channels = [image.channels, *(min(width * 2**k, widest) for k in range(depth))]
        self.downs = nn.ModuleList(Down(a, b) for a, b in pairwise(channels))
        self.last = Conv(channels[-1], channels[-1])
        self.head = Judgement(channels[-1], classes)

    def features(self, x: Pictures) -> Float[Tensor, "n d"]:
        for down in self.downs:
            x = leak(down(x))
        # the head is linear: a logit of mean features is the mean of the patches' logits
        return leak(self.last(x)).mean((2, 3))
