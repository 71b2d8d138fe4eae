"""A small network trained afresh to name classes of pictures, for scores that ask what can be learned from them.

The same layers as the in-domain features, but nothing is kept: each score trains its own, from a fixed seed.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from limner.core.rng import derived, generator
from limner.metrics.indomain import Trunk, moved

BATCH = 128
Pictures = UInt8[Tensor, "n c h w"]


def as_float(x: Pictures) -> Float[Tensor, "n c h w"]:
    """Back to [-1, 1]."""
    return x.float().div(127.5).sub(1)


def taught(
    x: Pictures, label: Int[Tensor, " n"], classes: int, *, seen: int, seed: int, noise: tuple[float, ...] = (0.0,)
) -> Trunk:
    """A network that tells the classes apart, trained on `seen` pictures drawn from these.

    `noise` are standard deviations in the [-1, 1] range; each picture is drawn one of them. Pictures are shifted,
    turned and scaled a little. Equal seeds give equal networks.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived(seed, 0, "reader"))
        trunk = Trunk(classes).to(x.device)
    steps = math.ceil(seen / BATCH)
    optimizer = torch.optim.AdamW(trunk.parameters(), 3e-3, weight_decay=0.05)
    curve = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps + 1, pct_start=0.2)
    rng = generator(seed, 0, "reader batches")
    trunk.train()
    for _ in range(steps):
        rows = torch.randint(len(x), (BATCH,), generator=rng).to(x.device)
        batch = noised(moved(as_float(x[rows]), 0.5, rng), torch.tensor(noise), rng)
        loss = F.cross_entropy(trunk.answers(batch), label[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        curve.step()
    return trunk.eval()


def noised(x: Float[Tensor, "n c h w"], levels: Float[Tensor, " m"], rng: torch.Generator) -> Float[Tensor, "n c h w"]:
    """Each picture with Gaussian noise of one of the levels, drawn for it."""
    if not bool((levels > 0).any()):
        return x
    sigma = levels[torch.randint(len(levels), (len(x),), generator=rng)]
    return x + (sigma.view(-1, 1, 1, 1) * torch.randn(x.shape, generator=rng)).to(x.device)


def answers(trunk: Trunk, x: Pictures, sigma: float = 0.0, seed: int = 0) -> Float[Tensor, "n k"]:
    """Class scores of pictures, each with noise of one level."""
    rng = generator(seed, 0, "reader noise")
    level = torch.tensor([sigma])
    with torch.inference_mode():
        blocks = [noised(as_float(x[i : i + 500]), level, rng) for i in range(0, len(x), 500)]
        return torch.cat([trunk.answers(block) for block in blocks])
