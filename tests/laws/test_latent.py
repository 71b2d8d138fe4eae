"""Priors: what they draw, where they live, and the paths that stay there."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from limner.core.latent import Gaussian, Latent, Sphere, Uniform
from limner.core.rng import generator
from limner.core.spec import catalog

LATENTS = [cls(dim) for cls in catalog(Latent).values() for dim in (1, 2, 16, 256)]
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
    typical = latent.project(draws(latent))
    steps = torch.stack([latent.surprise(typical * far) for far in (1.0, 2.0, 4.0, 8.0)])
    assert steps[0].max().item() < 1e-3
    outside = typical.abs().amax(1) > 0.51
    assert (steps.diff(dim=0)[:, outside] > 0).all() and outside.any()


def test_surprise_of_a_gaussian_is_half_a_squared_score() -> None:
    """The squared radius has mean dim and variance 2 dim; so the mean surprise over the prior is 1/2."""
    assert Gaussian(64).surprise(draws(Gaussian(64), 4000)).mean().item() == pytest.approx(0.5, abs=0.05)
    far = torch.full((1, 4), 2.0)
    assert Gaussian(4).surprise(far).item() == pytest.approx(((16 - 4) / math.sqrt(8)) ** 2 / 2)


def test_surprise_outside_a_cube_is_the_squared_distance() -> None:
    assert Uniform(3).surprise(torch.tensor([[1.5, -3.0, 0.2], [1.0, -1.0, 0.0]])).tolist() == [4.25, 0.0]


@each_latent
def test_truncation_by_one_changes_nothing_and_by_zero_leaves_one_code(latent: Latent) -> None:
    z = draws(latent)
    torch.testing.assert_close(latent.truncate(z, 1.0), z, rtol=1e-4, atol=1e-4)
    middle = latent.truncate(z, 0.0)
    torch.testing.assert_close(middle, middle[:1].expand_as(middle))
    assert latent.truncate(z, 0.5).var(0).sum() < z.var(0).sum()


def test_truncation_on_a_sphere_stays_on_it() -> None:
    for psi in (0.0, 0.3, 0.7):
        norms = Sphere(16).truncate(draws(Sphere(16)), psi).norm(dim=1)
        torch.testing.assert_close(norms, torch.full_like(norms, 4.0))
