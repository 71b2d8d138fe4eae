"""What holds for every network: shapes, ranges, gradients, labels, and that rows do not see each other."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from limner.core.pixels import Image
from limner.core.spec import build, catalog, options
from limner.models.base import Critic, Encoder, Generator, Model

IMAGES = [Image(1, 28, 28), Image(3, 32, 32), Image(3, 33, 20), Image(4, 8, 8)]
SMALL = {"width": 8, "depth": 2, "count": 20, "components": 6, "directions": 5, "hidden": 12, "particles": 8}
"""Options that make a network small, where it has them."""
CLASSES = 3

generators = pytest.mark.parametrize("name", catalog(Generator))
critics = pytest.mark.parametrize("name", catalog(Critic))
encoders = pytest.mark.parametrize("name", catalog(Encoder))
images = pytest.mark.parametrize("image", IMAGES, ids=lambda i: f"{i.height}x{i.width}x{i.channels}")
classes = pytest.mark.parametrize("classes", [0, CLASSES], ids=["unlabelled", "labelled"])


def make(name: str, kind: type, image: Image, classes: int = 0) -> Any:
    torch.manual_seed(1)
    # a network around another one has no width of its own
    known = {option.name for option in options(catalog(kind)[name])}
    small = {k: v for k, v in SMALL.items() if k in known}
    return build({"is": name, "image": {"is": "Image", **image.__dict__}, "classes": classes, **small}, kind)


def pictures(image: Image, n: int = 4) -> torch.Tensor:
    rng = torch.Generator().manual_seed(2)
    return torch.rand(n, image.channels, image.height, image.width, generator=rng) * 2 - 1


def codes(net: Generator, n: int = 4) -> torch.Tensor:
    return net.latent.sample(n, torch.Generator().manual_seed(3))


def labels(n: int = 4) -> torch.Tensor:
    return torch.arange(n) % CLASSES


def warmed(net: Model, *given: torch.Tensor) -> Model:
    """In evaluation mode with running statistics of real activity."""
    with torch.no_grad():
        for _ in range(3):
            net(*given)
    return net.eval()


@generators
@images
@classes
def test_generator_makes_images_and_hands_gradients_on(name: str, image: Image, classes: int) -> None:
    net = make(name, Generator, image, classes)
    with torch.no_grad():  # what starts at zero must be able to matter
        for parameter in net.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    z = codes(net).requires_grad_()
    x = net(z, labels() if classes else None)
    assert x.shape == (4, image.channels, image.height, image.width)
    assert x.abs().max() <= 1 and x.isfinite().all()
    x.square().sum().backward()
    assert z.grad is not None and (z.grad.abs().sum(1) > 0).all()
    silent = [n for n, p in net.named_parameters() if p.grad is None]
    assert silent == []


@critics
@images
@classes
def test_critic_judges_each_image(name: str, image: Image, classes: int) -> None:
    net = make(name, Critic, image, classes)
    x = pictures(image).requires_grad_()
    logits = net(x, labels() if classes else None)
    assert logits.shape == (4,) and logits.isfinite().all()
    assert len(net.features(x)) == 4 and net.features(x).ndim == 2
    (slope,) = torch.autograd.grad(logits.sum(), x)
    assert (slope.abs().sum((1, 2, 3)) > 0).all()
    # a gradient penalty differentiates twice, by what each judge sees
    for judge, view in zip(net.judges(), net.views(x), strict=True):
        seen = view.detach().requires_grad_()
        (slope,) = torch.autograd.grad(judge(seen, labels() if classes else None).sum(), seen, create_graph=True)
        slope.square().sum().backward()
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in judge.parameters())


@encoders
@images
def test_encoder_gives_a_posterior(name: str, image: Image) -> None:
    net = make(name, Encoder, image)
    x = pictures(image).requires_grad_()
    q = net(x)
    assert q.mean.shape == q.logvar.shape == (4, net.latent.dim)
    (q.sample(torch.randn_like(q.mean)).sum() + q.kl().sum()).backward()
    assert x.grad is not None and (x.grad.abs().sum((1, 2, 3)) > 0).all()


@pytest.mark.parametrize(
    ("kind", "name"), [(k, n) for k in (Generator, Critic) for n in catalog(k)], ids=lambda v: getattr(v, "__name__", v)
)
def test_rows_do_not_see_each_other(kind: type, name: str) -> None:
    image = Image(3, 17, 10)
    net = make(name, kind, image, CLASSES)
    given = codes(net) if kind is Generator else pictures(image)
    net = warmed(net, given, labels())
    with torch.no_grad():
        together = net(given, labels())
        alone = torch.cat([net(given[i : i + 1], labels()[i : i + 1]) for i in range(4)])
        turned = net(given.flip(0), labels().flip(0)).flip(0)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together, turned, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "name"), [(k, n) for k in (Generator, Critic) for n in catalog(k)], ids=lambda v: getattr(v, "__name__", v)
)
def test_labels_matter_and_unknown_ones_are_allowed(kind: type, name: str) -> None:
    image = Image(1, 8, 8)
    net = make(name, kind, image, CLASSES)
    given = codes(net) if kind is Generator else pictures(image)
    net = warmed(net, given, labels())
    with torch.no_grad():
        for parameter in net.parameters():
            # what starts at zero (projections of labels) must be able to matter
            parameter.add_(0.05 * torch.randn_like(parameter))
        for name, fitted in net.named_buffers():
            if "flow." in name:  # and so must what is fitted, not trained
                fitted.add_(0.05 * torch.randn_like(fitted))
        one, other = net(given, torch.zeros(4).long()), net(given, torch.ones(4).long())
        unknown, none = net(given, torch.full((4,), -1)), net(given, None)
    assert (one - other).abs().max() > 1e-6
    torch.testing.assert_close(unknown, none)


@generators
def test_generator_runs_channels_last_and_in_bf16(name: str) -> None:
    net = make(name, Generator, Image(3, 16, 16))
    net = warmed(net, codes(net)).to(memory_format=torch.channels_last)
    with torch.no_grad():
        full = net(codes(net))
        with torch.autocast("cpu", torch.bfloat16):
            half = net(codes(net))
    assert (half.float() - full).abs().mean() < 0.05


@critics
def test_critic_runs_channels_last_and_in_bf16(name: str) -> None:
    image = Image(3, 32, 32)
    net = make(name, Critic, image)
    net = warmed(net, pictures(image))
    with torch.no_grad():
        full = net(pictures(image))
        last = net.to(memory_format=torch.channels_last)(pictures(image).to(memory_format=torch.channels_last))
        with torch.autocast("cpu", torch.bfloat16):
            half = net(pictures(image))
    torch.testing.assert_close(last, full, rtol=1e-3, atol=1e-4)
    assert (half.float() - full).abs().max() < 0.1 * (1 + full.abs().max())
