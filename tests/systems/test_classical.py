"""Classical models: densities against closed forms and scikit-learn, samples against densities, brute force."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from limner.baselines.base import Baseline, vectors
from limner.baselines.kernel import KernelDensity
from limner.baselines.mixture import Mixture
from limner.baselines.pca import PCA
from limner.baselines.rbm import RBM
from limner.core.errors import UserError
from limner.core.pixels import Image
from limner.core.spec import build, catalog
from limner.data.images import Images
from limner.models.classical import KernelDensityGenerator, MixtureGenerator, PCAEncoder, PCAGenerator, RBMGenerator

decomposition = pytest.importorskip("sklearn.decomposition")
SMALL = {"components": 3, "directions": 4, "count": 20, "hidden": 6, "epochs": 100}


def images(n: int = 120, side: int = 4, seed: int = 0) -> Images:
    """Soft blobs of grey in three classes of brightness."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    mixing = rng.normal(size=(5, side * side))
    x = 100 + 20 * labels[:, None] + 12 * rng.normal(size=(n, 5)) @ mixing + 5 * rng.normal(size=(n, side * side))
    pixels = x.clip(0, 255).astype(np.uint8).reshape(n, side, side, 1)
    return Images(pixels, labels.astype(np.int64), ("a", "b", "c"), "planted", "planted")


def tensors(data: Images) -> torch.Tensor:
    side = data.image
    return torch.from_numpy(vectors(data.pixels)).view(-1, side.channels, side.height, side.width)


def draw(net: Any, n: int, label: torch.Tensor | None = None) -> torch.Tensor:
    with torch.no_grad():
        z = net.latent.sample(n, torch.Generator().manual_seed(0)).to(net.weight_dtype)
        return torch.cat([net.paint(part, 0) for part in z.split(5000)]) if label is None else net(z, label)


def test_pca_density_is_scikit_learns_and_the_closed_form() -> None:
    data = images()
    net = PCA(components=3).fit(data)["generator"].double()
    assert isinstance(net, PCAGenerator)
    x = vectors(data.pixels)
    theirs = decomposition.PCA(3, svd_solver="full").fit(x).score_samples(x)
    ours = net.log_likelihood(tensors(data)).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    covariance = net.axes[0].T @ net.axes[0] + net.sigma[0] ** 2 * torch.eye(16)
    direct = torch.distributions.MultivariateNormal(net.mean[0], covariance).log_prob(torch.from_numpy(x))
    np.testing.assert_allclose(ours, direct.numpy(), rtol=1e-5)


def test_no_other_linear_model_is_more_likely() -> None:
    """The fit is a maximum: any small step of the weights lowers the likelihood of the data."""
    data = images()
    net = PCA(components=3).fit(data)["generator"].double()
    x, best = tensors(data), net.log_likelihood(tensors(data)).mean()
    for seed in range(5):
        other = PCA(components=3).fit(data)["generator"].double()
        rng = torch.Generator().manual_seed(seed)
        for weight in (other.axes, other.mean, other.sigma):
            weight.add_(1e-2 * torch.randn(weight.shape, generator=rng))
        assert other.log_likelihood(x).mean() < best


def test_samples_have_the_models_mean_and_covariance() -> None:
    net = PCA(components=3, noise=True).fit(images())["generator"].double()
    x = draw(net, 40_000)
    covariance = net.axes[0].T @ net.axes[0] + net.sigma[0] ** 2 * torch.eye(16)
    torch.testing.assert_close(x.mean(0), net.mean[0], atol=0.01, rtol=0)
    assert (x.T.cov() - covariance).norm() < 0.03 * covariance.norm()


