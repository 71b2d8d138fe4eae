"""What a distance is: two batches of images → one number each, small where they are alike.

The same value serves as a reconstruction loss, as a goal to climb towards, and as a score.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

Pictures = Float[Tensor, "n c h w"]


class Distance:
    """(n, c, h, w), (n, c, h, w) → (n,), differentiable in x, 0 where x = y."""

    def __call__(self, x: Pictures, y: Pictures) -> Float[Tensor, " n"]:
        """How far each x is from its y."""
        raise NotImplementedError
