"""The lessons in NumPy: logistic regression on MNIST, and the hand-made GAN on the ring."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from limner.lessons import adversaries
from limner.lessons.logistic import fit
from limner.metrics.modes import Modes, modes_covered
from limner.proofs.base import Bench, Row, proof


@proof
def lessons(bench: Bench) -> Iterator[Row]:
    """Logistic regression on MNIST and a GAN on the ring of eight, both with derivatives by hand."""
    train, test = bench.images("mnist"), bench.images("mnist", "test")
    x, held = (images.pixels.reshape(len(images), -1) / 255.0 for images in (train, test))
    assert train.labels is not None and test.labels is not None
    epochs = bench.pick(2, 10)
    right = [float((fit(x, train.labels, 10, epochs=epochs, seed=s).guess(held) == test.labels).mean())
             for s in bench.seeds]  # fmt: skip
    yield Row("logistic regression, MNIST test accuracy", tuple(100 * r for r in right), "%",
              bench.pick(90.0, 91.5), published="88–92 %, linear classifiers (LeCun et al. 1998)",
              protocol=f"{epochs} epochs of 60,000, batch 100, SGD 0.5 to 0")  # fmt: skip
    steps = bench.pick(2_500, 4_000)
    found = [_ring(steps, seed) for seed in bench.seeds]
    protocol = f"{steps:,} steps of 128, 2,500 samples, σ 0.01"
    yield Row("NumPy GAN, modes of the ring", tuple(float(f.covered) for f in found), "of 8",
              bench.pick(7.0, 8.0), judged="worst", published="7.9 (PacGAN2, Lin et al. 2018)",
              protocol=protocol)  # fmt: skip
    yield Row("NumPy GAN, samples within 3σ", tuple(100 * f.high_quality for f in found), "%",
              bench.pick(50.0, 90.0), published="95.6 % (PacGAN2, Lin et al. 2018)", protocol=protocol)  # fmt: skip


def _ring(steps: int, seed: int) -> Modes:
    *_, last = adversaries.play(steps=steps, seed=seed)
    points = last.generator.forward(adversaries.codes(2500, np.random.default_rng([seed, 1])))
    angle = np.arange(8) * (np.pi / 4)
    centres = torch.from_numpy(np.stack([np.cos(angle), np.sin(angle)], 1))
    return modes_covered(torch.from_numpy(points), centres, 0.01)
