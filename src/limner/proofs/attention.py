"""Self-attention and spectral normalisation: exact laws, and what they do to a short training."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from limner.metrics.weights import WeightsFile
from limner.models.attention import SelfAttention
from limner.models.spectral import Spectral
from limner.proofs.base import Bench, Row, proof
from limner.proofs.scoring import distance, features

ATTENTION = (
    "generator=AttentiveGenerator",
    "generator.inner=LightGenerator(width=32, widest=256)",
    "critic=AttentiveCritic",
    "critic.inner=LightCritic(width=32, widest=256, features=256)",
)
"""Around the default's own networks."""
ABLATION: dict[str, tuple[str, tuple[str, ...]]] = {
    "Relativistic, R1, R2 (the default)": ("light", ()),
    "the same with self-attention": ("light", ATTENTION),
    "Hinge, no penalty": ("light", ("objective=GAN(Hinge, [])",)),
    "Hinge, spectral norm": ("light", ("objective=GAN(Hinge, [])", "critic=SpectralCritic")),
    "Hinge, spectral norm, self-attention (sagan)": ("sagan", ()),
}


@proof
def attention(bench: Bench) -> Iterator[Row]:
    """Spectral norm against singular values, also in a trained critic; attention against a loop; an ablation on MNIST.

    The ablation gives each arrangement the same seconds, so nothing else should run beside it.
    """
    seeds = bench.seeds[:1] if bench.quick else bench.seeds
    yield Row("σ by power iteration, relative error", tuple(_sigma_error(s) for s in seeds), at_most=1e-4,
              judged="worst", published="0 (Miyato et al. 2018, eq. 4)",
              protocol="6 random weights, 300 iterations, against torch.linalg.svdvals")  # fmt: skip
    yield Row("attention against a loop over places", tuple(_attention_error(s) for s in seeds), at_most=1e-12,
              judged="worst", published="0 (Zhang et al. 2019, eq. 1-3)", protocol="2×8×4×5, float64")  # fmt: skip
    count = bench.pick(640, 6_400)
    trained = tuple(_worst_norm(bench, seed, count) for seed in seeds)
    yield Row("largest singular value in a trained critic", trained, at_most=1.1, judged="worst", published="1",
              protocol=f"sagan on the built-in digits, {count:,} images, averaged weights")  # fmt: skip
    if not bench.quick:
        yield from _ablation(bench)


def _ablation(bench: Bench, seconds: float = 45.0) -> Iterator[Row]:
    """Distance of samples to MNIST's test pictures after equal seconds, and the images seen in a second."""
    test = bench.images("mnist", "test")
    lenet = WeightsFile(str(bench.shared / "weights" / "mnist-lenet5.safetensors"))
    real = features(lenet, test.pixels[:2000])
    for name, (recipe, assignments) in ABLATION.items():
        models = [bench.train("mnist", recipe, s, seconds=seconds, assignments=assignments) for s in bench.seeds]
        pace = [m.header["nimg"] / max(m.header["seconds"], 1e-9) for m in models]
        yield Row(name, tuple(distance(m, real, lenet) for m in models), protocol=(
            f"1000 × kernel distance on LeNet-5, MNIST with labels, {seconds:.0f} s each; "
            f"{sum(pace) / len(pace):.0f} images/s"))  # fmt: skip


def _sigma_error(seed: int) -> float:
    """The worst of a few shapes."""
    torch.manual_seed(seed)
    errors: list[float] = []
    for shape in ((5, 9), (64, 32, 3, 3), (32, 3, 4, 4), (1, 256), (256, 1), (100, 100)):
        weight = torch.randn(shape)
        largest = torch.linalg.svdvals(weight.flatten(1))[0]
        errors.append(float((Spectral(weight, iterations=300).sigma(weight) / largest - 1).abs()))
    return max(errors)


@torch.no_grad()
def _attention_error(seed: int) -> float:
    """The largest difference from a loop over images and places."""
    torch.manual_seed(seed)
    net, x = SelfAttention(8, share=2).double(), torch.randn(2, 8, 4, 5, dtype=torch.float64)
    net.gamma.fill_(0.7)
    query, key, value, out = ((f.weight[:, :, 0, 0], f.bias) for f in (net.query, net.key, net.value, net.out))
    worst = 0.0
    for image, given in zip(net(x), x, strict=True):
        places = given.flatten(1).T
        for i, here in enumerate(places):
            scores = torch.stack([_dense(query, here) @ _dense(key, there) for there in places]).exp()
            seen = sum(s / scores.sum() * _dense(value, there) for s, there in zip(scores, places, strict=True))
            assert isinstance(seen, Tensor)
            worst = max(worst, float((image.flatten(1)[:, i] - here - net.gamma * _dense(out, seen)).abs().max()))
    return worst


def _dense(layer: tuple[Tensor, Tensor | None], x: Tensor) -> Tensor:
    weight, bias = layer
    assert bias is not None
    return weight @ x + bias


def _worst_norm(bench: Bench, seed: int, count: int) -> float:
    """The largest singular value of any normalised weight of a trained critic."""
    critic = bench.train("digits", "sagan", seed, count=count).critic
    assert critic is not None
    weights: list[Tensor] = [m.weight for m in critic.modules() if parametrize.is_parametrized(m, "weight")]  # pyright: ignore
    return max(float(torch.linalg.svdvals(w.detach().flatten(1))[0]) for w in weights)
