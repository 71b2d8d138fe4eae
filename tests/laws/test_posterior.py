"""Beliefs about codes: against scipy, by enumeration, and against what they were drawn from."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from limner.core.latent import Categorical, Gaussian, Latent, Mixed, Sphere, Uniform
from limner.core.posterior import Choice, Posterior, Product
from limner.core.rng import generator

LATENTS = [Gaussian(3), Uniform(3), Sphere(3), Categorical(3, 2.0), Mixed((Categorical(3, 2.0), Gaussian(2)))]
each_latent = pytest.mark.parametrize("latent", LATENTS, ids=str)


def belief(latent: Latent, n: int = 5) -> Posterior:
    return latent.posterior(torch.randn(n, latent.numbers, generator=generator(1)))


@each_latent
def test_shapes_and_gradients(latent: Latent) -> None:
    numbers = torch.randn(5, latent.numbers, generator=generator(1)).requires_grad_()
    q, z = latent.posterior(numbers), latent.sample(5, generator(2))
    assert q.mean.shape == q.logvar.shape == z.shape
    assert q.kl().shape == q.log_likelihood(z).shape == (5,)
    torch.testing.assert_close(q.each(z).sum(1), q.log_likelihood(z))
    noise = torch.randn(5, latent.dim, generator=generator(3))
    # of a choice the sum is constant: only a weighted one can have a slope
    (q.sample(noise) * noise).sum().backward()
    assert numbers.grad is not None and (numbers.grad.abs().sum(1) > 0).all()


@each_latent
def test_draws_have_the_moments_that_are_said(latent: Latent) -> None:
    q = latent.posterior(torch.randn(1, latent.numbers, generator=generator(1)).expand(20_000, -1))
    z = q.sample(torch.randn(20_000, latent.dim, generator=generator(4)))
    torch.testing.assert_close(z.mean(0), q.mean[0], rtol=0, atol=0.05)
    torch.testing.assert_close(z.var(0), q.logvar[0].exp(), rtol=0.05, atol=0.02)


def test_a_gaussian_against_scipy() -> None:
    q, z = belief(Gaussian(3)), torch.randn(5, 3, generator=generator(2))
    expected = stats.norm(q.mean.numpy(), (q.logvar / 2).exp().numpy()).logpdf(z.numpy()).sum(1)
    torch.testing.assert_close(q.log_likelihood(z).double(), torch.from_numpy(expected), rtol=1e-5, atol=1e-5)


def test_a_choice_by_enumeration() -> None:
    """Likelihoods of all codes sum to one; kl is the mean of log q - log p over q itself."""
    q = belief(Categorical(3, 2.0))
    codes = [2.0 * torch.eye(3)[k].expand(5, 3) for k in range(3)]
    logs = torch.stack([q.log_likelihood(z) for z in codes])
    torch.testing.assert_close(logs.exp().sum(0), torch.ones(5))
    torch.testing.assert_close(q.kl(), (logs.exp() * (logs + math.log(3))).sum(0))
    sure = Choice.of(torch.tensor([[200.0, 0.0, 0.0]]))
    assert sure.logvar.isfinite().all() and sure.kl().item() == pytest.approx(math.log(3))


def test_a_product_adds_nats() -> None:
    q = belief(Mixed((Categorical(3, 2.0), Gaussian(2))))
    assert isinstance(q, Product)
    torch.testing.assert_close(q.kl(), q.parts[0].kl() + q.parts[1].kl())
    z = torch.cat([2.0 * torch.eye(3)[:1].expand(5, 3), torch.ones(5, 2)], 1)
    torch.testing.assert_close(q.each(z)[:, 0], q.parts[0].log_likelihood(z[:, :3]))
    torch.testing.assert_close(q.each(z)[:, 1], q.parts[1].log_likelihood(z[:, 3:]))


def test_the_true_posterior_attains_the_mutual_information() -> None:
    """One category of four, of which a channel keeps the pair only: I = log 2 (Chen et al. 2016, eq. 4)."""
    prior, n = Categorical(4), 4000
    z = prior.sample(n, generator(5))
    first = z[:, :2].sum(1, keepdim=True)
    true = 20 * torch.cat([first, first, 1 - first, 1 - first], 1)
    blunt, wrong = 0.05 * true, true.roll(1, 1)
    bounds = [
        (prior.posterior(logits).log_likelihood(z) + prior.entropy()).mean().item() for logits in (true, blunt, wrong)
    ]
    assert bounds[0] == pytest.approx(math.log(2), abs=1e-4)
    assert bounds[2] < bounds[1] < bounds[0]
