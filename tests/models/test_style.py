"""The style family: modulation against a loop of plain convolutions, mixing, the mean style, truncation, export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from limner.core.latent import Gaussian
from limner.core.pixels import Image
from limner.core.spec import build
from limner.data.batches import Batches
from limner.data.images import Images
from limner.likeness import Likeness, load
from limner.models.base import Generator
from limner.models.layers import Conv, Up
from limner.models.style import Modulated, StyleGenerator
from limner.objectives.base import generator_of
from limner.recipes.base import Facts, plan
from limner.run import Run
from limner.train import Budget, State, train

IMAGE = Image(3, 32, 32)


def generator(**options: Any) -> StyleGenerator:
    torch.manual_seed(2)
    return StyleGenerator(IMAGE, Gaussian(16), **({"width": 8, "widest": 16} | options))


def codes(n: int = 4) -> torch.Tensor:
    return Gaussian(16).sample(n, torch.Generator().manual_seed(1))


@torch.no_grad()
@pytest.mark.parametrize("doubling", [False, True])
def test_modulation_is_one_kernel_per_picture(doubling: bool) -> None:
    """Karras et al. 2020, eq. 1 to 3: w' = s w, w'' = w' / √(Σ w'²), a convolution of its own for every row."""
    conv = Up(6, 5, (8, 8), bias=False) if doubling else Conv(6, 5, bias=False)
    layer = Modulated(conv, 7)
    layer.bias.normal_()
    x, w = torch.randn(3, 6, 4, 4), torch.randn(3, 7)
    rows = []
    for n in range(3):
        kernel = conv.weight * layer.style(w[n])[None, :, None, None]
        kernel = kernel / (kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        given = F.interpolate(x[n : n + 1], scale_factor=2) if doubling else x[n : n + 1]
        rows.append(F.conv2d(given, kernel, layer.bias, padding=1))
    torch.testing.assert_close(layer(x, w), torch.cat(rows), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_unit_noise_leaves_a_layer_at_unit_variance_whatever_the_style() -> None:
    layer = Modulated(Conv(64, 32, bias=False), 7)
    for size in (0.01, 1.0, 100.0):
        y = layer(torch.randn(4, 64, 32, 32), size * torch.randn(4, 7))
        assert y[:, :, 1:-1, 1:-1].std() == pytest.approx(1, abs=0.05)


@torch.no_grad()
def test_synthesis_of_the_mapping_is_the_generator() -> None:
    net, z = generator(classes=3).eval(), codes()
    label = torch.tensor([0, 1, 2, -1])
    w = net.mapping(z, label)
    assert w.shape == (4, 16)
    torch.testing.assert_close(net.synthesis(w), net(z, label))
    torch.testing.assert_close(net.synthesis(w[:, None].expand(-1, net.layers, -1)), net(z, label))
    torch.testing.assert_close(net.mapping(3 * z, label), w, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_every_layer_listens_to_its_style() -> None:
    net = generator().eval()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))
    a, b = net.mapping(codes()), net.mapping(codes().flip(0))
    base = net.synthesis(a)
    changes = []
    for k in range(net.layers):
        ws = a[:, None].repeat(1, net.layers, 1)
        ws[:, k] = b
        changes.append((net.synthesis(ws) - base).abs().mean((1, 2, 3)).min())
    assert len(changes) == net.layers == 4 and min(changes) > 1e-5


@torch.no_grad()
def test_mixing_crosses_over_once_at_a_random_layer() -> None:
    net = generator(mixing=0.5)
    n = 4000
    w, other = torch.zeros(n, 16), torch.ones(n, 16)
    ws = net.mixed(w, other)[:, :, 0]
    assert (ws[:, 0] == 0).all() and (ws.diff(dim=1) >= 0).all()
    mixed = ws[:, -1] == 1
    assert mixed.float().mean() == pytest.approx(0.5, abs=0.03)
    first = (ws[mixed] == 0).sum(1)
    counts = torch.bincount(first, minlength=net.layers)[1:]
    assert len(counts) == net.layers - 1 and counts.min() > 0.8 * counts.float().mean()


@torch.no_grad()
def test_training_mixes_styles_and_evaluation_is_a_function_of_the_code() -> None:
    net, z = generator(mixing=1.0, noise=True), codes()
    for layer in net.modules():
        if getattr(layer, "noise", None) is not None:
            layer.noise.fill_(0.5)
    assert not torch.equal(net(z), net(z))
    net.eval()
    assert torch.equal(net(z), net(z))
    plain = generator(mixing=0.0)
    torch.testing.assert_close(plain(z), plain.eval()(z))


@torch.no_grad()
def test_the_middle_is_the_mean_style() -> None:
    net = StyleGenerator(Image(1, 8, 8), Gaussian(16), width=2, widest=2, memory=0.05)
    rng = torch.Generator().manual_seed(3)
    for _ in range(100):
        net(Gaussian(16).sample(64, rng))
    mean = net.eval().mapping(Gaussian(16).sample(20_000, rng)).mean(0)
    assert (net.middle - mean).norm() < 0.1 * mean.norm()


def test_truncation_is_in_w_and_reaches_one_picture(tmp_path: Path) -> None:
    net = generator()
    with torch.no_grad():
        net.middle.copy_(net.mapping(codes(1000)).mean(0))
    likeness = load(Likeness({"generator": net.eval()}).save(tmp_path / "m.safetensors"))
    assert isinstance(likeness.generator, StyleGenerator)
    z = likeness.codes(6, 1)
    with torch.no_grad():
        half = likeness.generator.truncated(z, None, 0.5)
        w = likeness.generator.mapping(z)
        torch.testing.assert_close(half, likeness.generator.synthesis(net.middle + 0.5 * (w - net.middle)))
    spreads = [likeness.sample(32, truncation=psi).astype(float).std(0).mean() for psi in (0, 0.5, 1, 1.5)]
    assert spreads[0] == 0 and spreads == sorted(spreads) and spreads[1] > 0
    np.testing.assert_array_equal(likeness.sample(4, truncation=1.0), likeness.sample(4))


@pytest.mark.parametrize("entry", ["constant", "style"])
@pytest.mark.parametrize("blocks", [0, 2])
def test_options_build_and_learn(entry: str, blocks: int) -> None:
    net = build(f"StyleGenerator(entry={entry}, blocks={blocks}, noise=true)", Generator, image=Image(1, 12, 20))
    z = net.latent.sample(3, torch.Generator().manual_seed(0))
    net(z).square().mean().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None] == []


def test_the_recipe_does_not_begin_by_driving_colours_to_black_and_white() -> None:
    """Four steps at 64 px: at five times the rate, two pixels in three are beyond ±0.95, and stay there."""
    coarse = np.random.default_rng(0).integers(0, 256, (32, 4, 4, 3), dtype=np.uint8)
    images = Images(coarse.repeat(16, 1).repeat(16, 2), None, (), "squares", "squares")
    run = build(plan("style", Facts(images.image, 32, 0, "cpu"), ("batch=2", "augment=none")), Run)
    state = State(run, torch.device("cpu"))
    list(train(state, run, Batches(images, 2, 0), until=Budget(images=8)))
    net = generator_of(state.nets).eval()
    with torch.no_grad():
        pictures = net(net.latent.sample(16, torch.Generator().manual_seed(1)))
    share = (pictures.abs() > 0.95).float().mean()
    assert share < 0.3, share


@pytest.mark.slow
def test_it_exports() -> None:
    """A graph without Python, whatever the number of rows: what grouped per-row kernels would not allow."""
    net = generator().eval()
    rows = torch.export.Dim("rows", min=1, max=64)
    graph = torch.export.export(net, (codes(4),), dynamic_shapes=({0: rows},)).module()
    for n in (1, 3, 7):
        torch.testing.assert_close(graph(codes(n)), net(codes(n)), rtol=1e-4, atol=1e-5)
