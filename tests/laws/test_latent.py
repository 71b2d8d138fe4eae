"""Priors: what they draw, where they live, and the paths that stay there."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from limner.core.errors import UserError
from limner.core.grid import Quantised
from limner.core.latent import Categorical, Gaussian, Latent, Mixed, Sparse, Sphere, Uniform, parts
from limner.core.rng import generator
from limner.core.spec import catalog

OTHER = [Categorical(2), Categorical(16, 3.0), Mixed(), Mixed((Categorical(3, 2.0), Sphere(4), Mixed((Uniform(2),))))]
OTHER += [Sparse(2, 1), Sparse(64), Sparse(256, 5)]
SPECIAL = (Categorical, Mixed, Sparse)
LATENTS = [cls(dim) for cls in catalog(Latent).values() if cls not in SPECIAL for dim in (1, 2, 16, 256)]
LATENTS += OTHER
each_latent = pytest.mark.parametrize("latent", LATENTS, ids=str)


def draws(latent: Latent, n: int = 500, purpose: str = "a") -> torch.Tensor:
    return latent.sample(n, generator(0, purpose=purpose))


@each_latent
def test_same_generator_same_codes(latent: Latent) -> None:
    assert draws(latent).shape == (500, latent.dim)
    assert torch.equal(draws(latent), draws(latent))
    assert not torch.equal(draws(latent), draws(latent, purpose="b"))


@pytest.mark.parametrize(("latent", "law"), [(Gaussian(3), stats.norm()), (Uniform(3), stats.uniform(-1, 2))])
def test_drawn_from_the_law(latent: Latent, law: stats.rv_continuous) -> None:
    z = draws(latent, 4000)
    assert stats.kstest(z.flatten().numpy(), law.cdf).pvalue > 1e-3
    assert z.T.corrcoef().fill_diagonal_(0).abs().max() < 0.06


def test_sphere_is_uniform_in_direction() -> None:
    """Archimedes: in three dimensions each coordinate is uniform between the poles."""
    z = draws(Sphere(3), 4000)
    torch.testing.assert_close(z.norm(dim=1), torch.full((4000,), math.sqrt(3)))
    assert stats.kstest(z[:, 0].numpy(), stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)).cdf).pvalue > 1e-3


@each_latent
def test_between_is_exact_at_its_ends(latent: Latent) -> None:
    a, b = draws(latent), draws(latent, purpose="b")
    torch.testing.assert_close(latent.between(a, b, 0.0), a, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(latent.between(a, b, 1.0), b, rtol=1e-4, atol=1e-5)


@each_latent
def test_between_is_symmetric_and_rests_between_equals(latent: Latent) -> None:
    a, b = draws(latent), draws(latent, purpose="b")
    torch.testing.assert_close(latent.between(a, b, 0.3), latent.between(b, a, 0.7), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(latent.between(a, a, 0.4), a, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("latent", [Gaussian(256), Sphere(256), Uniform(256)], ids=str)
def test_between_stays_where_the_prior_is(latent: Latent) -> None:
    """Half-way, a straight line between Gaussian codes has radius √(dim / 2): codes that are never drawn."""
    a, b = draws(latent), draws(latent, purpose="b")
    usual = latent.surprise(a).max().item()
    for t in (0.25, 0.5, 0.75):
        assert latent.surprise(latent.between(a, b, t)).max().item() <= usual + 1e-6
    if isinstance(latent, Gaussian):
        assert latent.surprise((a + b) / 2).min().item() > usual


def test_between_on_a_sphere_moves_at_constant_speed() -> None:
    sphere = Sphere(8)
    a, b = draws(sphere), draws(sphere, purpose="b")
    whole = torch.cosine_similarity(a, b).acos()
    for t in (0.1, 0.5, 0.8):
        part = torch.cosine_similarity(a, sphere.between(a, b, t)).clamp(-1, 1).acos()
        torch.testing.assert_close(part, t * whole, rtol=1e-3, atol=1e-3)


@each_latent
def test_project_twice_is_project_once(latent: Latent) -> None:
    far = 3 * draws(latent) + 1
    once = latent.project(far)
    torch.testing.assert_close(latent.project(once), once)
    assert latent.surprise(once).max().item() < 1e-3


@each_latent
def test_surprise_is_zero_where_typical_and_grows_outwards(latent: Latent) -> None:
    if isinstance(latent, Quantised):
        pytest.skip("whole numbers are everywhere: what is far from them is a law of its own")
    typical = latent.project(draws(latent))
    steps = torch.stack([latent.surprise(typical * far) for far in (1.0, 2.0, 4.0, 8.0)])
    assert steps[0].max().item() < 1e-3
    outside = typical.abs().amax(1) > 0.51
    assert (steps.diff(dim=0)[:, outside] > 0).all() and outside.any()


def test_surprise_of_whole_numbers_is_the_squared_distance_to_them() -> None:
    latent, far = Quantised(2, 1, 1), torch.tensor([[3.0, -7.0], [3.2, -7.4], [3.5, 0.25]])
    torch.testing.assert_close(latent.surprise(far), torch.tensor([0.0, 0.2, 0.3125]))


def test_surprise_of_a_gaussian_is_half_a_squared_score() -> None:
    """The squared radius has mean dim and variance 2 dim; so the mean surprise over the prior is 1/2."""
    assert Gaussian(64).surprise(draws(Gaussian(64), 4000)).mean().item() == pytest.approx(0.5, abs=0.05)
    far = torch.full((1, 4), 2.0)
    assert Gaussian(4).surprise(far).item() == pytest.approx(((16 - 4) / math.sqrt(8)) ** 2 / 2)


def test_surprise_outside_a_cube_is_the_squared_distance() -> None:
    assert Uniform(3).surprise(torch.tensor([[1.5, -3.0, 0.2], [1.0, -1.0, 0.0]])).tolist() == [4.25, 0.0]


@each_latent
def test_truncation_by_one_changes_nothing(latent: Latent) -> None:
    torch.testing.assert_close(latent.truncate(draws(latent), 1.0), draws(latent), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("latent", [latent for latent in LATENTS if latent not in OTHER], ids=str)
def test_truncation_by_zero_leaves_one_code(latent: Latent) -> None:
    z = draws(latent)
    middle = latent.truncate(z, 0.0)
    torch.testing.assert_close(middle, middle[:1].expand_as(middle))
    assert latent.truncate(z, 0.5).var(0).sum() < z.var(0).sum()


def test_truncation_on_a_sphere_stays_on_it() -> None:
    for psi in (0.0, 0.3, 0.7):
        norms = Sphere(16).truncate(draws(Sphere(16)), psi).norm(dim=1)
        torch.testing.assert_close(norms, torch.full_like(norms, 4.0))


def test_categories_are_drawn_equally_often_and_have_no_middle() -> None:
    latent = Categorical(4, 3.0)
    z = draws(latent, 4000)
    assert set(z.unique().tolist()) == {0.0, 3.0} and (z.sum(1) == 3).all()
    assert stats.chisquare(z.sum(0).numpy() / 3).pvalue > 1e-3
    assert torch.equal(latent.truncate(z, 0.0), z)
    assert torch.equal(latent.project(z + 0.4 * torch.rand(z.shape)), z)
    assert latent.surprise(torch.tensor([[3.0, 0, 0, 0], [2.0, 1.0, 0, 0]])).tolist() == [0.0, 2.0]


def test_a_mixed_code_is_its_parts_side_by_side() -> None:
    mixed = Mixed((Categorical(3, 2.0), Gaussian(4), Uniform(2)))
    assert mixed.dim == 9 and parts(mixed) == (Categorical(3, 2.0), Gaussian(4), Uniform(2))
    assert parts(Gaussian(4)) == (Gaussian(4),)
    a, b = draws(mixed), draws(mixed, purpose="b")
    for own, other, part in zip(a.split([3, 4, 2], 1), b.split([3, 4, 2], 1), mixed.parts, strict=True):
        at = next(i for i in range(9) if torch.equal(a[:, i], own[:, 0]))
        cut = slice(at, at + part.dim)
        assert torch.equal(mixed.between(a, b, 0.3)[:, cut], part.between(own, other, 0.3))
        assert torch.equal(mixed.truncate(a, 0.5)[:, cut], part.truncate(own, 0.5))
        assert torch.equal(mixed.project(2 * a)[:, cut], part.project(2 * own))
    each = [part.surprise(own) for own, part in zip(a.split([3, 4, 2], 1), mixed.parts, strict=True)]
    torch.testing.assert_close(mixed.surprise(a), torch.stack(each).sum(0))
    assert mixed.entropy() == pytest.approx(math.log(3) + Gaussian(4).entropy() + 2 * math.log(2))
    assert mixed.numbers == 3 + 8 + 4


def test_entropies_against_scipy_and_geometry() -> None:
    assert Gaussian(3).entropy() == pytest.approx(stats.multivariate_normal(cov=torch.eye(3).numpy()).entropy())
    assert Uniform(3).entropy() == pytest.approx(3 * stats.uniform(-1, 2).entropy())
    half = stats.halfnorm().entropy()
    assert Sparse(5, 2).entropy() == pytest.approx(math.log(10) + 2 * half)
    assert Categorical(7).entropy() == pytest.approx(math.log(7))
    assert Sphere(3).entropy() == pytest.approx(math.log(4 * math.pi * 3))
    assert Sphere(2).entropy() == pytest.approx(math.log(2 * math.pi * math.sqrt(2)))


def test_a_latent_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="no parts"):
        Mixed(())
    with pytest.raises(UserError, match="above 0"):
        Categorical(3, 0.0)
