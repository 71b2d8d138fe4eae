"""Spectral normalisation: every weight of a critic divided by its largest singular value (Miyato et al. 2018).

A linear map then stretches nothing, so the critic's slope is bounded without a gradient penalty. The singular value is
followed by a power iteration from one step to the next (algorithm 1); the vector it stands on is a buffer.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from limner.core.errors import UserError
from limner.core.pixels import Image
from limner.core.spec import Spec, register
from limner.models.base import Critic, Judgement, Labels, Pictures
from limner.models.wrapping import within

START = 20
"""Power iterations before the first use, when the vector is still random."""


class Spectral(nn.Module):
    """Weight → weight / σ, where σ is the largest singular value of the weight as an (out, rest) matrix.

    In training each use takes `iterations` steps of the power iteration; in evaluation none is remembered.
    """

    u: Tensor

    def __init__(self, weight: Tensor, iterations: int = 1) -> None:
        super().__init__()
        self.iterations = iterations
        self.register_buffer("u", F.normalize(torch.randn(len(weight), dtype=weight.dtype), dim=0))
        with torch.no_grad():
            for _ in range(START):
                self.u.copy_(_stepped(weight.flatten(1), self.u)[0])

    def forward(self, weight: Tensor) -> Tensor:
        """The same shape, with a largest singular value of 1."""
        # Full precision: the power iteration of a bfloat16 matrix ends at another vector.
        with torch.autocast(weight.device.type, enabled=False):
            return weight / self.sigma(weight)

    def sigma(self, weight: Tensor) -> Float[Tensor, ""]:
        """The largest singular value: u and v are constants, so its gradient is u vᵀ (eq. 10)."""
        matrix = weight.flatten(1)
        with torch.no_grad():
            u, v = _stepped(matrix, self.u)
            for _ in range(self.iterations - 1):
                u, v = _stepped(matrix, u)
            if self.training:
                self.u.copy_(u)
        return u @ matrix @ v


@register
class SpectralCritic(Critic):
    """Any critic with every weight spectrally normalised: for games such as Hinge that need a critic of bounded slope.

    Weights that start at zero have no direction, so they are drawn anew.

    image: shape of what it judges
    classes: how many labels it is told, 0 for none
    inner: the critic itself, such as LightCritic(width=16), without image and classes
    iterations: steps of the power iteration at each use
    """

    def __init__(self, image: Image, classes: int = 0, inner: str | Spec = "LightCritic", iterations: int = 1) -> None:
        super().__init__()
        if iterations < 1:
            raise UserError(f"iterations={iterations}: spectral normalisation needs at least 1 at each use")
        self.image, self.classes = image, classes
        self.inner = within(self, Critic, inner, image, classes)
        for module in list(self.inner.modules()):
            weight = getattr(module, "weight", None)
            if isinstance(weight, nn.Parameter) and weight.ndim > 1:
                if not weight.any():
                    nn.init.normal_(weight)
                parametrize.register_parametrization(module, "weight", Spectral(weight, iterations))

    @property
    def head(self) -> Judgement:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The inner network's."""
        return self.inner.head

    def forward(self, x: Pictures, label: Labels | None = None) -> Float[Tensor, " n"]:
        return self.inner(x, label)

    def features(self, x: Pictures) -> Float[Tensor, "n d"]:
        return self.inner.features(x)


def _stepped(matrix: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """One step of the power iteration: the next left and right singular vectors."""
    v = F.normalize(u @ matrix, dim=0)
    return F.normalize(matrix @ v, dim=0), v
