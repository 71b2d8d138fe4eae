"""What holds for every translator: shape, range, gradients, and that rows do not see each other."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from limner.core.pixels import Image
from limner.core.spec import build, catalog
from limner.models.base import Translator

IMAGES = [Image(1, 28, 28), Image(3, 32, 32), Image(3, 33, 20), Image(4, 8, 8), Image(1, 3, 5)]
translators = pytest.mark.parametrize("name", catalog(Translator))
images = pytest.mark.parametrize("image", IMAGES, ids=lambda i: f"{i.height}x{i.width}x{i.channels}")


def make(name: str, image: Image) -> Any:
    torch.manual_seed(1)
    return build({"is": name, "image": {"is": "Image", **image.__dict__}, "width": 8}, Translator)


def pictures(image: Image, n: int = 4) -> torch.Tensor:
    rng = torch.Generator().manual_seed(2)
    return torch.rand(n, image.channels, image.height, image.width, generator=rng) * 2 - 1


@translators
@images
def test_a_picture_becomes_one_of_the_same_shape(name: str, image: Image) -> None:
    net, x = make(name, image), pictures(image).requires_grad_()
    y = net(x)
    assert y.shape == x.shape and y.abs().max() <= 1 and y.isfinite().all()
    y.square().sum().backward()
    assert x.grad is not None and (x.grad.abs().sum((1, 2, 3)) > 0).all()
    assert [n for n, p in net.named_parameters() if p.grad is None] == []


@translators
def test_rows_do_not_see_each_other(name: str) -> None:
    net, x = make(name, Image(3, 33, 20)), pictures(Image(3, 33, 20))
    with torch.no_grad():
        together, alone = net(x), torch.cat([net(row[None]) for row in x])
        turned = net(x.flip(0)).flip(0)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together, turned, rtol=1e-4, atol=1e-5)


@translators
def test_channels_last_and_bf16(name: str) -> None:
    net, x = make(name, Image(3, 32, 32)), pictures(Image(3, 32, 32))
    with torch.no_grad():
        full = net(x)
        last = net.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
        with torch.autocast("cpu", torch.bfloat16):
            half = net(x)
    torch.testing.assert_close(last, full, rtol=1e-3, atol=1e-4)
    assert (half.float() - full).abs().mean() < 0.05


@translators
def test_it_can_learn_to_exchange_colours(name: str) -> None:
    """Forty steps on fixed noise: the way out of the beginning is not closed."""
    image = Image(3, 8, 8)
    net, x = make(name, image), pictures(image, 16)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    errors: list[float] = []
    for _ in range(40):
        loss = (net(x) - x.roll(1, 1)).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(loss.item())
    assert errors[-1] < 0.5 * errors[0]
