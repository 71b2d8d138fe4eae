"""Compressed sensing with a generator: a few random sums of a digit's pixels, and which it was (Bora et al. 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limner.baselines.base import scikit
from limner.operators.noise import Noise
from limner.operators.projection import Project
from limner.proofs.base import Bench, Row, proof
from limner.restoring.cases import Case, damaged
from limner.restoring.climbing import ByClimbing

PUBLISHED = {10: 0.068, 25: 0.028, 50: 0.012, 100: 0.0083, 200: 0.0075, 500: 0.0072, 750: 0.0070}
"""Mean squared error a pixel in the 0 to 1 range, read off figure 1a (VAE, ten starts)."""
NORM = 0.1
"""Of all the noise of a measurement, √E|η|², in the 0 to 1 range."""


@proof
def sensing(bench: Bench) -> Iterator[Row]:
    """A VAE of 20 numbers on MNIST, A ~ N(0, 1/m), noise of norm 0.1, ten starts, test digits; Lasso beside it.

    The weight of the prior follows from m and the noise.
    """
    count, tested = bench.pick(3_000, 400_000), bench.pick(8, 100)
    seed = bench.seeds[0]
    options = ("generator.latent=Gaussian(20)", "encoder.latent=Gaussian(20)")
    scene = bench.train("mnist", "vae", seed, count=count, assignments=options).scene
    solver = ByClimbing(scene, samples=1, starts=bench.pick(3, 10), steps=bench.pick(60, 500))
    digits = np.asarray(bench.images("mnist", "test").pixels[:tested])
    for m in bench.pick((25, 100), tuple(PUBLISHED)):
        cases = [damaged(digit, Noise(2 * NORM / m**0.5) @ Project(m), seed, k) for k, digit in enumerate(digits)]
        answers = [answer.samples for answer in solver(cases)]
        target = None if bench.quick else PUBLISHED[m]
        yield Row(
            f"error a pixel, {m} measurements",
            (float(np.mean([error(x, c) for x, c in zip(answers, cases, strict=True)])),),
            at_most=target,
            published=f"{PUBLISHED[m]:g} (Bora et al. 2017, figure 1a)",
            protocol=f"{tested} test digits, VAE after {count:,} images",
        )
        yield Row(
            f"the same by Lasso on pixels, {m} measurements",
            (float(np.mean([error(lasso(c, m), c) for c in cases])),),
            protocol="its weight from the noise and m",
        )


def error(x: Any, case: Case) -> float:
    """Mean squared error in the 0 to 1 range."""
    assert case.truth is not None
    return ((x - case.truth) / 2).square().mean().item()


def lasso(case: Case, m: int) -> torch.Tensor:
    """argmin |Ax - y|² / 2 + weight |x|₁ over pixels from 0 to 1; black is 0, so digits are sparse."""
    size = case.seen[0].numel()
    matrix: NDArray[np.float64] = Project(m).matrix(size).numpy()
    # y of pictures in [-1, 1] → y of the same in [0, 1]
    y = (case.y[0].double().numpy() + matrix.sum(1)) / 2
    weight = 0.1 * NORM / m**0.5 * (2 * np.log(size)) ** 0.5
    fitted = scikit("linear_model").Lasso(alpha=weight / m, positive=True, max_iter=2000, fit_intercept=False)
    x = fitted.fit(matrix, y).coef_.clip(0, 1)
    return torch.from_numpy(2 * x - 1).float().view(case.seen.shape)
