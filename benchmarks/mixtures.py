"""Modes covered on the 8-Gaussian ring and the 25-Gaussian grid, the default objective beside controls.

    python benchmarks/mixtures.py                    both mixtures, 10 seeds (about 45 minutes on one core)
    python benchmarks/mixtures.py ring --seeds 2     one of them, fewer seeds

Protocol of VEEGAN (Srivastava et al. 2017) and PacGAN (Lin et al. 2018): 2,500 samples; one is of high quality
within 3σ of a centre; a mode counts with one such sample. Published: PacGAN2 7.9 modes, 95.6 % (ring) and
24.8 modes, 93.6 % (grid).

The mixtures are disconnected, and a continuous generator on a connected prior must bridge their modes (Khayatkhoei
et al. 2018), so the code is 64 categories beside 2 Gaussian numbers. `--latent "Gaussian(4)"` shows the difference.
The protocol does not see it when samples sit too close to the centres; the column `spread` does: root mean square
distance of high-quality samples from their centre, over that of real ones.
"""

from __future__ import annotations

import argparse
import math
import platform
import sys
import time
from dataclasses import dataclass
from statistics import mean, stdev
from typing import NamedTuple

import torch
from torch import Tensor

from limner.core.rng import generator
from limner.core.spec import build
from limner.metrics.modes import modes_covered
from limner.train import Budget, Run, State, train


@dataclass(frozen=True)
class Mixture:
    """Equal Gaussians in the plane, served as images of 2 channels and one pixel, at unit root mean square.

    The measure of quality counts in σ, so the scale of the plane does not matter to it.
    """

    centres: Tensor
    sigma: float
    batch: int
    seed: int = 0
    label = None

    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        """(n, 2) points."""
        which = torch.randint(len(self.centres), (n,), generator=rng)
        return (self.centres[which] + self.sigma * torch.randn(n, 2, generator=rng)) / self.scale

    @property
    def scale(self) -> float:
        """Root mean square of the centres."""
        return float(self.centres.square().mean().sqrt())

    def at(self, nimg: int, rows: slice | None = None) -> Points:
        """The batch after nimg points."""
        return Points(self.draw(self.batch, generator(self.seed, nimg, "points"))[rows or slice(None), :, None, None])


@dataclass(frozen=True)
class Points:
    """A batch without labels."""

    x: Tensor
    label: None = None


def ring(batch: int, seed: int) -> Mixture:
    """8 Gaussians on the unit circle, σ 0.01."""
    angle = torch.arange(8) * (2 * math.pi / 8)
    return Mixture(torch.stack([angle.cos(), angle.sin()], 1), 0.01, batch, seed)


def grid(batch: int, seed: int) -> Mixture:
    """25 Gaussians on -4, -2, 0, 2, 4 squared, σ 0.05."""
    line = torch.arange(-4.0, 5.0, 2.0)
    return Mixture(torch.cartesian_prod(line, line), 0.05, batch, seed)


MIXTURES = {"ring": ring, "grid": grid}

GAMMA = "Geometric(0.02, 0.0002)"
LATENT = "Mixed([Categorical(64, 8.0), Gaussian(2)])"
OBJECTIVES: dict[str, dict[str, object]] = {
    "default: Relativistic + R1 + R2": {"is": "GAN", "penalties": [f"R1({GAMMA})", f"R2({GAMMA})"]},
    "control: NonSaturating, no penalty": {"is": "GAN", "game": "NonSaturating", "penalties": []},
}


def plan(objective: dict[str, object], latent: str, batch: int, seed: int) -> Run:
    """Networks and optimizers that all objectives share."""
    image = {"is": "Image", "channels": 2, "height": 1, "width": 1}
    player = {"is": "Player", "optimizer": "Adam(lr=Cosine(0.002, 0.00001, 0.4), beta1=0.0, beta2=0.99)"}
    net = {"image": image, "width": 96}
    return build(
        {
            "is": "Run",
            "objective": objective,
            "nets": {
                "generator": net | {"is": "PlainGenerator", "latent": latent, "depth": 7, "output": "linear"},
                "critic": net | {"is": "PlainCritic", "depth": 6},
            },
            "players": {"generator": player, "critic": player},
            "batch": batch,
            "average": 50_000,
            "seed": seed,
        },
        Run,
    )


class Trial(NamedTuple):
    """What came of one training."""

    modes: int
    quality: float
    """Percent of 2,500 samples within 3σ of a centre."""
    spread: float
    """Of those, the distance from their centre (root mean square), over that of real ones."""


def trial(mixture: str, objective: str, seed: int, images: int, batch: int, latent: str) -> Trial:
    """Train once, and count."""
    data = MIXTURES[mixture](batch, seed)
    run = plan(OBJECTIVES[objective], latent, batch, seed)
    state = State(run, torch.device("cpu"))
    for _ in train(state, run, data, until=Budget(images=images), looks=1):
        pass
    net = state.averaged["generator"]
    with torch.no_grad():
        points = net(net.latent.sample(2500, generator(seed, 0, "samples"))).flatten(1) * data.scale
    modes, quality = modes_covered(points, data.centres, data.sigma)
    real = data.draw(100_000, generator(seed, 1, "real")) * data.scale
    return Trial(modes, 100 * quality, spread(points, data) / spread(real, data))


def spread(points: Tensor, data: Mixture) -> float:
    """Root mean square distance from the nearest centre, of points within 3σ of one; not a number where none is."""
    distance = torch.cdist(points, data.centres).min(1).values
    return float(distance[distance <= 3 * data.sigma].square().mean().sqrt())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mixtures", nargs="*", default=list(MIXTURES), metavar="ring|grid")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=10, help="first seed; the settings were chosen on others")
    parser.add_argument("--images", type=int, default=2_400_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--latent", default=LATENT)
    given = parser.parse_args()
    torch.set_num_threads(1)
    machine = f"{platform.machine()}, one core, torch {torch.__version__}"
    print(f"{machine}, {time.strftime('%Y-%m-%d')}, {given.seeds} seeds")
    print(f"{given.images:,} points, batch {given.batch}, code {given.latent}", flush=True)
    for mixture in given.mixtures:
        for objective in OBJECTIVES:
            start, done = time.process_time(), list[Trial]()
            for seed in range(given.first, given.first + given.seeds):
                done.append(trial(mixture, objective, seed, given.images, given.batch, given.latent))
                print(f"  {mixture} {objective} seed {seed}: {done[-1]}", file=sys.stderr, flush=True)
            quality = [t.quality for t in done]
            modes, seconds = [t.modes for t in done], (time.process_time() - start) / given.seeds
            print(
                f"{mixture:5} {objective:36} modes {mean(modes):5.2f} (min {min(modes)})  "
                f"high quality {mean(quality):5.1f} % ± {stdev(quality) if len(done) > 1 else 0:.1f}  "
                f"spread {mean(t.spread for t in done):.2f}  {seconds:.0f} s a seed",
                flush=True,
            )


if __name__ == "__main__":
    main()
