"""The evaluation network: trained afresh to tell a model's images from held-out real ones, looking at the pixels.

No weights from elsewhere are needed and no Gaussian is assumed. Where images differ plainly, every network soon is
right, and a bad generator could not be told from a worse one; so both kinds of image are also shown under noise
(Arjovsky and Bottou 2017), which hides small faults before large ones. The score is the mean accuracy over levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.shares import NORMAL_95
from limner.core.spec import register
from limner.metrics.base import SMALL, Metric, Reading, Seen, Sets, halves
from limner.metrics.reader import answers, taught
from limner.metrics.two_sample import by_guessing


@register
@dataclass(frozen=True)
class Distinguisher(Metric):
    """Held-out accuracy of a network trained to tell generated from real images, mean over noise; 0.5 is guessing.

    noise: standard deviations in the [-1, 1] range; the first also gives the p-value
    seen: images that the network is shown in training
    seed: of its first weights and batches
    """

    label: ClassVar[str] = "evaluation network (accuracy)"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    wants: ClassVar[tuple[str, ...]] = ("images",)
    of_features: ClassVar[bool] = False

    noise: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0)
    seen: int = 40_000
    seed: int = 0

    def lacks(self, sets: Sets) -> str:
        """Needs two hundred images of each kind."""
        n = len(sets.real)
        return f"{n:,} images are too few to train it on, 200 do; read KernelDistance" if n < 200 else ""

    def score(self, sets: Sets) -> Reading:
        """The accuracy, its interval over images kept back, and the chance of guessing so well."""
        right = self.told(sets.real, sets.fake)
        each = right.mean(1)
        value, away = float(each.mean()), NORMAL_95 * float(each.std()) / len(each) ** 0.5
        floor = float(self.told(*sets.floor).mean())
        p = by_guessing(int(right[:, 0].sum()), len(right))
        reach = max(0.0, value - away), min(1.0, value + away)
        return Reading(value, *reach, len(sets.real), floor, len(sets.floor[0]), p, on=SMALL)

    def told(self, real: Seen, fake: Seen) -> Float[Tensor, "n levels"]:
        """Which images kept back from training, real ones first, are told right at each level of noise: 1 or 0."""
        assert real.images is not None and fake.images is not None
        (a, b), (c, d) = halves(len(real)), halves(len(fake), seed=1)
        known = torch.cat([real.images[a], fake.images[c]])
        asked = torch.cat([real.images[b], fake.images[d]])
        truth = (torch.arange(len(known)) >= len(a)).long().to(known.device)
        net = taught(known, truth, 2, seen=self.seen, seed=self.seed, noise=self.noise)
        truth = (torch.arange(len(asked)) >= len(b)).long().to(asked.device)
        said = [answers(net, asked, sigma, self.seed).argmax(1) == truth for sigma in self.noise]
        return torch.stack(said, 1).double()
