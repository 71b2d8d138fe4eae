"""Further terms of the critic's turn: gradients kept small, weights kept small."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.core.errors import UserError
from limner.core.moment import Moment
from limner.core.schedule import Schedule
from limner.core.spec import register
from limner.models.base import Labels
from limner.objectives.base import Penalty, Scene, slope
from limner.objectives.piecewise import ask, piecewise_linear


def squared(slope: Float[Tensor, "n ..."]) -> Float[Tensor, " n"]:
    """(n, …) → (n,): squared norm of each row."""
    return slope.float().square().flatten(1).sum(1)


def slopes(critic: nn.Module, x: Float[Tensor, "n ..."], label: Labels | None) -> Float[Tensor, "n ..."]:
    """d logit / d x of rows that the critic has not seen, differentiable by its weights."""
    if piecewise_linear(critic, x, label):
        return ask(critic, x, label).slope
    return slope(x, critic(x, label))


def due(every: int, at: Moment) -> bool:
    """Whether this step is one of those in which a penalty is taken, the first of each `every`."""
    return at.nimg // at.total % every == 0


def insist_on_steps(every: int) -> None:
    """Raise UserError unless it is a number of steps."""
    if every < 1:
        raise UserError(f"every={every}: a penalty is taken once in 1 or more steps")


@register
@dataclass(frozen=True)
class R1(Penalty):
    """γ/2 ‖∇D‖² at real images (Mescheder et al. 2018, eq. 9).

    gamma: weight, a number or a curve
    every: taken once in so many steps, as many times as strong (Karras et al. 2020, section 3.1)
    """

    gamma: Schedule = 1.0
    every: int = 1

    def __post_init__(self) -> None:
        insist_on_steps(self.every)

    def __call__(self, scene: Scene) -> Float[Tensor, " n"]:
        if not due(self.every, scene.at):
            return torch.zeros_like(scene.real_logits, dtype=torch.float32)
        return scene.at(self.gamma) * self.every / 2 * squared(scene.real_slope)


@register
@dataclass(frozen=True)
class R2(Penalty):
    """γ/2 ‖∇D‖² at generated images (Mescheder et al. 2018, eq. 10).

    gamma: weight, a number or a curve
    every: taken once in so many steps, as many times as strong (Karras et al. 2020, section 3.1)
    """

    gamma: Schedule = 1.0
    every: int = 1

    def __post_init__(self) -> None:
        insist_on_steps(self.every)

    def __call__(self, scene: Scene) -> Float[Tensor, " n"]:
        if not due(self.every, scene.at):
            return torch.zeros_like(scene.fake_logits, dtype=torch.float32)
        return scene.at(self.gamma) * self.every / 2 * squared(scene.fake_slope)


@register
@dataclass(frozen=True)
class GradientPenalty(Penalty):
    """λ (‖∇D‖ - 1)² between real and generated images (Gulrajani et al. 2017, eq. 3).

    weight: λ
    target: the norm that is asked for
    """

    weight: Schedule = 10.0
    target: float = 1.0

    def __call__(self, scene: Scene) -> Float[Tensor, " n"]:
        real, fake = scene.real.detach(), scene.fake.detach()
        share = scene.at.uniform(*(1,) * (real.ndim - 1))
        # Not torch.lerp: under autocast fakes may be bfloat16 and reals are not.
        between = (fake + (real - fake) * share).requires_grad_()
        norm = (squared(slopes(scene.critic, between, scene.label)) + 1e-12).sqrt()
        return scene.at(self.weight) * (norm - self.target).square()


@register
@dataclass(frozen=True)
class WeightClip(Penalty):
    """Every weight of the critic is cut to [-limit, limit] after its step (Arjovsky et al. 2017, algorithm 1).

    limit: largest absolute weight
    """

    limit: float = 0.01

    def __post_init__(self) -> None:
        if not self.limit > 0:
            raise UserError(
                f"WeightClip(limit={self.limit}): a critic needs weights; give a limit above 0, such as 0.01"
            )

    def __call__(self, scene: Scene) -> Float[Tensor, " n"]:
        return torch.zeros_like(scene.real_logits)

    @torch.no_grad()
    def project(self, critic: nn.Module) -> None:
        for weight in critic.parameters():
            weight.clamp_(-self.limit, self.limit)


@register
@dataclass(frozen=True)
class L1(Penalty):
    """Sum of absolute weights of the critic.

    weight: its factor
    """

    weight: Schedule = 1e-5

    def __call__(self, scene: Scene) -> Float[Tensor, " n"]:
        total = torch.stack([w.abs().sum() for w in scene.critic.parameters()]).sum()
        return (scene.at(self.weight) * total).expand_as(scene.real_logits)


@register
@dataclass(frozen=True)
class L2(Penalty):
    """Half the sum of squared weights of the critic.

    weight: its factor
    """

    weight: Schedule = 1e-4

    def __call__(self, scene: Scene) -> Float[Tensor, " n"]:
        total = torch.stack([w.square().sum() for w in scene.critic.parameters()]).sum()
        return (scene.at(self.weight) / 2 * total).expand_as(scene.real_logits)
