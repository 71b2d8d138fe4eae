"""Finite-difference penalties against the slopes they stand for, and what they save."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from limner.core.moment import Moment
from limner.core.pixels import Image
from limner.core.rng import generator
from limner.metrics.features import RandomFeatures
from limner.metrics.weights import WeightsFile
from limner.models.plain import PlainCritic
from limner.objectives.base import Scene
from limner.objectives.differences import ApproximateR1
from limner.objectives.penalties import R1
from limner.proofs.base import Bench, Row, proof
from limner.proofs.following import Mark, follow

SIGMAS = (0.3, 0.1, 0.03, 0.01)
PLACES, STEPS = 100, 256
PENALTIES = {
    "R1 + R2": "objective.penalties=[R1(1.0), R2(1.0)]",
    "finite differences": "objective.penalties=[ApproximateR1(1.0), ApproximateR2(1.0)]",
}


@proof
def finite_differences(bench: Bench) -> Iterator[Row]:
    """The twins become R1 and R2 as σ → 0; CPU seconds an image, and to the same distance, of both in one run."""
    protocol = f"dense critic of 4×4 pixels, mean over {PLACES} images × {STEPS} random steps"
    for sigma in SIGMAS:
        error = 100 * abs(rise_over_slope(sigma) - 1)
        yield Row(f"ApproximateR1 against R1, σ {sigma:g}", (error,), "%", published="0 as σ → 0",
                  at_most=3.0 if sigma <= 0.03 else None, protocol=protocol)  # fmt: skip
    yield from race(bench)


def rise_over_slope(sigma: float) -> float:
    """The twin's mean over images and random steps, over that of R1; the standard error is about 1 %."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        critic = PlainCritic(Image(1, 4, 4), width=64, depth=3)
    x = torch.randn(PLACES, 1, 4, 4, generator=generator(1)).repeat(STEPS, 1, 1, 1).requires_grad_()
    logits = critic(x)
    scene = Scene(critic, x, x, None, logits, logits, Moment(0, 0.0, generator(2), PLACES * STEPS))
    slope = R1(1.0)(scene)
    with torch.no_grad():
        return float(ApproximateR1(1.0, sigma)(scene).mean() / slope.mean())


def race(bench: Bench) -> Iterator[Row]:
    """Both trained side by side on the same images, turn about, so that they share the machine's moods."""
    data, count, every = bench.pick(("digits", 1_024, 512), ("mnist", 8_192, 1_024))
    images = bench.images(data)
    extractor = RandomFeatures() if bench.quick else WeightsFile(str(bench.shared / "weights/mnist-lenet5.safetensors"))
    marks: dict[str, list[Mark]] = {name: [] for name in PENALTIES}
    runs = [
        follow(images, "light", bench.seeds[0], count=count, every=every, extractor=extractor, assignments=(said,))
        for said in PENALTIES.values()
    ]
    for pair in zip(*runs, strict=True):
        bench.tick("both penalties on the same images", pair[0].nimg / count)
        for name, mark in zip(PENALTIES, pair, strict=True):
            marks[name].append(mark)
    target = max(min(mark.distance for mark in run) for run in marks.values())
    protocol = f"default recipe on {data}, {count:,} images, {extractor.name} features of 1,000 samples"
    for name, run in marks.items():
        there = next(mark for mark in run if mark.distance <= target)
        yield Row(
            f"{name}: CPU milliseconds an image", (1000 * run[-1].seconds / run[-1].nimg,), "ms", protocol=protocol
        )
        yield Row(f"{name}: Fréchet distance at the end", (run[-1].distance,), "", protocol=protocol)
        yield Row(f"{name}: CPU seconds to a distance of {target:.4g}", (there.seconds,), "s", protocol=protocol)
