"""Modes covered on the 8-Gaussian ring and the 25-Gaussian grid, the default objective beside controls.

    python benchmarks/mixtures.py                    both mixtures, 10 seeds (about 30 minutes on one core)
    python benchmarks/mixtures.py ring --seeds 2     one of them, fewer seeds

Protocol of VEEGAN (Srivastava et al. 2017) and PacGAN (Lin et al. 2018): 2,500 samples; one is of high quality
within 3σ of a centre; a mode counts with one such sample. Published: PacGAN2 7.9 modes, 95.6 % (ring) and
24.8 modes, 93.6 % (grid).
"""

from __future__ import annotations

import argparse
import math
import platform
import time
from dataclasses import dataclass
from statistics import mean, stdev

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

GAMMA = "Ramp(0.02, 0.0005, 0.0, 0.6)"
OBJECTIVES: dict[str, dict[str, object]] = {
    "default: Relativistic + R1 + R2": {"is": "GAN", "penalties": [f"R1({GAMMA})", f"R2({GAMMA})"]},
    "control: NonSaturating, no penalty": {"is": "GAN", "game": "NonSaturating", "penalties": []},
}


def plan(objective: dict[str, object], batch: int, seed: int) -> Run:
    """Networks and optimizers that all objectives share."""
    image = {"is": "Image", "channels": 2, "height": 1, "width": 1}
    player = {"is": "Player", "optimizer": "Adam(lr=Cosine(0.001, 0.00001, 0.4), beta1=0.0, beta2=0.99)"}
    net = {"image": image, "width": 96}
    return build(
        {
            "is": "Run",
            "objective": objective,
            "nets": {
                "generator": net | {"is": "PlainGenerator", "latent": "Gaussian(2)", "depth": 7, "output": "linear"},
                "critic": net | {"is": "PlainCritic", "depth": 6},
            },
            "players": {"generator": player, "critic": player},
            "batch": batch,
            "average": 50_000,
            "seed": seed,
        },
        Run,
    )


def trial(mixture: str, objective: str, seed: int, images: int, batch: int) -> tuple[int, float]:
    """Train once; modes covered and the share of high quality among 2,500 samples."""
    data = MIXTURES[mixture](batch, seed)
    run = plan(OBJECTIVES[objective], batch, seed)
    state = State(run, torch.device("cpu"))
    for _ in train(state, run, data, until=Budget(images=images), looks=1):
        pass
    net = state.averaged["generator"]
    with torch.no_grad():
        points = net(net.latent.sample(2500, generator(seed, 0, "samples"))).flatten(1)
    return modes_covered(points * data.scale, data.centres, data.sigma)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mixtures", nargs="*", default=list(MIXTURES), metavar="ring|grid")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--images", type=int, default=800_000)
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}, {options.seeds} seeds")
    for mixture in options.mixtures:
        for objective in OBJECTIVES:
            start = time.monotonic()
            given = options.images, options.batch
            results = [trial(mixture, objective, seed, *given) for seed in range(options.seeds)]
            modes, quality = [m for m, _ in results], [100 * q for _, q in results]
            spread = stdev(quality) if len(quality) > 1 else 0.0
            print(
                f"{mixture:5} {objective:36} modes {mean(modes):5.2f} (min {min(modes)})  "
                f"high quality {mean(quality):5.1f} % ± {spread:.1f}  "
                f"{(time.monotonic() - start) / options.seeds:.0f} s a seed",
                flush=True,
            )


if __name__ == "__main__":
    main()
