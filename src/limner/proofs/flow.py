"""Flows of pictures that follow a Gaussian, where the best velocity is known, and digits beside the default recipe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.optim import Adam
from limner.core.pixels import Image
from limner.core.rng import generator
from limner.core.schedule import Cosine
from limner.core.spec import build
from limner.data.batches import Batch
from limner.metrics.weights import WeightsFile
from limner.models.flow import FlowGenerator, Solver
from limner.objectives.base import Objective
from limner.objectives.flow import flow_of
from limner.proofs.base import Bench, Row, proof
from limner.proofs.scoring import distance, features
from limner.run import Player, Run
from limner.train import Budget, State, train

IMAGE = Image(1, 2, 3)
KINDS: dict[str, tuple[Solver, int]] = {"RectifiedFlow(0.0, 1.2)": ("heun", 16), "MeanFlow": ("average", 1)}
"""Solver and steps that each objective's network is drawn with. Six numbers are told from their noise less easily than
pictures are, so that little noise has to be seen more often."""
DRAWN = 20_000


@dataclass(frozen=True)
class Bell:
    """A Gaussian over vectors of numbers, float64."""

    mean: Float[Tensor, " d"]
    covariance: Float[Tensor, "d d"]

    def draw(self, n: int, seed: int) -> Float[Tensor, "n d"]:
        """n vectors in single precision."""
        noise = torch.randn(n, len(self.mean), generator=generator(seed, 0, "bell"), dtype=torch.float64)
        return (self.mean + noise @ torch.linalg.cholesky(self.covariance).T).float()

    def velocity(self, z: Float[Tensor, "n d"], t: Float[Tensor, " n"]) -> Float[Tensor, "n d"]:
        """E[noise - x | (1 - t) x + t noise = z] in closed form."""
        values, axes = torch.linalg.eigh(self.covariance)
        time = t.double()[:, None]
        inside = (z.double() - (1 - time) * self.mean) @ axes
        share = (time - (1 - time) * values) / ((1 - time) ** 2 * values + time**2)
        return ((share * inside) @ axes.T - self.mean).to(z.dtype)


@dataclass(frozen=True)
class Missed:
    """How far drawn vectors are from the Gaussian: of its mean's length and its covariance's norm, as shares."""

    mean: float
    covariance: float


@dataclass(frozen=True)
class Pictures:
    """Batches drawn from the Gaussian, a pure function of images seen."""

    law: Bell
    size: int
    seed: int

    def at(self, nimg: int, rows: slice | None = None) -> Batch:
        """The batch after nimg pictures."""
        x = self.law.draw(self.size, self.seed + 1_000_003 * (nimg + 1)).view(-1, 1, IMAGE.height, IMAGE.width)
        return Batch(x if rows is None else x[rows], None)


@proof
def flow(bench: Bench) -> Iterator[Row]:
    """Drawn pictures have mean and covariance of a planted Gaussian, in one step too; MNIST beside the default."""
    images = bench.pick(8_000, 200_000)
    for name, (solver, steps) in KINDS.items():
        missed = [trained(name, images, seed) for seed in bench.seeds]
        protocol = f"{images:,} vectors of 6 numbers, {DRAWN:,} drawn in {steps} step{'s' * (steps > 1)} ({solver})"
        most = bench.pick(0.5, 0.1)
        yield Row(f"{name}: error of the mean, a share of its length", tuple(m.mean for m in missed), at_most=most,
                  judged="worst", published="0 (exact)", protocol=protocol)  # fmt: skip
        yield Row(f"{name}: error of the covariance, a share of its norm", tuple(m.covariance for m in missed),
                  at_most=most, judged="worst", published="0 (exact)", protocol=protocol)  # fmt: skip
    if bench.quick:
        return
    extractor = WeightsFile(str(bench.shared / "weights" / "mnist-lenet5.safetensors"))
    real, count = features(extractor, bench.images("mnist", "test").pixels[:2_000]), 20_000
    for recipe in ("default", "flow", "meanflow"):
        models = [bench.train("mnist", recipe, seed, count=count) for seed in bench.seeds]
        apart = tuple(distance(model, real, extractor) for model in models)
        yield Row(f"{recipe}: 1000 × kernel distance to test digits", apart,
                  protocol=f"{count:,} digits seen; 2,000 samples, features of LeNet-5")  # fmt: skip


def bell(size: int, seed: int) -> Bell:
    """A Gaussian whose axes lie askew and whose deviations differ threefold."""
    rng = generator(seed, 0, "law")
    axes = torch.linalg.qr(torch.randn(size, size, generator=rng, dtype=torch.float64)).Q
    values = torch.linspace(0.25, 0.75, size, dtype=torch.float64) ** 2
    return Bell(torch.randn(size, generator=rng, dtype=torch.float64) / 4, (axes * values) @ axes.T)


def trained(name: str, images: int, seed: int) -> Missed:
    """What the house's loop makes of the Gaussian by an objective of this name, from so many vectors."""
    law, (solver, steps) = bell(IMAGE.size, seed), KINDS[name]
    net = FlowGenerator(IMAGE, width=32, blocks=1, patch=1, solver=solver, steps=steps)
    player = Player(Adam(Cosine(3e-3, 1e-5), beta2=0.99))
    run = Run(build(name, Objective), {"generator": net}, {"generator": player}, 128, 2_000, seed=seed)
    state = State(run, torch.device("cpu"))
    for _ in train(state, run, Pictures(law, run.batch, seed), until=Budget(images=images), looks=1):
        pass
    return missed(flow_of(state.averaged), law, seed)


@torch.no_grad()
def missed(net: FlowGenerator, law: Bell, seed: int) -> Missed:
    """Drawn pictures, not cut to [-1, 1], beside the law."""
    z = net.latent.sample(DRAWN, generator(seed, 0, "drawn")).view(-1, 1, IMAGE.height, IMAGE.width)
    x = net.carry(z, None, net.steps, net.solver).flatten(1).double()
    mean, covariance = x.mean(0) - law.mean, torch.cov(x.T) - law.covariance
    return Missed(float(mean.norm() / law.mean.norm()), float(covariance.norm() / law.covariance.norm()))
