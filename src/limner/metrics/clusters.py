"""k-means: the bins of scores that compare how often real and generated images fall where."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from limner.metrics.base import Features, double, rows_per_block

ROUNDS = 30


def k_means(x: Features, k: int, seed: int = 0) -> Float[Tensor, "k d"]:
    """Centres of k clusters: k-means++ (Arthur and Vassilvitskii 2007), then Lloyd's rounds until nothing moves.

    Which centres are found depends on the seed and on the order of the rows.
    """
    x = double(x)
    centres = _spread_out(x, k, torch.Generator().manual_seed(seed))
    label = nearest_centre(x, centres)
    for _ in range(ROUNDS):
        total = torch.zeros_like(centres).index_add_(0, label, x)
        count = torch.bincount(label, minlength=k)[:, None]
        # a cluster that nothing is nearest to stays where it is
        centres = torch.where(count > 0, total / count.clamp_min(1), centres)
        before, label = label, nearest_centre(x, centres)
        if torch.equal(before, label):
            break
    return centres


def nearest_centre(x: Features, centres: Float[Tensor, "k d"]) -> Int[Tensor, " _"]:
    """Number of the nearest centre of each row."""
    step = rows_per_block(len(centres))
    parts = [torch.cdist(double(x[i : i + step]), centres).argmin(1) for i in range(0, len(x), step)]
    return torch.cat(parts)


def _spread_out(x: Features, k: int, rng: torch.Generator) -> Float[Tensor, "k d"]:
    """Rows as first centres, each drawn in proportion to its squared distance to those before it."""
    chosen = [int(torch.randint(len(x), (), generator=rng))]
    far = (x - x[chosen[0]]).square().sum(1)
    while len(chosen) < k:
        # all equal rows: any will do
        weight = (far if bool(far.sum() > 0) else torch.ones_like(far)).cumsum(0)
        drawn = torch.rand((), generator=rng, dtype=torch.float64).to(x.device) * weight[-1]
        chosen.append(min(int(torch.searchsorted(weight, drawn, right=True)), len(x) - 1))
        far = torch.minimum(far, (x - x[chosen[-1]]).square().sum(1))
    return x[chosen].clone()
