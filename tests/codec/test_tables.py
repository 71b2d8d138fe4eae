"""Tables: whole numbers that sum to their total, near the distributions they stand for, the same for ever."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from scipy import stats

from limner.core import tables


def test_every_table_is_positive_symmetric_and_whole() -> None:
    for table in range(tables.TABLES):
        counts = tables.counts(table)
        assert len(counts) == 2 * tables.reach(table) + 2 and sum(counts) == tables.TOTAL and min(counts) > 0
        assert counts[:-1] == counts[-2::-1]
    for level in range(64):
        assert sum(tables.flag_counts(level)) == tables.TOTAL and min(tables.flag_counts(level)) > 0


def test_they_are_the_same_on_every_machine() -> None:
    """A file written elsewhere is read with these very numbers: they must never change."""
    told = repr([tables.counts(t) for t in range(tables.TABLES)] + [tables.flag_counts(k) for k in range(64)])
    told += repr(tables.borders().tolist())
    assert hashlib.blake2b(told.encode(), digest_size=8).hexdigest() == "4d23e2de822db02b"


@pytest.mark.parametrize("table", [30, 50, 70])
def test_laplace_tables_are_rounded_laplace_variables(table: int) -> None:
    most = tables.reach(table)
    law = stats.laplace(scale=tables.scale(table))
    expected = [law.cdf(k + 0.5) - law.cdf(k - 0.5) for k in range(-most, most + 1)]
    np.testing.assert_allclose(np.array(tables.counts(table)[:-1]) / tables.TOTAL, expected, atol=4e-6 * most)


@pytest.mark.parametrize("table", [30, 50, 70])
def test_gauss_tables_are_bells(table: int) -> None:
    counts = np.array(tables.counts(table + tables.GAUSS)[:-1], np.float64)
    at = np.arange(len(counts)) - len(counts) // 2
    expected = np.exp(-(at**2) / (2 * tables.scale(table) ** 2))
    np.testing.assert_allclose(counts / counts.sum(), expected / expected.sum(), atol=1e-4)


def test_the_nearest_table_is_the_nearest() -> None:
    fixed = np.array([1, 300, 4096, 5000, 123_456, 10**9], np.int64)
    ratios = np.abs(np.log2(fixed[:, None] / tables.UNIT / [tables.scale(t) for t in range(tables.SCALES)]))
    assert tables.nearest(fixed).tolist() == ratios.argmin(1).tolist()


@pytest.mark.parametrize("law", [stats.laplace(scale=2.5), stats.norm(scale=6), stats.laplace(scale=0.1)])
def test_a_fitted_table_is_nearly_as_short_as_the_truth(law: stats.rv_continuous) -> None:
    symbols = np.rint(law.rvs(20_000, random_state=np.random.default_rng(0))).astype(np.int64)
    values, counts = np.unique(symbols, return_counts=True)
    entropy = -np.log2(law.cdf(values + 0.5) - law.cdf(values - 0.5)) @ counts
    assert tables.ideal_bits(symbols, np.full(len(symbols), tables.fitted(symbols))) < 1.02 * entropy + 20


def test_of_all_tables_the_fitted_one_is_shortest() -> None:
    symbols = np.rint(np.random.default_rng(1).normal(0, 3, 2000)).astype(np.int64)
    bits = [tables.ideal_bits(symbols, np.full(len(symbols), t)) for t in range(tables.TABLES)]
    assert tables.fitted(symbols) == int(np.argmin(bits))
