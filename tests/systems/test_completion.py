"""Completion by regression: planted linear truth, and every method against the mean image."""

from __future__ import annotations

import numpy as np
import pytest

from limner.baselines.completion import Completer, Neighbours, Ridge, complete
from limner.core.errors import UserError
from limner.core.spec import build, catalog, options

pytest.importorskip("sklearn")
SIZE = 36
MISSING = np.arange(SIZE) >= SIZE // 2
SMALL = {"inputs": 6, "outputs": 4, "features": 8, "alpha": 0.01}


def planted(n: int, seed: int) -> np.ndarray:
    """Images that four numbers decide."""
    mixing = np.random.default_rng(9).normal(size=(4, SIZE)) / 4
    return (np.random.default_rng(seed).normal(size=(n, 4)) @ mixing).clip(-1, 1)


@pytest.mark.parametrize("name", sorted(catalog(Completer)))
def test_every_method_beats_the_mean_image(name: str) -> None:
    train, truth = planted(300, 0), planted(40, 1)
    kind = catalog(Completer)[name]
    given = {o.name: SMALL[o.name] for o in options(kind) if o.name in SMALL}
    method = build({"is": name, **given}, Completer)
    damaged = np.where(MISSING, 0.5, truth)
    whole = complete(method, train, damaged, MISSING)
    assert (whole[:, ~MISSING] == truth[:, ~MISSING]).all() and np.abs(whole).max() <= 1
    error = ((whole - truth)[:, MISSING] ** 2).mean()
    assert error < 0.5 * ((train.mean(0) - truth)[:, MISSING] ** 2).mean()
    again = complete(method, train, np.where(MISSING, -0.3, truth), MISSING)
    np.testing.assert_array_equal(whole, again, err_msg="it looked at the missing part")


def test_a_linear_truth_is_found_exactly() -> None:
    mixing = np.random.default_rng(3).normal(size=(18, 18)) / 40
    half = np.random.default_rng(4).uniform(-1, 1, (200, 18))
    x = np.concatenate([half, half @ mixing], 1)
    whole = complete(Ridge(alpha=1e-9), x[:150], np.where(MISSING, 0, x[150:]), MISSING)
    np.testing.assert_allclose(whole, x[150:], atol=1e-6)


def test_one_neighbour_brings_back_what_was_seen() -> None:
    x = planted(50, 0)
    np.testing.assert_array_equal(complete(Neighbours(k=1), x, np.where(MISSING, 0, x), MISSING), x)


def test_something_must_be_missing() -> None:
    with pytest.raises(UserError, match="a part of the image must be missing"):
        complete(Ridge(), planted(5, 0), planted(5, 1), np.zeros(SIZE, bool))
