"""VAE-GAN beside the VAE and the GAN that it is made of: reconstructions and samples at equal images."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from limner.core.pixels import to_float
from limner.likeness import Likeness
from limner.metrics.base import Extractor, Features
from limner.metrics.frechet import FrechetDistance
from limner.metrics.weights import WeightsFile
from limner.proofs.autoencoder import pictures, psnr, through
from limner.proofs.base import Bench, Row, proof

LENET = "weights/mnist-lenet5.safetensors"
SYSTEMS = {
    "VAE": ("vae", ("generator", "encoder")),
    "GAN": ("light", ("generator", "critic")),
    "VAE-GAN": ("vaegan", ("generator", "encoder", "critic")),
}
"""Name → recipe and its roles. None is told labels; all are half as wide, so that several seeds fit into minutes."""


@proof
def vaegan(bench: Bench) -> Iterator[Row]:
    """Digits by all three systems: samples should be nearer than the VAE's, reconstructions still be the digit."""
    seeds = bench.seeds[: bench.pick(1, None)]
    count, n = bench.pick((4_000, 1_000), (24_000, 10_000))
    extract = WeightsFile(str(bench.shared / LENET))
    test = pictures(bench, "mnist", "test", n)
    real, size = extract(test), f"MNIST, width 16, no labels, {count:,} images"
    protocol = f"{size}, {n:,} test digits and samples, LeNet-5 features"
    distance: dict[str, tuple[float, ...]] = {}
    for name, (recipe, roles) in SYSTEMS.items():
        narrow = (*(f"{role}.{said}" for role in roles for said in ("classes=0", "width=16")), "keep=last")
        models = [bench.train("mnist", recipe, seed, count=count, assignments=narrow) for seed in seeds]
        distance[name] = tuple(FrechetDistance()(real, sampled(model, extract, n)) for model in models)
        yield Row(
            f"{name}: Fréchet distance of samples",
            distance[name],
            at_most=None if name != "VAE-GAN" or bench.quick else sum(distance["VAE"]) / len(seeds),
            published="none on MNIST (Larsen et al. 2016 judge faces by attributes)",
            protocol=protocol,
        )
        if name != "GAN":
            made = [through(model, test) for model in models]
            yield Row(f"{name}: reconstruction", tuple(psnr(m, test) for m in made), "dB", protocol=protocol)
            alike = [(extract(m) - real).square().sum(1).mean().item() for m in made]
            yield Row(f"{name}: squared distance of features, picture to reconstruction", tuple(alike))


def sampled(model: Likeness, extract: Extractor, n: int) -> Features:
    """Features of n samples of the prior."""
    return torch.cat([extract(to_float(model.sample(500, seed))) for seed in range(n // 500)])
