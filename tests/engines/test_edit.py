"""Edits of codes: ends, arcs, layers, seams, and what is left alone."""

from __future__ import annotations

import pytest
import torch

from limner.core.errors import UserError
from limner.core.latent import Gaussian, Sphere
from limner.core.pixels import Image
from limner.explore import edit
from limner.explore.directions import Directions
from limner.explore.spaces import Space, space
from limner.goals.base import Scene
from limner.models.plain import PlainGenerator
from limner.models.style import StyleGenerator

IMAGE = Image(1, 16, 16)


def plain(latent: Gaussian | Sphere) -> Space:
    return space(Scene({"generator": PlainGenerator(IMAGE, latent, width=8, depth=1).eval()}))


def styled() -> tuple[StyleGenerator, Space]:
    net = StyleGenerator(IMAGE, Gaussian(6), width=4, widest=8).eval()
    return net, space(Scene({"generator": net}), "w")


def test_moves_add_up_in_equal_parts() -> None:
    z, steps = torch.randn(3, 4), torch.eye(4)[:2]
    found = Directions(("a", "b"), steps, "z", "labels", "")
    frames = edit.moved(plain(Gaussian(4)), z, found, {"a": 3.0, "b": -1.5}, 3)
    assert torch.allclose(frames[-1] - z, torch.tensor([3.0, -1.5, 0, 0]).expand(3, 4), atol=1e-6)
    assert torch.allclose(frames[0] - z, (frames[-1] - z) / 3, atol=1e-6)
    on = edit.moved(plain(Sphere(4)), z, found, {"a": 9.0}, 1)
    assert torch.allclose(on.norm(dim=2), torch.full((1, 3), 2.0))  # a sphere is not left
    with pytest.raises(UserError, match="no direction 'c'"):
        edit.moved(plain(Gaussian(4)), z, found, {"c": 1.0}, 1)


def test_the_way_between_pictures_is_an_arc() -> None:
    """Both ends are met; half way between orthogonal codes of one length the length is the same."""
    a, b = torch.tensor([[2.0, 0, 0]]), torch.tensor([[0.0, 2, 0]])
    frames = edit.between(plain(Gaussian(3)), a.expand(2, 3), b, 5)
    assert frames.shape == (5, 2, 3)
    assert torch.allclose(frames[0, 0], a[0], atol=1e-6) and torch.allclose(frames[-1, 1], b[0], atol=1e-6)
    assert torch.allclose(frames.norm(dim=2), torch.full((5, 2), 2.0), atol=1e-5)
    assert torch.allclose(frames[2, 0], torch.tensor([2**0.5, 2**0.5, 0]), atol=1e-5)


@torch.no_grad()
def test_layers_take_the_styles_that_they_are_given() -> None:
    net, within = styled()
    w, other = net.mapping(torch.randn(2, 6)), net.mapping(torch.randn(2, 6))
    count = edit.layers_of(net)
    mixed = edit.in_layers(net, w, other[None], edit.chosen("1-", count))
    assert mixed.shape == (1, 2, count, 6)
    assert torch.equal(mixed[0, :, 0], w) and torch.equal(mixed[0, :, 1:], other[:, None].expand(-1, count - 1, -1))
    whole = edit.decoded(within, edit.in_layers(net, w, other[None], edit.chosen("0-", count)), None)
    assert torch.allclose(whole[0], net.synthesis(other), atol=1e-6)
    with pytest.raises(UserError, match="--recipe style"):
        edit.layers_of(plain(Gaussian(4)).scene.generator)


@pytest.mark.parametrize(
    ("text", "layers"), [("4-", (4, 5)), ("0-2", (0, 1, 2)), ("3", (3,)), ("-1", (0, 1)), ("0,5", (0, 5)), ("0-", None)]
)
def test_layers_as_people_write_them(text: str, layers: tuple[int, ...] | None) -> None:
    assert edit.chosen(text, 6) == (layers or tuple(range(6)))


@pytest.mark.parametrize("text", ["6", "a", "", "-", "2-9", "3-1", "1--2"])
def test_layers_that_are_not_there(text: str) -> None:
    with pytest.raises(UserError, match="--layers"):
        edit.chosen(text, 6)


def region() -> torch.Tensor:
    inside = torch.zeros(1, 1, 32, 32)
    inside[:, :, :, 16:] = 1
    return inside


def test_a_seam_is_soft_and_narrow() -> None:
    soft = edit.softened(region())[0, 0, 0]
    assert (soft[:14] == 0).all() and (soft[18:] == 1).all()
    assert soft[14:18].tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8])
    x, other = torch.zeros(2, 3, 32, 32), torch.ones(1, 3, 32, 32)
    assert torch.equal(edit.composite(x, other, region())[1, 2, 5], soft)


def test_the_seam_is_not_seen() -> None:
    x = torch.ones(1, 3, 32, 32)
    seen = edit.OffSeam(region()).measure(x)[0, 0, 0]
    assert seen.tolist() == [1.0] * 14 + [0.0] * 4 + [1.0] * 14


def test_what_is_not_edited_is_kept() -> None:
    """A picture with detail that the model lacks: where nothing changes it stays, exactly."""
    x, before = torch.rand(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    after = before.clone()
    after[..., 0] = 0.25
    kept = edit.carried(x, before, after)
    assert torch.equal(kept[..., 1:], x[..., 1:]) and torch.allclose(kept[..., 0], (x[..., 0] + 0.25).clamp(-1, 1))
