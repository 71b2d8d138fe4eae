"""Samples improved by the critic: Langevin dynamics in the codes, and rejection of what it finds unlikely.

Where the critic's logit is log p_data/p_model, its sum with the prior's log-density is what codes of true pictures are
distributed by (Che et al. 2020, eq. 5). A critic in the middle of a game is that only roughly: measure first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limner.explore.ascents import Langevin
from limner.explore.climb import Standing, climb
from limner.explore.spaces import space
from limner.goals.base import Goal, Scene
from limner.models.base import Labels, Pictures

RARE = 0.8
"""Quantile of the logits at which a sample is kept with probability one half (Azadi et al. 2019, section 3.2)."""


@dataclass(frozen=True)
class Effect:
    """What was done to n samples, beside what they were.

    logit: the critic's mean before and after
    diversity: mean squared difference of two samples, after over before
    """

    logit: tuple[float, float]
    diversity: float

    @property
    def warning(self) -> str:
        """Says when samples have become more alike; empty otherwise."""
        if self.diversity > 0.9:
            return ""
        return f"pictures are more alike than before (differences are {self.diversity:.0%} of what they were)"


def refine(
    scene: Scene, goal: Goal, z: Float[Tensor, "n d"], *, steps: int, rate: float = 0.01, temperature: float = 1.0,
    label: Labels | None = None, seed: int = 0, first: int = 0,
) -> Iterator[Standing]:  # fmt: skip
    """Langevin steps from n codes by a goal that is a log-density; the last standing's `points` are the samples.

    At temperature 0 it is gradient flow. Codes are counted from `first` on, and a
    code's way depends on its number, not on how many others there are.
    """
    rule = Langevin(rate, temperature)
    numbers = range(first, first + len(z))
    yield from climb(
        space(scene), goal, z[:, None], steps=steps, optimizer=rule, label=label, seed=seed, numbers=numbers
    )


def kept(logits: Float[Tensor, " n"], calm: Float[Tensor, " m"], seed: int = 0) -> Bool[Tensor, " n"]:
    """Which samples rejection keeps, given logits of `calm` earlier samples (Azadi et al. 2019, eq. 8).

    The largest of the earlier logits stands for the bound of the density ratio.
    """
    chance = _force(logits, calm.max())
    middle = _force(calm, calm.max()).quantile(RARE)
    u = torch.rand(len(logits), generator=torch.Generator().manual_seed(seed)).to(logits)
    return u < (chance - middle).sigmoid()


def _force(logits: Tensor, most: Tensor) -> Tensor:
    over = (logits - most).clamp_max(-1e-6)
    return over - torch.log1p(-over.exp())


@torch.no_grad()
def effect(
    before: Pictures, after: Pictures, scene: Scene, label: Labels | None = None, label_after: Labels | None = None
) -> Effect:
    """The critic's opinion and the diversity of as many pictures before and after."""
    said = _mean_logit(scene, before, label), _mean_logit(scene, after, label_after)
    return Effect(said, _spread(after) / max(_spread(before), 1e-12))


def _mean_logit(scene: Scene, x: Pictures, label: Labels | None) -> float:
    blocks = range(0, len(x), 256)
    parts = [scene.critic(x[k : k + 256], None if label is None else label[k : k + 256]) for k in blocks]
    return torch.cat(parts).mean().item()


def _spread(x: Pictures) -> float:
    """Twice the variance is the mean squared difference of two."""
    return 2 * x.flatten(1).var(0).mean().item()
