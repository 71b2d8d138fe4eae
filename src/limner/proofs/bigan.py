"""BiGAN: codes found without a reconstruction error are features."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from limner.proofs.base import Bench, Row, proof
from limner.proofs.encoding import codes, labels_of, neighbour_accuracy, reconstruction_error, sample_distance

IMAGES = 60_000
PUBLISHED = "97.39 % (Donahue et al. 2017, table 1)"


@proof
def bigan(bench: Bench) -> Iterator[Row]:
    """One-nearest-neighbour accuracy on MNIST codes, all training pictures known, 10,000 test pictures asked.

    Beside it the same on raw pixels, how well pictures are reconstructed (which BiGAN is never asked for), and how
    far samples are from test pictures.
    """
    train, test = bench.images("mnist"), bench.images("mnist", "test")
    n, known, asked = bench.pick((1_600, 2_000, 500), (IMAGES, 60_000, 10_000))
    found: list[tuple[float, float, float]] = []
    labels, truth = labels_of(train, known), labels_of(test, asked)
    for seed in bench.seeds:
        model = bench.train("mnist", "bigan", seed, count=n)
        accuracy = neighbour_accuracy(codes(model, train, known), labels, codes(model, test, asked), truth)
        found.append((accuracy, reconstruction_error(model, test), sample_distance(model, test)))
    accuracy, error, distance = (tuple(column) for column in zip(*found, strict=True))
    protocol = f"MNIST, {n:,} images seen, {known:,} known, {asked:,} asked"
    target = 40.0 if bench.quick else 97.0
    yield Row("1-NN on codes", accuracy, "%", target, published=PUBLISHED, protocol=protocol)
    pixels = [torch.from_numpy(i.pixels[:m].reshape(m, -1) / 255.0) for i, m in ((train, known), (test, asked))]
    raw = neighbour_accuracy(pixels[0], labels, pixels[1], truth)
    published = "96.91 % (K. Wilder, in the table of the MNIST page)"
    yield Row("1-NN on raw pixels", (raw,), "%", None, published=published, protocol=protocol)
    yield Row("reconstruction", error, "squared error", protocol="1,000 test pictures, [-1, 1]")
    yield Row("samples", distance, "kernel distance × 1000", protocol="1,000 against 1,000 test pictures")
