"""Sparse autoencoder inside the GAN: samples beside the same GAN without it, and what the codes are good for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from limner.core.pixels import to_bytes, to_float
from limner.core.rng import generator as random
from limner.core.spec import build
from limner.data.batches import Batches
from limner.data.images import Images
from limner.metrics.base import Extractor, Metric
from limner.models.base import Generator
from limner.models.sparse import SparseEncoder, activity
from limner.proofs.base import Bench, Row, proof
from limner.proofs.sparse import classes, codes, pixels, probe
from limner.recipes.base import Facts, plan
from limner.run import Run
from limner.train import Budget, State, train

LENET = "weights/mnist-lenet5.safetensors"
SMALL = ("generator.width=16", "critic.width=16", "average=5000")
"""Networks half as wide, so that several seeds of each fit into minutes."""
NARROW = ("encoder.trunk.width=16",)
EIGHT = ("generator.latent=Sparse(512, 8)", "encoder.latent=Sparse(512, 8)", "encoder.sparsity=TopK(8)")
SGD = ("players.critic.optimizer=SGD(0.05, momentum=0.9)",)
ARMS: dict[str, tuple[str, tuple[str, ...], float]] = {
    "GAN, as many images": ("light", (), 1.0),
    "sparse GAN": ("sparsegan", NARROW, 1.0),
    "GAN, as many seconds": ("light", (), 1.5),
    "sparse GAN, 8 active": ("sparsegan", (*NARROW, *EIGHT), 1.0),
    "sparse GAN, SGD critic": ("sparsegan", (*NARROW, *SGD), 1.0),
}
"""Name → recipe, what is changed in it, and how many times the images; 1.5 times take a plain GAN as long."""


@dataclass(frozen=True)
class Trained:
    """One training: its end, and the sample distance on the way there, by images."""

    state: State
    distances: dict[int, float]
    seconds: float


@proof
def sparsegan(bench: Bench) -> Iterator[Row]:
    """Sample distance of GANs with and without the sparse encoder at equal images, and the encoder's worth."""
    known, asked = bench.images("digits"), bench.images("digits", "test")
    planned, arms = bench.pick((3_000, list(ARMS)[:2]), (48_000, list(ARMS)))
    judge = Judge(bench, asked)
    for name in arms:
        count = round(planned * ARMS[name][2])
        seen = [learn(bench, known, seed, count, name, judge) for seed in bench.seeds]
        seconds = sum(t.seconds for t in seen) / len(seen)
        protocol = f"digits, width 16, {count:,} images, {seconds:.0f} CPU seconds, {judge.what}"
        for nimg in seen[0].distances:
            after = tuple(t.distances[nimg] for t in seen)
            yield Row(f"{name}: sample distance after {nimg:,} images", after, protocol=protocol)
        if "encoder" in seen[0].state.averaged:
            yield from worth(name, seen, known, asked)


def worth(name: str, seen: list[Trained], known: Images, asked: Images) -> Iterator[Row]:
    """Reconstruction, L0, dead codes and probe of the encoder."""
    found = [activity(encoder_of(t.state), generator_of(t.state), pixels(asked), told(t.state, asked)) for t in seen]
    protocol = f"{found[0].images:,} held-out images"
    yield Row(f"{name}: variance explained", tuple(100 * a.explained for a in found), "%", protocol=protocol)
    yield Row(f"{name}: L0", tuple(a.active for a in found), protocol=protocol)
    yield Row(f"{name}: dead codes", tuple(100 * a.dead for a in found), "%", protocol=f"window: {protocol}")
    errors = [probe(codes(t.state, known), classes(known), codes(t.state, asked), classes(asked)) for t in seen]
    yield Row(f"{name}: logistic regression on codes", tuple(errors), "%", protocol="digits, test error")


class Judge:
    """The sample distance: Fréchet on LeNet-5's features where they are there, else on random ones."""

    def __init__(self, bench: Bench, real: Images) -> None:
        path = bench.shared / LENET
        given = {"is": "WeightsFile", "path": str(path)} if path.exists() else "RandomFeatures"
        self._extract, self._distance = build(given, Extractor), build("FrechetDistance", Metric)
        self._real = self._extract(pixels(real))
        self.what = f"Fréchet on {'LeNet-5' if path.exists() else 'random'} features, {len(real):,} images of each"
        self._n = len(real)

    @torch.no_grad()
    def __call__(self, state: State) -> float:
        """Of the averaged generator's samples, rounded to 8 bits."""
        net = generator_of(state)
        z = net.latent.sample(self._n, random(0, 0, "judge"))
        label = torch.arange(self._n) % net.classes if net.classes else None
        parts = [net(z[i : i + 250], None if label is None else label[i : i + 250]) for i in range(0, self._n, 250)]
        fake = to_float(to_bytes(torch.cat(parts)))
        return self._distance(self._real, self._extract(fake))


def learn(bench: Bench, images: Images, seed: int, count: int, name: str, judge: Judge) -> Trained:
    """One arm, without labels, judged at a quarter, a half and the whole of its images."""
    recipe, changes, _ = ARMS[name]
    run = build(plan(recipe, Facts(images.image, 60_000, 0, "cpu", seed), (*SMALL, *changes)), Run)
    state, distances, seconds = State(run, torch.device("cpu")), dict[int, float](), 0.0
    batches, marks = Batches(images, run.batch, seed), [count // 4, count // 2, count]
    begun = time.process_time()
    for event in train(state, run, batches, until=Budget(images=count), looks=1):
        if (share := getattr(event, "share", None)) is not None:
            bench.tick(f"{name}, seed {seed}", share)
        if marks and state.nimg >= marks[0]:
            seconds += time.process_time() - begun
            distances[marks.pop(0)] = judge(state)
            begun = time.process_time()
    return Trained(state, distances, seconds)


def generator_of(state: State) -> Generator:
    """The averaged generator."""
    net = state.averaged["generator"]
    assert isinstance(net, Generator)
    return net


def encoder_of(state: State) -> SparseEncoder:
    """The averaged encoder."""
    net = state.averaged["encoder"]
    assert isinstance(net, SparseEncoder)
    return net


def told(state: State, images: Images) -> Tensor | None:
    """Labels for a network that is told them."""
    return classes(images) if generator_of(state).classes else None
