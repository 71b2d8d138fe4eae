"""Adversarial autoencoder: reconstructions, and codes that are spread like the prior."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.latent import Gaussian, Latent, Uniform
from limner.core.optim import Adam
from limner.core.pixels import Image
from limner.core.rng import generator
from limner.core.schedule import Cosine
from limner.data.batches import Batches
from limner.data.images import Images
from limner.models.base import Encoder
from limner.models.joint import PlainCodeCritic
from limner.models.plain import PlainEncoder, PlainGenerator
from limner.objectives.aae import AAE
from limner.proofs.base import Bench, Row, proof
from limner.proofs.encoding import codes, reconstruction_error, sample_distance
from limner.run import Player, Run
from limner.train import Budget, State, train

IMAGES = 120_000
PRIORS: dict[str, Latent] = {"Gaussian": Gaussian(2), "cube": Uniform(2)}


@proof
def aae(bench: Bench) -> Iterator[Row]:
    """Codes of planted pictures against two priors, then MNIST: reconstruction, spread of the codes, samples.

    The planted pictures are a smooth surface: 3×3 grey, from two uniform numbers. Spread is judged by the energy
    distance of codes to fresh codes of the prior, as a share of what untrained codes have; 0 is equal.
    """
    for name, latent in PRIORS.items():
        seeds = bench.seeds[:1] if bench.quick else bench.seeds
        shares = tuple(planted(latent, seed, bench.pick(60_000, 250_000)) for seed in seeds)
        yield Row(f"planted surface, {name} prior", shares, "of the untrained energy distance", at_most=0.05)
    if bench.quick:
        return
    test = bench.images("mnist", "test")
    found: list[tuple[float, float, float, float]] = []
    for seed in bench.seeds:
        model = bench.train("mnist", "aae", seed, count=IMAGES)
        z = codes(model, test)
        gap = max(marginal_gap(column) for column in z.T)
        squares = float(z.square().sum(1).mean()) / z.shape[1]
        found.append((reconstruction_error(model, test), gap, squares, sample_distance(model, test)))
    error, gap, squares, distance = (tuple(column) for column in zip(*found, strict=True))
    protocol = f"MNIST, {IMAGES:,} images seen, 10,000 test pictures"
    yield Row("reconstruction", error, "squared error", protocol=protocol + ", [-1, 1]")
    yield Row("largest marginal gap of the codes", gap, "Kolmogorov–Smirnov", at_most=0.1, protocol=protocol)
    yield Row("mean square of the codes", squares, "", 0.9, 1.1, published="1 for the prior", protocol=protocol)
    yield Row("samples", distance, "kernel distance × 1000", protocol="1,000 against 1,000 test pictures")


def planted(latent: Latent, seed: int, count: int) -> float:
    """The energy distance of a trained encoder's codes to the prior, over that of the untrained one."""
    images = surface(seed)
    image = images.image
    nets = {
        "generator": PlainGenerator(image, latent, width=64, depth=2),
        "encoder": PlainEncoder(image, latent, width=64, depth=2),
        "critic": PlainCodeCritic(latent, width=64),
    }
    player = Player(Adam(Cosine(2e-3, 1e-4), beta1=0.5))
    run = Run(AAE(), dict(nets.items()), dict.fromkeys(AAE.players, player), batch=100, seed=seed)
    state = State(run, torch.device("cpu"))
    before = spread(state, images, latent)
    for _ in train(state, run, Batches(images, run.batch, seed), until=Budget(images=count)):
        pass
    return spread(state, images, latent) / before


def surface(seed: int, n: int = 20_000) -> Images:
    """3×3 grey pictures that follow smoothly from two uniform numbers."""
    rng = np.random.default_rng([seed, 1])
    pixels = np.tanh(rng.uniform(-1, 1, (n, 2)) @ rng.normal(size=(2, 9)))
    return Images(np.rint(127.5 + 127.5 * pixels).astype(np.uint8).reshape(n, 3, 3, 1), None, (), f"surface-{seed}", "")


@torch.no_grad()
def spread(state: State, images: Images, latent: Latent, n: int = 2000) -> float:
    """Energy distance of codes of pictures to codes of the prior."""
    encoder = state.averaged["encoder"]
    assert isinstance(encoder, Encoder) and images.image == Image(1, 3, 3)
    x = torch.from_numpy(images.pixels[:n]).permute(0, 3, 1, 2).float() / 127.5 - 1
    return energy_distance(encoder(x).mean, latent.sample(n, generator(7, 0, "prior")))


def energy_distance(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> float:
    """2 E‖a − b‖ − E‖a − a'‖ − E‖b − b'‖ over different rows: 0 on average where both are alike (Székely 2013)."""
    within = (torch.cdist(s, s).sum() / (len(s) * (len(s) - 1)) for s in (a, b))
    return float(2 * torch.cdist(a, b).mean() - sum(within))


def marginal_gap(column: Float[Tensor, " n"]) -> float:
    """The largest distance of a column's distribution function from the standard normal one."""
    n, normal = len(column), torch.special.ndtr(column.double().sort().values)
    steps = torch.arange(n, dtype=torch.float64) / n
    return max(float((normal - steps).max()), float((steps + 1 / n - normal).max()), math.ulp(0.0))
