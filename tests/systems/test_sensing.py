"""Lasso for compressed sensing: exact on planted sparse pictures, in pixels and in cosines."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from limner.operators.projection import Project
from limner.proofs.sensing import cosines, error, lasso, pixels, tuned
from limner.restoring.cases import Case

M, SIDE = 60, 12


def planted(basis: Callable[[int, int], np.ndarray]) -> Case:
    """A picture in [0, 1] that is a sum of few columns of the basis, measured without noise."""
    rng = np.random.default_rng(0)
    weights = np.zeros(SIDE * SIDE)
    if basis is pixels:
        weights[rng.permutation(SIDE * SIDE)[:8]] = rng.uniform(0.3, 1, 8)
    else:
        weights[[0, 1, 13, 30]] = 6, 1, 1, 0.5
    x = torch.from_numpy(2 * (basis(SIDE, SIDE) @ weights) - 1).view(1, 1, SIDE, SIDE)
    assert x.abs().max() <= 1
    operator = Project(M)
    return Case(operator.measure(x).float(), torch.zeros_like(x).float(), operator, x.float())


@pytest.mark.parametrize("basis", [pixels, cosines])
def test_what_is_sparse_is_found_from_fewer_numbers_than_it_has(basis: Callable[[int, int], np.ndarray]) -> None:
    case, other = planted(basis), cosines if basis is pixels else pixels
    assert error(lasso(case, M, 1e-3, basis), case) < 1e-4
    assert error(lasso(case, M, 1e-3, other), case) > 1e-2, "what is sparse in one basis is not in the other"
    assert tuned([case], M, basis) <= 0.03


def test_cosines_are_orthonormal_and_separate() -> None:
    columns = cosines(5, 7)
    np.testing.assert_allclose(columns.T @ columns, np.eye(35), atol=1e-12)
    np.testing.assert_allclose(columns[:, 0], 35**-0.5, atol=1e-12)
    wave = columns[:, 1].reshape(5, 7)
    assert np.allclose(wave, wave[0]) and np.ptp(wave[0]) > 0, "the second one varies along a row"
