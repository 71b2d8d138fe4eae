"""Compressed sensing with a generator: a few random sums of a digit's pixels, and which it was (Bora et al. 2017)."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.fft import dct

from limner.baselines.base import scikit
from limner.data.images import Images
from limner.likeness import Likeness
from limner.operators.noise import Noise
from limner.operators.projection import Project
from limner.proofs.base import Bench, Row, proof
from limner.restoring.beyond import Rest
from limner.restoring.cases import Case, damaged
from limner.restoring.climbing import ByClimbing

PUBLISHED = {10: 0.068, 25: 0.028, 50: 0.012, 100: 0.0083, 200: 0.0075, 500: 0.0072, 750: 0.0070}
"""Mean squared error a pixel in the 0 to 1 range, read off figure 1a (VAE, ten starts)."""
NORM = 0.1
"""Of all the noise of a measurement, √E|η|², in the 0 to 1 range."""
WEIGHTS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Of |x|₁ against |Ax - y|² / 2, that are tried for Lasso."""
Matrix = Float[np.ndarray, "rows columns"]


@proof
def sensing(bench: Bench) -> Iterator[Row]:
    """A VAE of 20 numbers on MNIST, A ~ N(0, 1/m), noise of norm 0.1, ten starts, test digits; Lasso beside it.

    The weight of the prior follows from m and the noise; that of Lasso, in pixels and in cosines, is the best on
    training digits. In the model: the mean of the ends of ten climbs, weighted by how likely they are. Beyond it: what
    that misses of the measurement is added, where it is sparse.
    """
    tested, seed = bench.pick(8, 100), bench.seeds[0]
    model = trained(bench)
    within, about = solver(bench, model), f"{tested} test digits, VAE after {model.header['nimg']:,} images"
    digits, others = bench.images("mnist", "test"), bench.images("mnist")
    for m in bench.pick((25, 100), tuple(PUBLISHED)):
        cases, tuning = measured(digits, tested, m, seed), measured(others, bench.pick(2, 8), m, seed + 1)
        began = time.process_time()
        answers = within(cases)
        spent = (time.process_time() - began) / tested
        yield Row(
            f"in the model, {m} measurements",
            (errors([answer.samples for answer in answers], cases),),
            at_most=None if bench.quick else PUBLISHED[m],
            published=f"{PUBLISHED[m]:g} (Bora et al. 2017, figure 1a)",
            protocol=f"{about}, {spent:.2g} s a digit",
        )
        rivals = list(lassos(cases, tuning, m))
        yield Row(
            f"and beyond it, {m} measurements",
            (errors([answer.samples for answer in Rest()(cases, answers)], cases),),
            at_most=None if bench.quick else min(row.value for row in rivals),
            protocol="and a sparse rest; to be at most Lasso's",
        )
        yield from rivals


def trained(bench: Bench) -> Likeness:
    """The VAE."""
    options = ("generator.latent=Gaussian(20)", "encoder.latent=Gaussian(20)")
    return bench.train("mnist", "vae", bench.seeds[0], count=bench.pick(3_000, 400_000), assignments=options)


def solver(bench: Bench, model: Likeness) -> ByClimbing:
    """The mean of the ends of all climbs, by Adam as Bora et al. climb, each to its last step."""
    to_the_end: dict[str, Any] = {"optimizer": "Adam", "halving": None, "stop": None}
    return ByClimbing(model.scene, 1, bench.pick(3, 10), bench.pick(60, 200), estimate="mean", **to_the_end)


def lassos(cases: Sequence[Case], tuning: Sequence[Case], m: int) -> Iterator[Row]:
    """Pictures that are sparse in pixels or in cosines, with the weight that is best on other digits."""
    for what, basis in (("pixels", pixels), ("cosines", cosines)):
        weight = tuned(tuning, m, basis)
        found = errors([lasso(case, m, weight, basis) for case in cases], cases)
        protocol = f"weight {weight:g}, tuned on {len(tuning)} training digits"
        yield Row(f"Lasso in {what}, {m} measurements", (found,), protocol=protocol)


def errors(made: Sequence[torch.Tensor], cases: Sequence[Case]) -> float:
    """Mean over the cases."""
    return float(np.mean([error(x, case) for x, case in zip(made, cases, strict=True)]))


def measured(images: Images, count: int, m: int, seed: int) -> list[Case]:
    """The first pictures as m random sums each, with noise."""
    operator = Noise(2 * NORM / m**0.5) @ Project(m)
    return [damaged(picture, operator, seed, k) for k, picture in enumerate(np.asarray(images.pixels[:count]))]


def error(x: Any, case: Case) -> float:
    """Mean squared error in the 0 to 1 range."""
    assert case.truth is not None
    return ((x - case.truth) / 2).square().mean().item()


def pixels(height: int, width: int) -> Matrix:
    """Columns that a picture is a sum of: single pixels."""
    return np.eye(height * width)


def cosines(height: int, width: int) -> Matrix:
    """Columns that a picture is a sum of: the waves of the discrete cosine transform, orthonormal."""
    rows, columns = (np.asarray(dct(np.eye(side), axis=0, norm="ortho")).T for side in (height, width))
    return np.kron(rows, columns)


Basis = Callable[[int, int], Matrix]


def tuned(cases: Sequence[Case], m: int, basis: Basis) -> float:
    """The weight that does best on other digits."""
    return min(WEIGHTS, key=lambda weight: errors([lasso(case, m, weight, basis) for case in cases], cases))


def lasso(case: Case, m: int, weight: float, basis: Basis) -> torch.Tensor:
    """argmin |A B c - y|² / 2 + weight |c|₁, as the picture B c; black is 0, so digits are sparse in pixels."""
    height, width = case.seen.shape[2:]
    matrix, columns = Project(m).matrix(height * width).numpy(), basis(height, width)
    # y of pictures in [-1, 1] → y of the same in [0, 1]
    y = (case.y[0].double().numpy() + matrix.sum(1)) / 2
    kind = scikit("linear_model").Lasso
    with warnings.catch_warnings():
        # where the weight is tiny the last digits take long and change nothing
        warnings.simplefilter("ignore", scikit("exceptions").ConvergenceWarning)
        fitted = kind(alpha=weight / m, positive=basis is pixels, max_iter=2000, tol=1e-5, fit_intercept=False)
        x = (columns @ fitted.fit(matrix @ columns, y).coef_).clip(0, 1)
    return torch.from_numpy(2 * x - 1).float().view(case.seen.shape)
