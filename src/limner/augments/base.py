"""What an augmentation is: a random change of what the critic sees, the same kind for real and fake."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from limner.core.moment import Moment


class Augment:
    """A random, differentiable map of images; `at.strength` is 0 to 1 for adaptive ones."""

    start: float = 1.0
    """The strength that training begins with."""

    def __call__(self, x: Float[Tensor, "n c h w"], at: Moment) -> Float[Tensor, "n c h w"]:
        """Augmented images."""
        raise NotImplementedError

    def adjust(self, strength: float, sign: float, seen: int) -> float:
        """The strength after `seen` more real images, on which the critic's logits had this mean sign."""
        return strength


def split(x: Float[Tensor, "n c h w"]) -> tuple[Float[Tensor, "n colours h w"], Float[Tensor, "n rest h w"]]:
    """The grey or three colour channels, and alpha, which has no brightness."""
    colours = 1 if x.shape[1] < 3 else 3
    return x[:, :colours], x[:, colours:]
