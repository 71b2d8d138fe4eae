"""Likelihoods sum to one; bounds are bounds; a linear VAE is probabilistic PCA; the game spares the encoder."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributions import Gamma
from torch.distributions import Normal as Bell

from limner.core.errors import UserError
from limner.core.latent import Gaussian, Latent, Uniform
from limner.core.moment import Moment
from limner.core.pixels import Image
from limner.core.schedule import Ramp
from limner.core.spec import build, catalog
from limner.data.batches import Batch
from limner.models.plain import PlainCritic, PlainEncoder, PlainGenerator
from limner.objectives.likelihoods import Bernoulli, DiscretisedLogistic, Likelihood, Normal, Student
from limner.objectives.vae import VAE
from limner.objectives.vaegan import VAEGAN
from limner.proofs.vae import bounded, linear

N = 16
each = pytest.mark.parametrize("name", catalog(Likelihood))


def moment(progress: float = 0.0, n: int = N) -> Moment:
    return Moment(0, progress, torch.Generator().manual_seed(2), n)


def pictures(n: int = N, side: int = 8) -> torch.Tensor:
    return torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def players(latent: Latent = Gaussian(4)) -> nn.ModuleDict:
    image = Image(1, 8, 8)
    torch.manual_seed(0)
    nets = {
        "encoder": PlainEncoder(image, latent, width=32),
        "generator": PlainGenerator(image, latent, width=32),
        "critic": PlainCritic(image, width=32),
    }
    return nn.ModuleDict(nets)


@each
def test_per_sample_and_highest_at_the_picture_itself(name: str) -> None:
    likelihood, x = build(name, Likelihood), pictures().sign() * 0.99
    alone = torch.cat([likelihood(a[None], a[None] / 2) for a in x])
    torch.testing.assert_close(likelihood(x, x / 2), alone)
    assert (likelihood(x, x) > likelihood(x, x / 2)).all()


@each
def test_a_step_up_the_gradient_is_more_likely(name: str) -> None:
    likelihood, x = build(name, Likelihood), pictures()
    made = (pictures().flip(0) / 2).requires_grad_()
    (slope,) = torch.autograd.grad(likelihood(x, made).sum(), made)
    assert (likelihood(x, made + 1e-4 * slope / slope.norm()) >= likelihood(x, made)).float().mean() > 0.9


def test_bernoulli_sums_to_one_over_all_pictures() -> None:
    made = torch.tensor([[-0.9, 0.2], [0.0, 0.7]])[None, None]
    every = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=4))).view(16, 1, 2, 2)
    assert Bernoulli()(every, made.expand(16, 1, 2, 2)).exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_bernoulli_of_tanh_is_the_cross_entropy_of_logits_and_its_gradient() -> None:
    a = torch.linspace(-8, 8, 33).requires_grad_()
    x = torch.ones(1, 1, 1, 33)
    loss = -Bernoulli()(x, a.tanh().view(1, 1, 1, 33)).sum()
    known = nn.functional.binary_cross_entropy_with_logits(2 * a, torch.ones(33), reduction="sum")
    torch.testing.assert_close(loss, known, rtol=1e-3, atol=1e-3)
    (slope,), (true,) = torch.autograd.grad(loss, a), torch.autograd.grad(known, a)
    torch.testing.assert_close(slope, true, rtol=2e-2, atol=1e-4)


def test_bernoulli_draws_white_as_often_as_a_pixel_is_bright() -> None:
    x = pictures(1).expand(4000, 1, 8, 8)
    drawn = Bernoulli().observe(x, moment(n=4000))
    assert set(drawn.unique().tolist()) == {-1.0, 1.0}
    assert (drawn.mean(0) - x[0]).abs().max() < 0.08
    assert Bernoulli(drawn=False).observe(x, moment()) is x


def test_bernoulli_refuses_half_precision() -> None:
    with pytest.raises(UserError, match="precision=fp32"):
        Bernoulli()(pictures(), pictures().bfloat16())


def test_normal_is_torchs() -> None:
    x, made = pictures(), pictures().flip(0)
    expected = Bell(made, 0.3).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(Normal(0.3)(x, made), expected, rtol=1e-4, atol=1e-2)


def test_student_is_the_normal_with_its_width_integrated_out() -> None:
    """E over precisions λ ~ Gamma(ν/2, ν/2) of N(x; made, sigma²/λ), by a fine grid."""
    x, made, sigma, nu = pictures(4, 2), pictures(4, 2).flip(0), 0.4, 3.0
    grid = torch.linspace(1e-4, 30, 200_001, dtype=torch.float64)
    prior = Gamma(torch.tensor(nu / 2).double(), torch.tensor(nu / 2).double()).log_prob(grid)
    error = (x - made).double().square().flatten(1).sum(1)[:, None] / sigma**2
    inside = prior + 2 * (grid / (2 * math.pi * sigma**2)).log() - grid * error / 2
    expected = torch.trapezoid(inside.exp(), grid).log()
    torch.testing.assert_close(Student(sigma, nu)(x, made).double(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("levels", [2, 16, 256])
@pytest.mark.parametrize("scale", [0.003, 0.03, 1.0])
def test_discretised_logistic_sums_to_one_over_all_greys(levels: int, scale: float) -> None:
    grey = (torch.arange(levels) / (levels - 1) * 2 - 1).view(-1, 1, 1, 1)
    for made in (-1.0, -0.3, 0.0, 0.95, 1.0):
        mass = DiscretisedLogistic(scale, levels)(grey, torch.full_like(grey, made)).exp().sum()
        assert mass.item() == pytest.approx(1, abs=1e-4)


def test_the_terms_of_one_sample_are_error_and_divergence() -> None:
    nets, x, objective = players(), pictures(), VAE(Normal(0.5), beta=Ramp(0.0, 4.0))
    terms = objective.loss("autoencoder", nets, Batch(x, None), moment(0.5))
    q = nets["encoder"](x)
    divergence = torch.distributions.kl_divergence(Bell(q.mean, (q.logvar / 2).exp()), Bell(0.0, 1.0)).sum(1)
    torch.testing.assert_close(terms["code"], 2 * divergence)
    z = q.sample(moment().normal(1, 4)[:, 0])
    torch.testing.assert_close(terms["picture"], -Normal(0.5)(x, nets["generator"](z)))


def test_the_warm_up_begins_without_the_prior() -> None:
    terms = VAE(Normal(0.5), Ramp(0.0, 1.0, 0.0, 0.2)).loss("autoencoder", players(), Batch(pictures(), None), moment())
    assert terms["code"].abs().max() == 0


def test_weights_are_ratios_of_densities() -> None:
    nets, x, noise = players(), pictures(), torch.randn(N, 3, 4)
    weights = VAE(Normal(0.5)).log_weights(nets["encoder"], nets["generator"], x, noise)
    q = nets["encoder"](x)
    for k in range(3):
        z = q.sample(noise[:, k])
        prior, belief = Bell(0.0, 1.0).log_prob(z).sum(1), Bell(q.mean, (q.logvar / 2).exp()).log_prob(z).sum(1)
        expected = Normal(0.5)(x, nets["generator"](z)) + prior - belief
        torch.testing.assert_close(weights[:, k], expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("label", [torch.tensor([2, 0, 1, 1]), torch.randn(4, 3)], ids=["classes", "numbers"])
def test_weights_are_those_of_the_labels(label: torch.Tensor) -> None:
    """Of several samples each is told the label of its own picture, numbers as well."""
    seen: list[torch.Tensor] = []

    class Told(PlainGenerator):
        def forward(self, z: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
            assert label is not None
            seen.append(label)
            return super().forward(z)

    encoder, told = PlainEncoder(Image(1, 8, 8), Gaussian(4), width=8), Told(Image(1, 8, 8), Gaussian(4), width=8)
    VAE(Normal(0.5)).log_weights(encoder, told, pictures(4), torch.randn(4, 2, 4), label)
    assert torch.equal(seen[0], torch.stack([label, label], 1).flatten(0, 1))


def test_more_samples_bound_tighter() -> None:
    nets, x = players(), pictures()
    objective = VAE(Normal(0.5))
    bounds = [bounded(objective, nets["encoder"], nets["generator"], x, k, 0) for k in (1, 10, 100, 1000)]
    assert all(a < b for a, b in itertools.pairwise(bounds))
    ten = [VAE(Normal(0.5), samples=k).loss("autoencoder", nets, Batch(x, None), moment()) for k in (2, 50)]
    assert ten[0]["bound"].mean() > ten[1]["bound"].mean()


def test_a_linear_vae_is_probabilistic_pca_and_its_bound_the_likelihood() -> None:
    reached = linear(0, 300_000)
    assert reached.exact <= reached.best + 1e-6, "nothing is above the optimum"
    assert reached.best - reached.exact < 0.02 * abs(reached.best)
    assert 0 <= reached.exact - reached.bounds[0] < 0.3
    assert all(a < b for a, b in itertools.pairwise(reached.bounds[1:])) and reached.exact - reached.bounds[-1] < 0.1


def test_a_prior_that_is_not_gaussian_is_refused() -> None:
    for objective in (VAE(), VAEGAN()):
        with pytest.raises(UserError, match=r"-o encoder.latent=Gaussian\(4\) -o generator.latent=Gaussian\(4\)"):
            objective.check(dict(players(Uniform(4)).items()))


def test_the_game_moves_the_generator_and_not_the_encoder() -> None:
    slopes: dict[float, dict[str, torch.Tensor]] = {}
    for weight in (0.0, 1000.0):
        nets = players()
        terms = VAEGAN(adversarial=weight).loss("autoencoder", nets, Batch(pictures(), None), moment())
        torch.stack([t.mean() for t in terms.values()]).sum().backward()
        slopes[weight] = {name: p.grad.clone() for name, p in nets.named_parameters() if p.grad is not None}
    for name, slope in slopes[0.0].items():
        if name.startswith("encoder"):
            torch.testing.assert_close(slope, slopes[1000.0][name])
    last = "generator.last.weight"
    assert (slopes[0.0][last] - slopes[1000.0][last]).abs().max() > 1e-3


def test_fakes_are_reconstructions_and_samples_by_halves() -> None:
    n, kept = 2000, {}
    nets, x = players(), pictures(2000)
    at: Any = Moment(0, 0.0, torch.Generator().manual_seed(2), n, kept=kept)
    VAEGAN().loss("autoencoder", nets, Batch(x, None), at)
    again = Moment(0, 0.0, torch.Generator().manual_seed(2), n)
    made = nets["generator"](nets["encoder"](x).sample(again.normal(4)))
    share = (kept["scenes"][0].fake - made).flatten(1).abs().amax(1).lt(1e-5).float().mean().item()
    assert 0.45 < share < 0.55
    assert kept["scenes"][0].fake.grad_fn is None, "cut off from the generator"


def test_pixels_may_count_beside_features() -> None:
    nets, x = players(), pictures()
    terms = VAEGAN(pixels=0.5).loss("autoencoder", nets, Batch(x, None), moment())
    made = nets["generator"](nets["encoder"](x).sample(moment().normal(4)))
    torch.testing.assert_close(terms["pixels"], -0.5 * Student()(x, made))
    assert "pixels" not in VAEGAN().loss("autoencoder", nets, Batch(x, None), moment())