def test_the_encoder_is_the_exact_posterior() -> None:
    """Bayes by brute force: the joint Gaussian of code and pixels, conditioned."""
    data = images()
    nets = PCA(components=3).fit(data)
    net, encoder = nets["generator"].double(), nets["encoder"].double()
    assert isinstance(encoder, PCAEncoder)
    q, x = encoder(tensors(data)), torch.from_numpy(vectors(data.pixels))
    w = net.axes[0].T
    total = w @ w.T + net.sigma[0] ** 2 * torch.eye(16)
    gain = w.T @ torch.linalg.inv(total)
    torch.testing.assert_close(q.mean, (x - net.mean[0]) @ gain.T, rtol=1e-5, atol=1e-6)
    covariance = torch.eye(3) - gain @ w
    torch.testing.assert_close(covariance, torch.diag(q.logvar.exp()[0]), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("directions", [4, 16])
def test_mixture_density_is_scikit_learns(directions: int) -> None:
    data = images()
    net = Mixture(components=3, directions=directions).fit(data)["generator"].double()
    assert isinstance(net, MixtureGenerator)
    x = vectors(data.pixels)
    y = (torch.from_numpy(x) - net.mean[0]) @ net.axes[0].T
    mixture = pytest.importorskip("sklearn.mixture").GaussianMixture(3, reg_covar=1e-3, random_state=0, tol=1e-2)
    theirs = mixture.fit(decomposition.PCA(directions, svd_solver="full", random_state=0).fit_transform(x))
    across = (torch.from_numpy(x) - net.mean[0]) - y @ net.axes[0]
    expected = theirs.score_samples(y.numpy())
    if directions < 16:
        expected += torch.distributions.Normal(0, net.sigma[0]).log_prob(torch.zeros(1)).item() * (16 - directions)
        expected -= (across.square().sum(1) / (2 * net.sigma[0] ** 2)).numpy()
    np.testing.assert_allclose(net.log_likelihood(tensors(data)).numpy(), expected, rtol=1e-3, atol=1e-3)


def test_mixture_samples_fall_where_their_density_is() -> None:
    net = Mixture(components=3, directions=16).fit(images())["generator"].double()
    x = draw(net, 20_000)
    mean = net.mean[0] + (net.weights[0] @ net.centres[0]) @ net.axes[0]
    torch.testing.assert_close(x.mean(0), mean, atol=0.02, rtol=0)
    # entropy by its own samples = minus the mean log density, for two halves alike
    one, other = net.density(x, 0).split(10_000)
    assert abs(one.mean() - other.mean()) < 0.2


def test_kernel_density_is_the_mean_of_its_kernels() -> None:
    data = images()
    net = KernelDensity(count=20).fit(data)["generator"].double()
    assert isinstance(net, KernelDensityGenerator)
    x = tensors(data)[:7]
    kernels = torch.distributions.Normal(net.points[0], net.bandwidth[0])
    brute = torch.stack([kernels.log_prob(v.flatten()).sum(1).exp().mean().log() for v in x])
    torch.testing.assert_close(net.log_likelihood(x), brute, rtol=1e-5, atol=1e-4)
    better = [KernelDensity(count=20, bandwidth=net.bandwidth[0].item() * f).fit(data) for f in (0.5, 2.0)]
    held_out = np.delete(np.arange(120), np.random.default_rng(0).permutation(120)[:20])
    values = [n["generator"].double().log_likelihood(tensors(data)[held_out]).mean() for n in better]
    assert net.log_likelihood(tensors(data)[held_out]).mean() > max(values)


def machine() -> RBMGenerator:
    torch.manual_seed(3)
    net = RBMGenerator(Image(1, 2, 3), hidden=4, steps=3, particles=400).double()
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.5 * torch.randn_like(weight))
    return net


def states(n: int) -> torch.Tensor:
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=n)), dtype=torch.float64)


@torch.no_grad()
def test_free_energy_is_the_sum_over_hidden_states() -> None:
    net, v, h = machine(), states(6), states(4)
    energy = -(v @ net.weights[0].T @ h.T) - (v @ net.visible_bias[0])[:, None] - (h @ net.hidden_bias[0])[None]
    torch.testing.assert_close(net.free_energy(v), -(-energy).logsumexp(1))


@torch.no_grad()
def test_gibbs_steps_keep_the_machines_distribution() -> None:
    """Chains that begin in the true distribution stay in it: expected pixels are the exact marginals."""
    net, v = machine(), states(6)
    p = (-net.free_energy(v)).softmax(0)
    net.particles = v[torch.multinomial(p, 20_000, replacement=True)][None]
    x = (draw(net, 20_000) + 1) / 2
    torch.testing.assert_close(x.mean(0), p @ v, atol=0.015, rtol=0)


def test_contrastive_divergence_learns_two_pictures() -> None:
    rng = np.random.default_rng(0)
    two = np.array([[255, 255, 0, 0, 255, 0], [0, 0, 255, 255, 0, 255]], np.uint8)
    data = Images(two[rng.integers(0, 2, 400)].reshape(-1, 2, 3, 1), None, (), "two", "two")
    net = RBM(hidden=8, epochs=60, lr=0.1).fit(data)["generator"].double()
    assert isinstance(net, RBMGenerator)
    p = (-net.free_energy(states(6))).softmax(0)
    wanted = torch.tensor([int("110010", 2), int("001101", 2)])
    assert p[wanted].sum() > 0.8 and p[wanted].min() > 0.2


@pytest.mark.parametrize("name", sorted(catalog(Baseline)))
def test_every_baseline_fits_each_class_and_keeps_its_promise(name: str) -> None:
    from limner.core.spec import options

    given = {o.name: SMALL[o.name] for o in options(catalog(Baseline)[name]) if o.name in SMALL}
    data = images()
    net = build({"is": name, **given}, Baseline).fit(data, labelled=True, seed=1)["generator"]
    label = torch.arange(3).repeat_interleave(200)
    z = net.latent.sample(600, torch.Generator().manual_seed(0))
    with torch.no_grad():
        x = net(z, label)
        again, unknown, none = net(z, label), net(z, torch.full((600,), -1)), net(z)
    assert x.shape == (600, 1, 4, 4) and x.abs().max() <= 1
    assert torch.equal(x, again) and torch.equal(unknown, none)
    bright = [x[label == k].mean().item() for k in range(3)]
    real = [tensors(data)[data.labels == k].mean().item() for k in range(3)]
    assert bright == sorted(bright)
    np.testing.assert_allclose(bright, real, atol=0.1)


def test_mistakes_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    data = images(10)
    with pytest.raises(UserError, match=r"components=16: 4×4 grey has room for 1 to 15"):
        PCA(components=16).fit(data)
    with pytest.raises(UserError, match="12 components need more than 12 pictures"):
        PCA(components=12).fit(data)
    with pytest.raises(UserError, match="count=1000 needs more than 1000 pictures, and there are 10"):
        KernelDensity().fit(data)
    with pytest.raises(UserError, match="leave out --labels"):
        PCA(3).fit(Images(data.pixels, None, (), "bare", "bare"), labelled=True)

    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name, name="sklearn")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UserError, match=r"pip install 'limner\[baselines\]'"):
        PCA(3).learn(vectors(data.pixels), 0)
