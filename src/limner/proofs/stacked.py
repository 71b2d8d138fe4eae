"""Stacked MNIST: three digits as the colours of one picture make 1,000 modes that nobody labelled.

Protocol of Metz et al. 2017 and PacGAN (Lin et al. 2018): 128,000 random stacks, 26,000 samples, each colour read by
a classifier of digits; modes that were read at least once, and KL(samples ‖ uniform) in nats.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limner.core.pixels import Bytes
from limner.core.store import replacing
from limner.metrics.lenet import LeNet5
from limner.proofs.base import Bench, Row, proof
from limner.proofs.conditional import look, reader

MODES = 1000


@proof
def stacked(bench: Bench) -> Iterator[Row]:
    """The default recipe, told no labels, finds the thousand modes of Stacked MNIST."""
    count, drawn = bench.pick(4_000, 256_000), bench.pick(2_000, 26_000)
    source = stacks(bench, bench.pick(8_000, 128_000))
    lenet, found = reader(bench), list[tuple[int, float]]()
    for seed in bench.seeds[:1] if bench.quick else bench.seeds:
        model = bench.train(str(source), "light", seed, count=count)
        found.append(modes(read(lenet, model.sample(drawn, seed))))
    floor = modes(read(lenet, np.load(source)["x_train"][:drawn]))
    protocol = f"{count:,} images, {drawn:,} samples read by LeNet-5; real stacks: {floor[0]} modes, KL {floor[1]:.3f}"
    covered, apart = zip(*found, strict=True)
    yield Row("modes of 1,000", tuple(float(c) for c in covered), "", bench.pick(10.0, 1000.0),
              published="1000.0 (PacDCGAN2, Lin et al. 2018)", protocol=protocol)  # fmt: skip
    yield Row("KL of the modes read, against uniform", apart, "nats", at_most=None if bench.quick else 0.05,
              published="0.06 (PacDCGAN2, Lin et al. 2018)", protocol=protocol)  # fmt: skip


def stacks(bench: Bench, n: int, seed: int = 0) -> Path:
    """An .npz of n stacks of training digits, (n, 28, 28, 3), drawn at random with replacement; made once."""
    path = bench.work / f"stacks-{n}.npz"
    if not path.exists():
        digits = bench.images("mnist").pixels[..., 0]
        which = np.random.default_rng(seed).integers(0, len(digits), (3, n))
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, x_train=np.stack([digits[rows] for rows in which], -1))
    return path


def read(lenet: LeNet5, pixels: Bytes) -> NDArray[np.int64]:
    """The mode of each stack, 0 to 999: its three digits as a number."""
    hundreds, tens, ones = (look(lenet, pixels[..., k : k + 1])[1] for k in range(3))
    return 100 * hundreds + 10 * tens + ones


def modes(which: NDArray[np.int64]) -> tuple[int, float]:
    """Modes read at least once, and KL(shares ‖ uniform) in nats."""
    shares = np.bincount(which, minlength=MODES) / len(which)
    there = shares[shares > 0]
    return len(there), float((there * np.log(there * MODES)).sum())
