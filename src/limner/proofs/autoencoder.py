"""Autoencoders beside PCA with as many numbers: the linear one must equal it, the others should beat it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from limner.core.latent import Gaussian
from limner.core.optim import Adam
from limner.core.pixels import Image, to_float
from limner.core.rng import generator
from limner.core.schedule import Cosine
from limner.likeness import Likeness
from limner.models.base import Model
from limner.models.linear import LinearEncoder, LinearGenerator
from limner.objectives.autoencoder import Autoencoder
from limner.objectives.base import encoder_of, generator_of
from limner.proofs.base import Bench, Row, proof
from limner.proofs.vae import Points, planted
from limner.run import Player, Run
from limner.train import Budget, State, train

SETS = {"mnist": 64, "fashion": 64, "cifar10": 128, "flowers": 128}
"""Data set → numbers in a code. Flowers are made 32 pixels wide."""
NOISE = 0.5
"""Standard deviation of the noise that the denoising autoencoder is to undo, in the [-1, 1] range."""


@proof
def autoencoder(bench: Bench) -> Iterator[Row]:
    """A linear autoencoder equals PCA; at equal images, reconstructions of four data sets; noise undone."""
    seeds = bench.seeds[: bench.pick(1, None)]
    excess = [linear(seed, bench.pick(100_000, 300_000)) for seed in seeds]
    yield Row(
        "linear autoencoder, squared error above PCA's",
        tuple(excess),
        "%",
        at_most=1.0,
        judged="worst",
        published="0 (Baldi & Hornik 1989, fact 4)",
        protocol="1,000 planted points of rank 4 in 36 dimensions, code of 4",
    )
    for name in bench.pick(("mnist",), tuple(SETS)):
        yield reconstructed(bench, name, seeds)
    yield denoised(bench, seeds)


def linear(seed: int, count: int) -> float:
    """By how many percent the error of a trained linear autoencoder is above PCA's."""
    x, image, rank = planted(seed), Image(1, 6, 6), 4
    nets: dict[str, Model] = {
        "encoder": LinearEncoder(image, Gaussian(rank)),
        "generator": LinearGenerator(image, Gaussian(rank), output="linear"),
    }
    players = {"autoencoder": Player(Adam(Cosine(1e-2, 1e-5)))}
    run = Run(Autoencoder(), nets, players, batch=100, average=5_000.0, seed=seed)
    state = State(run, torch.device("cpu"))
    for _ in train(state, run, Points(x, run.batch, seed), until=Budget(images=count), looks=1):
        pass
    encoder, made = encoder_of(state.averaged), generator_of(state.averaged)
    error = (made(encoder(x).mean) - x).square().mean().item()
    best = (PCA(x, rank)(x) - x).square().mean().item()
    return 100 * (error / best - 1)


class PCA:
    """The best linear code of `rank` numbers for given pictures."""

    def __init__(self, x: Tensor, rank: int) -> None:
        rows = x.flatten(1).double()
        self.mean = rows.mean(0)
        self.axes = torch.linalg.eigh(torch.cov(rows.T))[1][:, -rank:]

    def __call__(self, x: Tensor) -> Tensor:
        """Pictures made again from their codes."""
        centred = x.flatten(1).double() - self.mean
        return (centred @ self.axes @ self.axes.T + self.mean).float().view_as(x)


def pictures(bench: Bench, name: str, split: str, most: int) -> Tensor:
    """Evenly spaced pictures of a split, (n, c, h, w) in [-1, 1]."""
    images = bench.images(name, split, size=size(name))
    step = max(1, len(images) // most)
    return to_float(images.pixels[::step][:most].copy())


def size(name: str) -> tuple[int, int] | None:
    """What the pictures are resized to."""
    return (32, 32) if name == "flowers" else None


def reconstructed(bench: Bench, name: str, seeds: tuple[int, ...]) -> Row:
    """Test pictures through the `autoencoder` recipe, and through PCA."""
    count = bench.pick(8_000, 30_000)
    test = pictures(bench, name, "test", 2_000)
    pca = psnr(PCA(pictures(bench, name, "train", 10_000), SETS[name])(test), test)
    models = [bench.train(name, "autoencoder", seed, count=count, size=size(name)) for seed in seeds]
    return Row(
        f"{name}: test pictures from codes of {SETS[name]} numbers",
        tuple(psnr(through(model, test), test) for model in models),
        "dB",
        at_least=bench.pick(15.0, pca),
        published=f"{pca:.2f} dB (PCA with as many numbers, exact)",
        protocol=f"PSNR of the mean squared error, {count:,} images, {len(test):,} test pictures",
    )


def denoised(bench: Bench, seeds: tuple[int, ...]) -> Row:
    """Noisy test digits through the `denoising` recipe, and projected on the digits' principal axes."""
    count = bench.pick(8_000, 30_000)
    test = pictures(bench, "mnist", "test", 2_000)
    noisy = test + NOISE * torch.randn(test.shape, generator=generator(0, 0, "noise"))
    pca = psnr(PCA(pictures(bench, "mnist", "train", 10_000), SETS["mnist"])(noisy).clamp(-1, 1), test)
    models = [bench.train("mnist", "denoising", seed, count=count) for seed in seeds]
    raw = psnr(noisy.clamp(-1, 1), test)
    return Row(
        f"mnist: noise of {NOISE} undone",
        tuple(psnr(through(model, noisy), test) for model in models),
        "dB",
        at_least=bench.pick(raw, pca),
        published=f"{raw:.2f} dB as given, {pca:.2f} dB on 64 principal axes",
        protocol=f"PSNR, {count:,} images, {len(test):,} test digits",
    )


@torch.no_grad()
def through(model: Likeness, x: Tensor) -> Tensor:
    """Pictures made again by a model."""
    assert model.encoder is not None
    return torch.cat([model.generator(model.encoder(part).mean) for part in x.split(500)])


def psnr(made: Tensor, x: Tensor) -> float:
    """Peak signal to noise in dB, of the mean squared error over all pictures, in the range [-1, 1]."""
    return 10 * math.log10(4 / (made - x).square().mean().item())
