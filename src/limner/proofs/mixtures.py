"""Modes covered on the 8-Gaussian ring and the 25-Gaussian grid, the default objective beside a control.

Protocol of VEEGAN (Srivastava et al. 2017) and PacGAN (Lin et al. 2018): of 2,500 samples, one is of high quality
within 3σ of a centre; a mode counts with one such sample.

The mixtures are disconnected, and a continuous generator on a connected prior must bridge their modes (Khayatkhoei
et al. 2018), so the code is many categories beside two Gaussian numbers. The protocol does not see it when samples
sit too close to the centres; the spread does. Of each training the best look is kept, by the precision of samples
among held-out points, which knows nothing of modes; coverage would pick a truer spread and fewer samples within 3σ.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from limner.core.events import Look, Progress
from limner.core.rng import generator
from limner.core.spec import Spec, build
from limner.metrics.modes import modes_covered
from limner.metrics.neighbours import Precision
from limner.models.base import Generator
from limner.objectives.base import generator_of
from limner.proofs.base import Bench, Row, proof
from limner.proofs.known import Points
from limner.run import Run
from limner.train import Budget, State, train

LATENT = "Mixed([Categorical(1024, 32.0), Gaussian(2)])"
PLAIN = "Gaussian(2)"
"""The connected code that the control begins from, as in the textbook."""
GAMMA = "Geometric(0.02, 0.0004, 0.0, 0.8)"
BATCH = 256
LOOKS = 40
"""Moments at which the held-out score is taken."""
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
    player = {"is": "Player", "optimizer": "Adam(lr=Cosine(0.002, 0.00001, 0.3), beta1=0.0, beta2=0.99)"}
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
    """Train once, keep the best of some looks by precision among held-out points, and count."""
    run, data = plan(objective, seed, latent), MIXTURES[name](BATCH, seed)
    return follow(run, data, points, LOOKS, partial(tick, f"{name}, seed {seed}"))


def follow(
    run: Run, data: Mixture, points: int, looks: int = LOOKS, tick: Callable[[float], None] = lambda share: None
) -> Trial:
    """Any training on a mixture, the best of its looks kept and counted as in `trial`."""
    state, best, kept, seed = State(run, torch.device("cpu")), -1.0, None, run.seed
    held_out, score = data.draw(2500, generator(seed, 0, "held out")), Precision(k=3)
    for event in train(state, run, data, until=Budget(images=points), looks=looks):
        if isinstance(event, Progress):
            tick(event.share)
        if isinstance(event, Look):
            net = generator_of(state.averaged)
            if (now := score(held_out, drawn(net, seed, "look"))) >= best:
                best, kept = now, copy.deepcopy(net)
    assert kept is not None, "training ends with a look"
    samples = drawn(kept, seed, "samples")
    modes, quality = modes_covered(samples * data.scale, data.centres, data.sigma)
    real = data.draw(100_000, generator(seed, 1, "real"))
    return Trial(modes, 100 * quality, data.spread(samples) / data.spread(real))


@torch.no_grad()
def drawn(net: Generator, seed: int, purpose: str) -> Tensor:
    """(2500, 2) samples."""
    return net(net.latent.sample(2500, generator(seed, 0, purpose))).flatten(1)


@proof
def mixtures(bench: Bench) -> Iterator[Row]:
    """The default objective finds 8 Gaussians on a ring and 25 on a grid, beside a game without penalties."""
    for name in ("ring",) if bench.quick else MIXTURES:
        points = bench.pick(120_000, POINTS[name])
        seeds = bench.seeds[:1] if bench.quick else bench.seeds
        yield from rows(bench, name, "light", DEFAULT, seeds, points, aims=not bench.quick)
        if not bench.quick:
            for code, latent in {"": LATENT, ", Gaussian code": PLAIN}.items():
                yield from rows(bench, name, f"no penalty{code}", CONTROL, seeds, points, latent=latent)


def cover(bench: Bench, game: str, points: int = 200_000) -> Iterator[Row]:
    """Modes and quality of a game with R1 and R2, on the ring and on the grid, one seed."""
    for name in MIXTURES:
        yield from rows(bench, name, game, DEFAULT | {"game": game}, bench.seeds[:1], points)


def rows(
    bench: Bench,
    name: str,
    title: str,
    objective: Spec,
    seeds: Sequence[int],
    points: int,
    *,
    latent: str = LATENT,
    aims: bool = False,
) -> Iterator[Row]:
    """Modes, quality and spread of an objective on one mixture."""
    found = [trial(name, objective, seed, points, latent, bench.tick) for seed in seeds]
    row = partial(Row, protocol=f"{points // 1000}k points, batch {BATCH}, best of {LOOKS} looks")
    modes, quality = PUBLISHED[name]
    most = float(len(MIXTURES[name](1, 0).centres))
    yield row(f"{title}, modes of the {name}", tuple(float(t.modes) for t in found), f"of {most:.0f}",
              most if aims else None, published=modes)  # fmt: skip
    yield row(f"{title}, high quality on the {name}", tuple(t.quality for t in found), "%",
              97.0 if aims else None, published=quality)  # fmt: skip
    yield row(f"{title}, spread on the {name}", tuple(t.spread for t in found), "of real")
