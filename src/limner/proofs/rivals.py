"""Classical rivals: exact densities against scikit-learn, and missing halves of digits completed by regression."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limner.baselines.base import Baseline, scikit, vectors
from limner.baselines.completion import Completer, complete
from limner.core.spec import build, catalog
from limner.models.classical import Classical
from limner.proofs.base import Bench, Row, proof

AXES = 16
"""Principal components in the comparison with scikit-learn."""


@proof
def rivals(bench: Bench) -> Iterator[Row]:
    """Densities equal scikit-learn's; lower halves of digits completed from upper ones, squared error and PSNR."""
    yield from _densities(bench)
    data = bench.pick("digits", "mnist")
    trained, tested = bench.pick((2_000, 500), (2_000, 1_000))
    bar: float | None = None
    for name in ("Mean", *sorted(catalog(Completer))):
        errors = tuple(_error(bench, data, name, seed, trained, tested) for seed in bench.seeds)
        psnr = 10 * math.log10(4 / (sum(errors) / len(errors)))
        yield Row(
            f"lower halves by {name}: mean squared error",
            errors,
            at_most=bar,
            published=f"none; {psnr:.2f} dB PSNR over the half",
            protocol=f"{data}, {trained:,} training and {tested:,} test images a seed, pixels in [-1, 1]",
        )
        bar = bar or 0.75 * sum(errors) / len(errors)


def _densities(bench: Bench) -> Iterator[Row]:
    images = bench.images("digits")
    x = vectors(np.asarray(images.pixels[:1000]))
    axes = scikit("decomposition").PCA(AXES, svd_solver="full").fit(x)
    pca = _log_likelihood(build(f"PCA(components={AXES})", Baseline), x, bench)
    theirs = axes.score_samples(x)
    yield Row(
        "PCA: log density against scikit-learn's, largest relative difference",
        (float(np.abs((pca - theirs) / theirs).max()),),
        at_most=1e-4,
        published="0 (closed form; Tipping & Bishop 1999, eq. 3)",
        protocol=f"1,000 digits, {AXES} components",
    )


def _log_likelihood(baseline: Baseline, x: NDArray[Any], bench: Bench) -> NDArray[Any]:
    """Of the images that it is fitted to, in double precision."""
    images = bench.images("digits")
    values = baseline.learn(x, 0)
    net = baseline.nets(images.image, 0)["generator"].double()
    assert isinstance(net, Classical)
    with torch.no_grad():
        for name, value in values.items():
            net.state_dict()[name][0] = torch.as_tensor(value)
        return net.density(torch.from_numpy(x), 0).numpy()


def _error(bench: Bench, data: str, name: str, seed: int, trained: int, tested: int) -> float:
    """Mean squared error over the missing half, on test images."""
    rng = np.random.default_rng(seed)
    train, test = (bench.images(data, split) for split in ("train", "test"))
    x = vectors(np.asarray(train.pixels[np.sort(rng.permutation(len(train))[:trained])]))
    truth = vectors(np.asarray(test.pixels[np.sort(rng.permutation(len(test))[:tested])]))
    shape = train.image
    missing = np.zeros((shape.channels, shape.height, shape.width), bool)
    missing[:, shape.height // 2 :] = True
    missing = missing.flatten()
    if name == "Mean":
        guess = np.broadcast_to(x.mean(0)[missing], (len(truth), int(missing.sum())))
    else:
        method = build(name, Completer)
        guess = complete(method, x, np.where(missing, 0.0, truth), missing, seed)[:, missing]
    bench.tick(f"completing by {name}, seed {seed}", 1.0)
    return float(((guess - truth[:, missing]) ** 2).mean())
