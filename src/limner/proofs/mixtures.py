"""Modes covered on the 8-Gaussian ring and the 25-Gaussian grid by any game.

Protocol of VEEGAN (Srivastava et al. 2017) and PacGAN (Lin et al. 2018): of 2,500 samples, one is of high quality
within 3σ of a centre; a mode counts with one such sample.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from limner.core.rng import generator
from limner.core.spec import build
from limner.metrics.modes import modes_covered
from limner.objectives.base import generator_of
from limner.proofs.base import Bench, Row
from limner.proofs.known import Points
from limner.train import Budget, Run, State, train

GAMMA = "Ramp(0.02, 0.0005, 0.0, 0.6)"
PUBLISHED = {"ring": "7.9 modes (PacGAN2, Lin et al. 2018)", "grid": "24.8 modes (PacGAN2, Lin et al. 2018)"}


@dataclass(frozen=True)
class Mixture:
    """Equal Gaussians in the plane as images of 2 channels and one pixel, at unit root mean square."""

    centres: Tensor
    sigma: float
    batch: int
    seed: int

    @property
    def scale(self) -> float:
        """Root mean square of the centres."""
        return float(self.centres.square().mean().sqrt())

    def at(self, nimg: int, rows: slice | None = None) -> Points:
        """The batch after nimg points."""
        rng = generator(self.seed, nimg, "points")
        which = torch.randint(len(self.centres), (self.batch,), generator=rng)
        x = (self.centres[which] + self.sigma * torch.randn(self.batch, 2, generator=rng)) / self.scale
        return Points(x[rows or slice(None), :, None, None])


def ring(batch: int, seed: int) -> Mixture:
    """8 Gaussians on the unit circle, σ 0.01."""
    angle = torch.arange(8) * (2 * math.pi / 8)
    return Mixture(torch.stack([angle.cos(), angle.sin()], 1), 0.01, batch, seed)


def grid(batch: int, seed: int) -> Mixture:
    """25 Gaussians on -4, -2, 0, 2, 4 squared, σ 0.05."""
    line = torch.arange(-4.0, 5.0, 2.0)
    return Mixture(torch.cartesian_prod(line, line), 0.05, batch, seed)


def plan(game: str, batch: int, seed: int) -> Run:
    """Dense networks and one optimizer for every game."""
    image = {"is": "Image", "channels": 2, "height": 1, "width": 1}
    player = {"is": "Player", "optimizer": "Adam(lr=Cosine(0.001, 0.00001, 0.4), beta1=0.0, beta2=0.99)"}
    net = {"image": image, "width": 96, "depth": 6}
    described = {
        "is": "Run",
        "objective": {"is": "GAN", "game": game, "penalties": [f"R1({GAMMA})", f"R2({GAMMA})"]},
        "nets": {
            "generator": net | {"is": "PlainGenerator", "latent": "Gaussian(2)", "output": "linear"},
            "critic": net | {"is": "PlainCritic"},
        },
        "players": {"generator": player, "critic": player},
        "batch": batch,
        "average": 50_000,
        "seed": seed,
    }
    return build(described, Run)


def trial(name: str, game: str, seed: int, points: int) -> tuple[int, float]:
    """Train once; modes covered, and the share of high quality among 2,500 samples."""
    run = plan(game, 256, seed)
    data = {"ring": ring, "grid": grid}[name](run.batch, seed)
    state = State(run, torch.device("cpu"))
    for _ in train(state, run, data, until=Budget(images=points), looks=1):
        pass
    net = generator_of(state.averaged)
    with torch.no_grad():
        samples = net(net.latent.sample(2500, generator(seed, 0, "samples"))).flatten(1)
    return modes_covered(samples * data.scale, data.centres, data.sigma)


def cover(bench: Bench, game: str, points: int = 200_000) -> Iterator[Row]:
    """Modes and quality of a game with R1 and R2, on the ring and on the grid."""
    for name in PUBLISHED:
        found: list[tuple[int, float]] = []
        for seed in bench.seeds[:1]:
            bench.tick(f"{game} on the {name}", seed / len(bench.seeds))
            found.append(trial(name, game, seed, points))
        protocol = f"R1 + R2, {points // 1000}k points, batch 256, 2,500 samples"
        yield Row(f"{game}, modes of the {name}", tuple(float(m) for m, _ in found), "", published=PUBLISHED[name],
                  protocol=protocol)  # fmt: skip
        yield Row(f"{game}, high quality on the {name}", tuple(100 * q for _, q in found), "%", protocol=protocol)
