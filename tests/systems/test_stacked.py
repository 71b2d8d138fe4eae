"""Counting the modes of Stacked MNIST, planted; and a LeNet-5 that reads real stacks."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from limner.core.errors import UserError
from limner.data.gather import gather
from limner.proofs.base import Bench
from limner.proofs.conditional import reader
from limner.proofs.stacked import modes, read, stacks

SHARED = Path(__file__).parents[3] / "shared" / "data"


def test_modes_and_their_distance_from_uniform() -> None:
    assert modes(np.arange(1000).repeat(3)) == (1000, pytest.approx(0.0, abs=1e-12))
    assert modes(np.full(50, 7)) == (1, pytest.approx(math.log(1000)))
    covered, apart = modes(np.concatenate([np.arange(500), np.arange(250)]))
    by_hand = 500 / 750 * math.log(2 / 750 * 1000) + 250 / 750 * math.log(1 / 750 * 1000)
    assert covered == 500 and apart == pytest.approx(by_hand)


def test_stacks_are_digits_as_colours_and_are_read_back(tmp_path: Path) -> None:
    bench = Bench(SHARED, tmp_path)
    try:
        lenet = reader(bench)
    except UserError as missing:
        pytest.skip(str(missing))
    path = stacks(bench, 400)
    assert stacks(bench, 400) == path
    images = gather(str(path))
    assert images.pixels.shape == (400, 28, 28, 3)
    mnist = bench.images("mnist")
    which = np.random.default_rng(0).integers(0, len(mnist), (3, 400))
    assert np.array_equal(images.pixels[..., 1], mnist.pixels[which[1], :, :, 0])
    assert mnist.labels is not None
    hundreds, tens, ones = mnist.labels[which]
    assert (read(lenet, images.pixels) == 100 * hundreds + 10 * tens + ones).mean() > 0.95
