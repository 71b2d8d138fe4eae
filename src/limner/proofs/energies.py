"""GANs whose critic is an energy: the value of EBGAN's game, and BEGAN's measure of convergence."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch.nn.functional import relu

from limner.metrics.features import RandomFeatures
from limner.metrics.weights import WeightsFile
from limner.objectives.ebgan import EnergyMargin
from limner.objectives.gan import GAN
from limner.proofs.base import Bench, Row, proof
from limner.proofs.following import follow
from limner.proofs.known import best_critic, judged
from limner.proofs.wasserstein import normal

MARGIN, STD = 0.1, 0.2
PLAYER = {"is": "Player", "optimizer": "Adam(lr=Cosine(0.002, 0.00002), beta1=0.5, beta2=0.99)"}
NET = {"is": "AutoencoderCritic", "width": 32, "code": 32}


@proof
def ebgan(bench: Bench) -> Iterator[Row]:
    """The best critic's value is margin · (1 - total variation), and the margin itself at the equilibrium."""
    for gap in bench.pick((0.4,), (0.0, 0.2, 0.4)):
        bench.tick(f"EBGAN's critic, gap {gap}", gap)
        variation = math.erf(gap / STD / 2 / math.sqrt(2))
        exact = MARGIN * (1 - variation)
        seeds = bench.seeds[:1] if bench.quick else bench.seeds
        values = tuple(100 * game_value(bench, gap, seed) / exact for seed in seeds)
        yield Row(f"EBGAN, best value of the critic's game, gap {gap}", values, "%",
                  at_least=99.9, at_most=bench.pick(110.0, 105.0),
                  published=f"m(1 - TV) = {exact:.4f} (Zhao et al. 2017, theorem 1 and lemma 1)",
                  protocol=f"N(±gap/2, {STD}²), m {MARGIN}, autoencoder critic, integrated exactly")  # fmt: skip


def game_value(bench: Bench, gap: float, seed: int) -> float:
    """E_P D + E_Q [m - D]₊ of a trained critic between two Gaussians `gap` apart."""
    points = bench.pick(400_000, 600_000)
    p, q = normal(-gap / 2, STD), normal(gap / 2, STD)
    critic = best_critic(GAN(EnergyMargin(MARGIN), ()), p, q, seed=seed, points=points, player=PLAYER, net=NET)
    u = (torch.arange(20_000) + 0.5) / 20_000
    return float((-judged(critic, p(u))).mean() + relu(MARGIN + judged(critic, q(u))).mean())


@proof
def began(bench: Bench) -> Iterator[Row]:
    """BEGAN's measure of convergence against the Fréchet distance: rank correlation over one run's checkpoints."""
    data, count, every = bench.pick(("digits", 2_560, 256), ("mnist", 7_680, 512))
    images = bench.images(data)
    extractor = RandomFeatures() if bench.quick else WeightsFile(str(bench.shared / "weights/mnist-lenet5.safetensors"))
    found: list[float] = []
    falls: list[float] = []
    for seed in bench.seeds[:1] if bench.quick else bench.seeds:
        marks = []
        for mark in follow(images, "began", seed, count=count, every=every, extractor=extractor):
            bench.tick(f"BEGAN on {data}, seed {seed}", mark.nimg / count)
            marks.append(mark)
        found.append(rank_correlation([m.losses["critic/measure"] for m in marks], [m.distance for m in marks]))
        falls.append(marks[-1].distance / marks[0].distance)
    protocol = f"{data}, {count:,} images, a checkpoint every {every:,}, {extractor.name} features of 1,000 samples"
    yield Row("BEGAN, rank correlation of the measure with the Fréchet distance", tuple(found), "",
              at_least=0.7, published="correlates with fidelity (Berthelot et al. 2017, figure 5)",
              protocol=protocol)  # fmt: skip
    yield Row("BEGAN, Fréchet distance at the end over that at the start", tuple(falls), "",
              at_most=bench.pick(0.9, 0.5), protocol=protocol)  # fmt: skip


def rank_correlation(a: list[float], b: list[float]) -> float:
    """Spearman's: the correlation of ranks, 1 where both rise together."""
    ranks = torch.tensor([a, b], dtype=torch.float64).argsort(1).argsort(1).double()
    return float(torch.corrcoef(ranks)[0, 1])
