"""Classifier two-sample test (Lopez-Paz and Oquab 2017, "C2ST"): can real and generated be told apart at all?

A classifier is taught on one half of both sets of features and tried on the other: its accuracy is 1/2 for equal
sets, and how likely so high an accuracy is by guessing alone is exact, whatever the classifier.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from limner.core.rng import derived
from limner.core.shares import wilson
from limner.core.spec import register
from limner.metrics.base import Features, Metric, Reading, Sets

STEPS = 200


@register
@dataclass(frozen=True)
class TwoSampleTest(Metric):
    """Held-out accuracy of a small network that tells generated features from real ones; 0.5 is guessing.

    width: of its hidden layer
    seed: of its first weights
    """

    label: ClassVar[str] = "two-sample test (accuracy)"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    width: int = 64
    seed: int = 0

    def lacks(self, sets: Sets) -> str:
        """Needs a hundred images to learn from and to be tried on."""
        return f"{len(sets.real):,} images are too few to learn from, 100 do" if len(sets.real) < 100 else ""

    def score(self, sets: Sets) -> Reading:
        """The accuracy, and the chance of one so high by guessing."""
        found = super().score(sets)
        tried = 2 * (found.n - found.n // 2)
        return replace(found, p_value=by_guessing(round(found.value * tried), tried))

    def __call__(self, real: Features, fake: Features, held_out: Features | None = None) -> float:
        """0 to 1."""
        return float(self._right(real, fake).double().mean())

    def interval(self, real: Features, fake: Features, value: float) -> tuple[float, float]:
        """Wilson's, of the images that it was tried on."""
        return wilson(value, 2 * (len(real) - len(real) // 2))

    def _right(self, real: Features, fake: Features) -> Bool[Tensor, " k"]:
        """Which of the images kept back are told right."""
        (a, b), (c, d) = _parted(real), _parted(fake)
        known, asked = torch.cat([a, c]), torch.cat([b, d])
        mean, std = known.mean(0), known.std(0).clamp_min(1e-6)
        truth = torch.arange(len(known), device=known.device) >= len(a)
        said = _learned((known - mean) / std, truth.float(), self.width, self.seed)((asked - mean) / std)[:, 0]
        return (said > 0) == (torch.arange(len(asked), device=known.device) >= len(b))


def by_guessing(right: int, tried: int) -> float:
    """Chance that at least so many of fair guesses are right: exact."""
    from scipy.stats import binom

    return float(binom.sf(right - 1, tried, 0.5))


def _parted(features: Features) -> tuple[Features, Features]:
    """Half of the rows, drawn, to learn from and the others."""
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(0)).to(features.device)
    half = len(features) // 2
    return features[order[:half]].float(), features[order[half:]].float()


def _learned(x: Float[Tensor, "n d"], truth: Float[Tensor, " n"], width: int, seed: int) -> nn.Module:
    """A network of one hidden layer, taught with every row at each step."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived(seed, 0, "two-sample test"))
        net = nn.Sequential(nn.Linear(x.shape[1], width), nn.ReLU(), nn.Linear(width, 1)).to(x.device)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-2, weight_decay=0.1)
    curve = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=STEPS + 1)
    for _ in range(STEPS):
        loss = F.binary_cross_entropy_with_logits(net(x)[:, 0], truth)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        curve.step()
    return net.requires_grad_(False)
