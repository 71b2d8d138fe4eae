"""R1 and R2 without a second derivative: how much a logit changes under a small random step.

For ε ~ N(0, I), E (D(x + σε) - D(x))² / σ² → ‖∇D(x)‖² as σ → 0: the penalty is one more forward pass, so the critic can
be compiled, sharded, or made of parts that cannot be differentiated twice (Lin et al. 2025, section 3.3).
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from limner.core.schedule import Schedule
from limner.core.spec import register
from limner.models.base import Pictures
from limner.objectives.base import Logits, Penalty, Scene


def squared_rise(scene: Scene, x: Pictures, logits: Logits, sigma: float) -> Float[Tensor, " n"]:
    """(D(x + σε) - D(x))² / σ², one ε an image: ‖∇D‖² on average over ε."""
    moved = x.detach() + sigma * scene.at.normal(*x.shape[1:])
    return ((scene.critic(moved, scene.label) - logits) / sigma).square()


@register
@dataclass(frozen=True)
class ApproximateR1(Penalty):
    """γ/2 (D(x + σε) - D(x))² / σ² at real images: R1 by a finite difference, with no second derivative.

    gamma: weight, a number or a curve
    sigma: length of the step in each number of an image, in the [-1, 1] range
    """

    gamma: Schedule = 1.0
    sigma: float = 0.01

    def __call__(self, scene: Scene) -> Float[Tensor, " n"]:
        return scene.at(self.gamma) / 2 * squared_rise(scene, scene.real, scene.real_logits, self.sigma)


@register
@dataclass(frozen=True)
class ApproximateR2(Penalty):
    """γ/2 (D(x + σε) - D(x))² / σ² at generated images: R2 by a finite difference, with no second derivative.

    gamma: weight, a number or a curve
    sigma: length of the step in each number of an image, in the [-1, 1] range
    """

    gamma: Schedule = 1.0
    sigma: float = 0.01

    def __call__(self, scene: Scene) -> Float[Tensor, " n"]:
        return scene.at(self.gamma) / 2 * squared_rise(scene, scene.fake, scene.fake_logits, self.sigma)
