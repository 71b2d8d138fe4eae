"""Modes covered on the 8-Gaussian ring and the 25-Gaussian grid, the default objective beside a control.

Protocol of VEEGAN (Srivastava et al. 2017) and PacGAN (Lin et al. 2018): of 2,500 samples, one is of high quality
within 3σ of a centre; a mode counts with one such sample.

The mixtures are disconnected, and a continuous generator on a connected prior must bridge their modes (Khayatkhoei
et al. 2018), so the code is many categories beside two Gaussian numbers. The protocol does not see it when samples
sit too close to the centres; the spread does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from limner.core.events import Progress
from limner.core.rng import generator
from limner.core.spec import Spec, build
from limner.metrics.modes import modes_covered
from limner.objectives.base import generator_of
from limner.proofs.base import Bench, Row, proof
from limner.proofs.known import Points
from limner.train import Budget, Run, State, train

LATENT = "Mixed([Categorical(64, 8.0), Gaussian(2)])"
GAMMA = "Geometric(0.02, 0.0002)"
BATCH = 256
POINTS = {"ring": 600_000, "grid": 2_400_000}
"""What a training sees."""
PUBLISHED = {
    "ring": ("7.9 (PacGAN2, Lin et al. 2018)", "95.6 % (PacGAN2, Lin et al. 2018)"),
    "grid": ("24.8 (PacGAN2, Lin et al. 2018)", "93.6 % (PacGAN2, Lin et al. 2018)"),
}
DEFAULT: Spec = {"is": "GAN", "penalties": [f"R1({GAMMA})", f"R2({GAMMA})"]}
CONTROL: Spec = {"is": "GAN", "game": "NonSaturating", "penalties": []}


@dataclass(frozen=True)
class Mixture:
    """Equal Gaussians in the plane, served as images of 2 channels and one pixel, at unit root mean square.

    The measure of quality counts in σ, so the scale of the plane does not matter to it.
    """

    centres: Tensor
    sigma: float
    batch: int
    seed: int = 0

    @property
    def scale(self) -> float:
        """Root mean square of the centres."""
        return float(self.centres.square().mean().sqrt())

    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        """(n, 2) points."""
        which = torch.randint(len(self.centres), (n,), generator=rng)
        return (self.centres[which] + self.sigma * torch.randn(n, 2, generator=rng)) / self.scale

    def at(self, nimg: int, rows: slice | None = None) -> Points:
        """The batch after nimg points."""
        return Points(self.draw(self.batch, generator(self.seed, nimg, "points"))[rows or slice(None), :, None, None])

    def spread(self, points: Tensor) -> float:
        """Root mean square distance from the nearest centre, of points within 3σ of one; nan where none is."""
        distance = torch.cdist(points * self.scale, self.centres).min(1).values
        return float(distance[distance <= 3 * self.sigma].square().mean().sqrt())


def ring(batch: int, seed: int) -> Mixture:
    """8 Gaussians on the unit circle, σ 0.01."""
    angle = torch.arange(8) * (2 * math.pi / 8)
    return Mixture(torch.stack([angle.cos(), angle.sin()], 1), 0.01, batch, seed)


def grid(batch: int, seed: int) -> Mixture:
    """25 Gaussians on -4, -2, 0, 2, 4 squared, σ 0.05."""
    line = torch.arange(-4.0, 5.0, 2.0)
    return Mixture(torch.cartesian_prod(line, line), 0.05, batch, seed)


MIXTURES = {"ring": ring, "grid": grid}
Tick = Callable[[str, float], None]


class Trial(NamedTuple):
    """What came of one training."""

    modes: int
    quality: float
    """Percent of 2,500 samples within 3σ of a centre."""
    spread: float
    """Of those, the distance from their centre (root mean square), over that of real ones."""


def plan(objective: Spec, seed: int, latent: str = LATENT) -> Run:
    """Dense networks and optimizers that all objectives share."""
    image = {"is": "Image", "channels": 2, "height": 1, "width": 1}
    player = {"is": "Player", "optimizer": "Adam(lr=Cosine(0.002, 0.00001, 0.4), beta1=0.0, beta2=0.99)"}
    net = {"image": image, "width": 96}
    described = {
        "is": "Run",
        "objective": objective,
        "nets": {
            "generator": net | {"is": "PlainGenerator", "latent": latent, "depth": 7, "output": "linear"},
            "critic": net | {"is": "PlainCritic", "depth": 6},
        },
        "players": {"generator": player, "critic": player},
        "batch": BATCH,
        "average": 50_000,
        "seed": seed,
    }
    return build(described, Run)


def trial(
    name: str, objective: Spec, seed: int, points: int, latent: str = LATENT, tick: Tick = lambda what, share: None
) -> Trial:
    """Train once, and count."""
    run, data = plan(objective, seed, latent), MIXTURES[name](BATCH, seed)
    state = State(run, torch.device("cpu"))
    for event in train(state, run, data, until=Budget(images=points), looks=1):
        if isinstance(event, Progress):
            tick(f"{name}, seed {seed}", event.share)
    net = generator_of(state.averaged)
    with torch.no_grad():
        samples = net(net.latent.sample(2500, generator(seed, 0, "samples"))).flatten(1)
    modes, quality = modes_covered(samples * data.scale, data.centres, data.sigma)
    real = data.draw(100_000, generator(seed, 1, "real"))
    return Trial(modes, 100 * quality, data.spread(samples) / data.spread(real))


@proof
def mixtures(bench: Bench) -> Iterator[Row]:
    """The default objective finds 8 Gaussians on a ring and 25 on a grid; a game without penalties does not."""
    for name in ("ring",) if bench.quick else MIXTURES:
        points = bench.pick(120_000, POINTS[name])
        seeds = bench.seeds[:1] if bench.quick else bench.seeds
        yield from rows(bench, name, "default", DEFAULT, seeds, points, aims=not bench.quick)
        if not bench.quick:
            yield from rows(bench, name, "no penalty", CONTROL, seeds, points)


def cover(bench: Bench, game: str, points: int = 200_000) -> Iterator[Row]:
    """Modes and quality of a game with R1 and R2, on the ring and on the grid, one seed."""
    for name in MIXTURES:
        yield from rows(bench, name, game, DEFAULT | {"game": game}, bench.seeds[:1], points)


def rows(
    bench: Bench, name: str, title: str, objective: Spec, seeds: Sequence[int], points: int, aims: bool = False
) -> Iterator[Row]:
    """Modes, quality and spread of an objective on one mixture."""
    found = [trial(name, objective, seed, points, tick=bench.tick) for seed in seeds]
    row = partial(Row, protocol=f"{points // 1000}k points, batch {BATCH}, 2,500 samples within 3σ")
    modes, quality = PUBLISHED[name]
    most = float(len(MIXTURES[name](1, 0).centres))
    yield row(f"{title}, modes of the {name}", tuple(float(t.modes) for t in found), f"of {most:.0f}",
              most if aims else None, published=modes)  # fmt: skip
    yield row(f"{title}, high quality on the {name}", tuple(t.quality for t in found), "%",
              97.0 if aims else None, published=quality)  # fmt: skip
    yield row(f"{title}, spread on the {name}", tuple(t.spread for t in found), "of real")
