"""A run on real images, scored as it goes: the Fréchet distance every so many images, and CPU seconds of training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch

from limner.core.events import Progress
from limner.core.pixels import to_float
from limner.core.rng import generator
from limner.core.spec import build
from limner.data.batches import Batches
from limner.data.images import Images
from limner.metrics.base import Extractor
from limner.metrics.frechet import FrechetDistance
from limner.objectives.base import generator_of
from limner.recipes.base import Facts, plan
from limner.run import Run
from limner.train import Budget, State, train


@dataclass(frozen=True)
class Mark:
    """Where a run is: images seen, CPU seconds, Fréchet distance, means of the losses since the last mark."""

    nimg: int
    seconds: float
    distance: float
    losses: dict[str, float]


def follow(
    images: Images,
    recipe: str,
    seed: int,
    *,
    count: int,
    every: int,
    extractor: Extractor,
    assignments: tuple[str, ...] = (),
    n: int = 1000,
) -> Iterator[Mark]:
    """Train as `limner train` does, labels included, and yield a mark after each `every` images."""
    classes = len(images.names) if images.told is not None else 0
    run = build(plan(recipe, Facts(images.image, len(images), classes, "cpu", seed), assignments), Run)
    state = State(run, torch.device("cpu"))
    chosen = np.random.default_rng(0).permutation(len(images))[:n]
    real = extractor(to_float(np.ascontiguousarray(images.pixels[np.sort(chosen)]), "cpu"))
    seconds, start, since = 0.0, time.process_time(), list[dict[str, float]]()
    for event in train(state, run, Batches(images, run.batch, seed), until=Budget(images=count), looks=1):
        if not isinstance(event, Progress):
            continue
        since.append(event.losses)
        if event.nimg // every > (event.nimg - run.batch) // every:
            seconds += time.process_time() - start
            means = {name: fmean(losses[name] for losses in since) for name in event.losses}
            yield Mark(event.nimg, seconds, FrechetDistance()(real, features(state, extractor, n)), means)
            start, since = time.process_time(), []


@torch.no_grad()
def features(state: State, extractor: Extractor, n: int) -> torch.Tensor:
    """Features of n samples of the averaged generator, of the same codes and every label in turn each time."""
    net = generator_of(state.averaged)
    z = net.latent.sample(n, generator(0, 0, "follow"))
    label = torch.arange(n) % net.classes if net.classes else None
    parts = (net(z[i : i + 250], None if label is None else label[i : i + 250]) for i in range(0, n, 250))
    return torch.cat([extractor(part) for part in parts])
