"""Self-attention against a loop over places; spectral norms against singular values; both around any family."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from limner.core.errors import UserError
from limner.core.pixels import Image
from limner.core.spec import build, spec
from limner.models.attention import AttentiveCritic, AttentiveGenerator, SelfAttention
from limner.models.base import Critic, Generator, Model
from limner.models.spectral import Spectral, SpectralCritic

IMAGE = Image(3, 32, 32)
FAMILIES = ("DCGAN", "Dense", "Light", "Residual")
CRITICS = [f"{family}Critic" for family in (*FAMILIES, "Plain", "Small")]
GRIDS = [name for name in CRITICS if name != "PlainCritic"]
GENERATORS = [f"{family}Generator" for family in (*FAMILIES, "Small", "Style")]


def attention(channels: int = 16, gamma: float = 0.7) -> SelfAttention:
    net = SelfAttention(channels)
    with torch.no_grad():
        for p in net.parameters():
            p.normal_(0.3, 0.5)
        net.gamma.fill_(gamma)
    return net


def by_loops(net: SelfAttention, x: Tensor) -> Tensor:
    """Eq. 1 to 3 of Zhang et al. place by place."""

    def dense(layer: Any, v: Tensor) -> Tensor:
        return layer.weight[:, :, 0, 0] @ v + layer.bias

    y = x.clone()
    for n in range(x.shape[0]):
        places = [(i, j) for i in range(x.shape[2]) for j in range(x.shape[3])]
        for i, j in places:
            query = dense(net.query, x[n, :, i, j])
            scores = [math.exp(float(query @ dense(net.key, x[n, :, k, m]))) for k, m in places]
            values = [dense(net.value, x[n, :, k, m]) for k, m in places]
            mixed = sum(s / sum(scores) * v for s, v in zip(scores, values, strict=True))
            y[n, :, i, j] = x[n, :, i, j] + net.gamma * dense(net.out, mixed)
    return y


@torch.no_grad()
def test_attention_is_the_papers_formula() -> None:
    net, x = attention(8).double(), torch.randn(2, 8, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(net(x), by_loops(net, x))
    torch.testing.assert_close(net(x.contiguous(memory_format=torch.channels_last)), net(x))


@torch.no_grad()
def test_attention_does_nothing_at_first_and_moves_with_its_places() -> None:
    x = torch.randn(2, 16, 4, 4)
    assert torch.equal(SelfAttention(16)(x), x)
    net = attention()
    torch.testing.assert_close(net(x.flip(2)), net(x).flip(2))
    torch.testing.assert_close(net(x.roll(1, 3)), net(x).roll(1, 3))


def test_attention_and_spectral_norm_have_a_second_derivative() -> None:
    net = attention(8).double()
    x = torch.randn(1, 8, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: net(x), (x,))
    layer = nn.Conv2d(2, 3, 3).double()
    parametrize.register_parametrization(layer, "weight", Spectral(layer.weight))
    layer.eval()
    x = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: layer(x).square(), (x,))


@pytest.mark.parametrize("shape", [(5, 9), (32, 16, 3, 3), (1, 40), (10, 1)])
def test_sigma_is_the_largest_singular_value(shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape)
    norm = Spectral(weight, iterations=300)
    largest = torch.linalg.svdvals(weight.flatten(1))[0]
    torch.testing.assert_close(norm.sigma(weight), largest, rtol=1e-4, atol=0.0)
    torch.testing.assert_close(torch.linalg.svdvals(norm(weight).flatten(1))[0], torch.ones(()), rtol=1e-4, atol=0.0)


def test_gradient_of_sigma_is_the_outer_product_of_its_vectors() -> None:
    weight = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    norm = Spectral(weight.detach(), iterations=500).double()
    (ours,) = torch.autograd.grad(norm.sigma(weight), weight)
    (exact,) = torch.autograd.grad(torch.linalg.svdvals(weight)[0], weight)
    torch.testing.assert_close(ours, exact)


def test_sigma_is_followed_through_training_and_evaluation_forgets() -> None:
    layer = nn.Linear(30, 20)
    parametrize.register_parametrization(layer, "weight", Spectral(layer.weight))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        (layer(torch.randn(16, 30)) - 1).square().mean().backward()
        optimizer.step()
    layer(torch.randn(1, 30))
    assert abs(torch.linalg.svdvals(layer.weight)[0].item() - 1) < 0.02
    layer.eval()
    before = copy.deepcopy(layer.state_dict())
    assert torch.equal(layer.weight, layer.weight)
    assert all(torch.equal(a, b) for a, b in zip(before.values(), layer.state_dict().values(), strict=True))


@pytest.mark.parametrize("name", CRITICS)
@pytest.mark.parametrize("classes", [0, 3])
def test_every_weight_of_any_critic_is_normalised(name: str, classes: int) -> None:
    net = SpectralCritic(IMAGE, classes, name, iterations=50).eval()
    weights = [m.weight for m in net.modules() if isinstance(getattr(m, "weight", None), Tensor) and m.weight.ndim > 1]
    assert len(weights) >= 3
    for weight in weights:
        assert torch.linalg.svdvals(weight.detach().flatten(1))[0] == pytest.approx(1, abs=0.05)
    assert not [n for n, p in net.named_parameters() if p.ndim > 1 and "parametrizations" not in n]


@pytest.mark.parametrize("name", GRIDS)
def test_attention_goes_into_any_critic_and_changes_nothing_at_first(name: str) -> None:
    torch.manual_seed(5)
    plain = build({"is": name}, Critic, image=IMAGE, classes=0).eval()
    torch.manual_seed(5)
    net = AttentiveCritic(IMAGE, inner=name, grid=8).eval()
    x = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(net(x), plain(x))
    (layer,) = [m for m in net.modules() if isinstance(m, SelfAttention)]
    seen: list[torch.Size] = []
    layer.register_forward_hook(lambda module, given, out: seen.append(out.shape))
    net(x)
    assert max(seen[0][2:]) == 8 and len(seen) == 1


@pytest.mark.parametrize("name", GENERATORS)
def test_attention_goes_into_any_generator(name: str) -> None:
    net = AttentiveGenerator(IMAGE, inner=name, grid=16).eval()
    assert sum(isinstance(m, SelfAttention) for m in net.modules()) == 1
    z = net.latent.sample(2, torch.Generator().manual_seed(0))
    assert net(z).shape == (2, 3, 32, 32)


def test_one_around_the_other_and_what_a_model_file_keeps() -> None:
    light = {"is": "LightCritic", "width": 8}
    given = {"is": "SpectralCritic", "inner": {"is": "AttentiveCritic", "grid": 8, "inner": light}}
    net = build(given, Critic, image=IMAGE, classes=2)
    described = spec(net)
    inside = described["inner"]["inner"]
    assert inside["width"] == 8 and inside["widest"] == 256, "defaults are filled in"
    again = build(described, Model)
    again.load_state_dict(net.state_dict())
    x, label = torch.rand(2, 3, 32, 32), torch.tensor([0, 1])
    assert torch.equal(net.eval()(x, label), again.eval()(x, label))
    other = build({"is": "AttentiveCritic", "inner": {"is": "SpectralCritic"}}, Critic, image=IMAGE)
    assert sum(isinstance(m, SelfAttention) for m in other.modules()) == 1
    assert build("SpectralCritic(inner=ResidualCritic(width=4))", Critic, image=IMAGE)(x).shape == (2,)
    assert build("AttentiveGenerator(inner=LightGenerator(latent=Gaussian(7)))", Generator, image=IMAGE).latent.dim == 7


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        (Critic, "AttentiveCritic(inner=PlainCritic)", "no grid of 16 or less"),
        (Critic, "AttentiveCritic(grid=3)", "there are: 4×4"),
        (Critic, "SpectralCritic(inner=LightCritc)", "did you mean LightCritic"),
        (Critic, "SpectralCritic(inner=LightCritic(wdith=3))", "wdith"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(kind: type, given: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        build(given, kind, image=IMAGE, classes=0)
    assert "\n" not in str(caught.value)
