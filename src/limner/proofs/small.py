"""The small-data family: held-out distance with and without its parts, and whether it learns pictures by heart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from limner.core.moment import Moment
from limner.core.pixels import Image, to_float
from limner.models.small import SmallCritic
from limner.objectives.base import Scene
from limner.objectives.rebuilding import SelfReconstruction
from limner.proofs.base import Bench, Row, proof
from limner.proofs.scoring import distance, features, nearest, photographs

SIZE = (32, 32)
ARRANGEMENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "small": ("small", ()),
    "small without DiffAugment": ("small", ("augment=none",)),
    "small without rebuilding": ("small", ("objective.penalties=[R1, R2]", "critic=LightCritic")),
}


@proof
def small(bench: Bench) -> Iterator[Row]:
    """100 and 1,000 flowers at 32 px: distance to the test split, with and without augmentation; copies of pictures.

    A sample's distance to the nearest training picture, over that to the nearest of as many pictures that were not
    trained on, is 1 on average for a model that knows no picture by heart, and near 0 for one that copies.
    """
    seeds = bench.seeds[:1] if bench.quick else bench.seeds
    yield Row("a rebuilt picture's error, over a grey picture's", tuple(_rebuilt(bench, s) for s in seeds), at_most=0.9,
              judged="worst", protocol="critic trained to rebuild 64 digits, 60 steps")  # fmt: skip
    if bench.quick:
        return
    test, extractor = bench.images("flowers", "test", SIZE), photographs(bench)
    real = features(extractor, test.pixels)
    for count, seen in ((100, 6_400), (1000, 6_400)):
        path, given, others = _subset(bench, count)
        known, unknown = features(extractor, given), features(extractor, others)
        for name, (recipe, assignments) in ARRANGEMENTS.items():
            models = [bench.train(str(path), recipe, s, count=seen, assignments=assignments) for s in seeds]
            protocol = f"{count} flowers, 32 px, {seen:,} images seen, MobileNetV2, 364 test pictures"
            yield Row(f"{count}: 1000 × kernel distance, {name}",
                      tuple(distance(m, real, extractor) for m in models), protocol=protocol)  # fmt: skip
            drawn = [features(extractor, m.sample(len(real), seed=1)) for m in models]
            ratios = tuple(float((nearest(x, known) / nearest(x, unknown)).median()) for x in drawn)
            yield Row(f"{count}: nearest training / nearest unseen, {name}", ratios,
                      at_least=0.9 if name == "small" else None, judged="worst", protocol=protocol)  # fmt: skip


def _subset(bench: Bench, count: int) -> tuple[Path, NDArray[np.uint8], NDArray[np.uint8]]:
    """A file of `count` flowers of all kinds, without labels; those pictures; as many others."""
    images = bench.images("flowers", "train", SIZE)
    order = np.random.default_rng(0).permutation(len(images))
    given, others = images.pixels[np.sort(order[:count])], images.pixels[np.sort(order[count : 2 * count])]
    bench.work.mkdir(parents=True, exist_ok=True)
    path = bench.work / f"flowers-{count}.npy"
    np.save(path, given)
    return path, given, others


def _rebuilt(bench: Bench, seed: int) -> float:
    """How well a critic rebuilds what it was trained to rebuild: its error over that of plain grey."""
    torch.manual_seed(seed)
    pixels = bench.images("digits").pixels[:64]
    x = to_float(np.ascontiguousarray(pixels), torch.device("cpu"))
    critic, term = SmallCritic(Image(1, 28, 28), width=16, widest=64), SelfReconstruction()
    optimizer = torch.optim.Adam(critic.parameters(), 3e-3)
    grey = 2 * float((x - x.median()).abs().mean())
    error = grey
    for step in range(60):
        logits = critic(x)
        at = Moment(step, 0.0, torch.Generator().manual_seed(step), len(x))
        loss = term(Scene(critic, x, x, None, logits, logits, at)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        error = float(loss.detach())
    return error / grey
