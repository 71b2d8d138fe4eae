"""Memorised images: copies are caught by every test, held-out images by none, and each test by brute force."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import torch
from torch import Tensor

from limner.core.errors import UserError
from limner.core.pixels import to_float
from limner.data.gather import gather
from limner.metrics.authenticity import Authenticity
from limner.metrics.base import Seen, Sets
from limner.metrics.data_copying import DataCopying, mann_whitney
from limner.metrics.fixed import RandomFeatures
from limner.metrics.likelihood_gap import GeneralisationGap, fitted_widths, log_likelihood
from limner.metrics.memory import Case, Measured, Memory, nearest
from limner.metrics.nearest import NearestInTraining

TESTS: list[Memory] = [NearestInTraining(), DataCopying(), Authenticity(), GeneralisationGap()]
every = pytest.mark.parametrize("test", TESTS, ids=lambda t: type(t).__name__)


def draw(n: int, rng: torch.Generator, d: int = 6) -> Tensor:
    """A mixture of four Gaussians."""
    return torch.randn(n, d, generator=rng) + 3 * torch.randint(0, 4, (n, 1), generator=rng)


def planted(share: float, seed: int, n: int = 400, train: int = 1200) -> Case:
    """A generator that copies a share of the time, and else draws from the distribution."""
    rng = torch.Generator().manual_seed(seed)
    known, fake, held_out = draw(train, rng), draw(n, rng), draw(n, rng)
    copied = int(share * n)
    fake[:copied] = known[torch.randperm(train, generator=rng)[:copied]]
    return Case.of(known, fake, held_out)


@every
def test_copies_are_caught_held_out_images_are_not_and_half_of_both_lies_between(test: Memory) -> None:
    for seed in range(6):
        case = planted(0, seed)
        innocent = test.measure(case.innocent())
        none, half, copies = (test.measure(c) for c in (case, planted(0.5, seed), case.guilty()))
        assert test.surely(none, innocent) < 3, f"seed {seed}: real images are called copies"
        assert test.surely(copies, innocent) > 3, f"seed {seed}: copies are not seen"
        between = sorted([none.value, copies.value])
        assert between[0] < half.value < between[1]


@pytest.mark.slow
@every
def test_false_alarms_are_rare(test: Memory) -> None:
    """100 innocent generators: three standard errors are crossed by one in 740, so by three of 100 hardly ever."""
    cases = [planted(0, seed, n=200, train=600) for seed in range(100)]
    assert sum(test.surely(test.measure(c), test.measure(c.innocent())) > 3 for c in cases) <= 2


@every
def test_what_is_read(test: Memory) -> None:
    case = planted(1, 0)
    sets = Sets(Seen(case.held_out), Seen(case.fake), (Seen(case.held_out),) * 2, Seen(case.train))
    found = test.score(sets)
    assert found.verdict.startswith("copies") and found.low <= found.value <= found.high
    assert [name for name, _ in found.controls] == ["held-out real", "copies of training"]
    assert found.controls[0][1] == found.floor and (found.n, found.floor_n) == (400, 200)
    assert found.value == pytest.approx(test(case.train, case.fake, case.held_out))


@pytest.mark.parametrize("share", [0.0, 0.3])
@every
def test_intervals_hold_the_mean(test: Memory, share: float) -> None:
    """Training images given, generated and held-out ones drawn afresh."""
    rng = torch.Generator().manual_seed(7)
    train, found = draw(500, rng), []
    for _ in range(60):
        fake, held_out = draw(150, rng), draw(150, rng)
        copied = int(share * 150)
        fake[:copied] = train[torch.randperm(500, generator=rng)[:copied]]
        measured = test.measure(Case.of(train, fake, held_out))
        found.append((measured.value, *test.reach(measured, 150)))
    mean = sum(value for value, _, _ in found) / len(found)
    assert sum(low <= mean <= high for _, low, high in found) / len(found) >= 0.85


def test_neighbours_by_brute_force() -> None:
    case = planted(0.2, 1, n=40, train=60)
    for x, near in ((case.fake, case.fake_near), (case.held_out, case.held_near)):
        apart = (x.double()[:, None] - case.train.double()[None]).square().sum(2)
        assert torch.allclose(near.distance, apart.min(1).values, atol=1e-10)
        assert torch.equal(near.which, apart.argmin(1))
    own = (case.train.double()[:, None] - case.train.double()[None]).square().sum(2).fill_diagonal_(math.inf)
    assert torch.allclose(nearest(case.train).distance, own.min(1).values, atol=1e-10)


def test_nearest_in_training_counts_what_is_nearest() -> None:
    train, held_out = torch.tensor([[0.0], [10.0], [20.0]]), torch.tensor([[3.0], [30.0]])
    # 0.5: training; 12: training; 29: held-out; 5: held-out; chance is 3 / 5
    got = NearestInTraining()(train, torch.tensor([[0.5], [12.0], [29.0], [5.0]]), held_out)
    assert got == pytest.approx((2 / 4 - 3 / 5) / (2 / 5))
    # an image in both sets says nothing
    assert NearestInTraining()(train, train, train) == pytest.approx(0)


def test_authenticity_by_hand() -> None:
    train = torch.tensor([[0.0], [1.0], [10.0], [14.0]])
    # 0.4 is nearer to 0 than 1 is; 6 is as near to 10 as 14 is; 3 is farther from 1 than 0 is; 12 lies in between
    fake = torch.tensor([[0.4], [6.0], [3.0], [12.0], [10.0]])
    assert Authenticity()(train, fake, train) == pytest.approx(1 / 5)
    twice = torch.tensor([[0.0], [0.0], [5.0]])
    assert Authenticity()(twice, torch.tensor([[0.0], [0.1]]), train) == pytest.approx(1 / 2)


def test_mann_whitney_is_scipys() -> None:
    rng = torch.Generator().manual_seed(0)
    q, p = torch.randn(30, generator=rng).double() + 0.3, torch.randn(50, generator=rng).double()
    u = scipy.stats.mannwhitneyu(q.numpy(), p.numpy()).statistic
    assert mann_whitney(q, p) == pytest.approx((u - 750) / math.sqrt(1500 * 81 / 12), abs=1e-12)
    assert mann_whitney(p, p) == pytest.approx(0, abs=1e-12)  # ties count by half


def test_one_cell_is_one_mann_whitney_test() -> None:
    case = planted(0.3, 2)
    want = mann_whitney(case.fake_near.distance, case.held_near.distance)
    assert DataCopying(cells=1).measure(case).value == pytest.approx(want)
    with pytest.raises(UserError, match="no cell has 20"):
        DataCopying()(case.train, case.fake[:15], case.held_out[:30])


def test_widths_are_the_likeliest() -> None:
    """No other width of any Gaussian is likelier, and the density is a mixture's."""
    rng = torch.Generator().manual_seed(0)
    x, centres = torch.randn(80, 3, generator=rng).double(), torch.randn(12, 3, generator=rng).double()
    squares = torch.cdist(x, centres).square()
    width = fitted_widths(squares, 3, 1e-9)
    best = float(log_likelihood(squares, width, 3).mean())
    for j in range(12):
        for factor in (0.8, 1.25):
            other = width.clone()
            other[j] *= factor
            assert float(log_likelihood(squares, other, 3).mean()) < best + 1e-4
    each = [torch.distributions.Normal(c, w.sqrt()).log_prob(x).sum(1) for c, w in zip(centres, width, strict=True)]
    want = torch.stack(each, 1).logsumexp(1) - math.log(12)
    torch.testing.assert_close(log_likelihood(squares, width, 3), want)


