"""A critic alone between two distributions on the line that are known exactly: what it estimates can be checked.

Both are given by their quantile functions, so draws, densities and Wasserstein's distance all follow from them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.core.moment import Moment
from limner.core.rng import generator
from limner.core.spec import Spec, build
from limner.models.base import Critic
from limner.objectives.base import Examples, Objective, critic_of
from limner.objectives.gan import GAN
from limner.run import Player, Run
from limner.train import Budget, State, train

Quantile = Callable[[Float[Tensor, " n"]], Float[Tensor, " n"]]
LINE = {"is": "Image", "channels": 1, "height": 1, "width": 1}


@dataclass(frozen=True)
class Line:
    """Draws from a distribution as images of one pixel."""

    quantile: Quantile
    batch: int
    seed: int

    def at(self, nimg: int, rows: slice | None = None) -> Points:
        """The batch after nimg points."""
        u = torch.rand(self.batch, generator=generator(self.seed, nimg, "points"))
        return Points(self.quantile(u)[rows or slice(None), None, None, None])


@dataclass(frozen=True)
class Points:
    """A batch without labels."""

    x: Tensor
    label: None = None


@dataclass(frozen=True)
class Between(Objective):
    """The critic's turn of a GAN whose generator is another known distribution."""

    gan: GAN
    other: Quantile
    players: ClassVar[dict[str, tuple[str, ...]]] = {"critic": ("critic",)}

    def loss(self, turn: str, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        fake = self.other(at.uniform())[:, None, None, None]
        return self.gan.judge(critic_of(nets), batch.x, fake, None, at)

    def after(self, turn: str, nets: nn.ModuleDict) -> None:
        for penalty in self.gan.penalties:
            penalty.project(critic_of(nets))


def best_critic(gan: GAN, p: Quantile, q: Quantile, *, seed: int, points: int, player: Spec, net: Spec) -> Critic:
    """The averaged critic after so many points of the real training loop."""
    made = build(net | {"image": LINE}, Critic)
    run = Run(Between(gan, q), {"critic": made}, {"critic": build(player, Player)}, 512, 50_000, seed=seed)
    state = State(run, torch.device("cpu"))
    for _ in train(state, run, Line(p, run.batch, seed), until=Budget(images=points), looks=1):
        pass
    return critic_of(state.averaged)


def judged(critic: Critic, x: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The critic's logits at points of the line, float64."""
    with torch.no_grad():
        return critic(x.float()[:, None, None, None]).double()