def test_a_copier_is_beyond_the_control_and_beyond_chance() -> None:
    """As measured of a GAN of digits: far beyond the held-out control, where test digits are near each other."""
    test, control = NearestInTraining(), Measured(-0.507, 0.1)
    assert test.surely(Measured(0.085, 0.055), control) == pytest.approx(0.085 / 0.055)
    assert test.surely(Measured(0.9, 0.05), control) == pytest.approx(1.407 / math.hypot(0.05, 0.1))
    # no chance is known for authenticity, and less of it is worse
    assert Authenticity().surely(Measured(0.3, 0.03), Measured(0.7, 0.04)) == pytest.approx(8)


def test_held_out_images_are_needed() -> None:
    with pytest.raises(UserError, match="held-out"):
        Authenticity()(torch.zeros(9, 2), torch.zeros(9, 2))


@pytest.mark.slow
@every
def test_on_real_digits(test: Memory) -> None:
    """Held-out digits are called copies by no test, training digits by every one, and half of both lie between."""
    data, held = gather("digits"), gather("digits", split="test")
    train, rest = (RandomFeatures()(to_float(images.pixels)) for images in (data, held))
    for seed in range(4):
        order = torch.randperm(2000, generator=torch.Generator().manual_seed(seed))
        fake, held_out = rest[order[:1000]], rest[order[1000:]]
        case = Case.of(train, fake, held_out)
        innocent = test.measure(case.innocent())
        mixed = torch.cat([fake[:500], train[order[:500]]])
        half = test.measure(Case.of(train, mixed, held_out))
        assert test.surely(test.measure(case), innocent) < 3
        assert test.surely(test.measure(case.guilty()), innocent) > 3
        between = sorted([test.measure(case).value, test.measure(case.guilty()).value])
        assert between[0] < half.value < between[1]
