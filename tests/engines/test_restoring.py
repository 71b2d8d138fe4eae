"""Restoring: tiles without seams, a linear generator's closed form, an untrained prior, whole files."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from torch import Tensor
from torch.nn import functional as F

from limner.core.errors import UserError
from limner.core.latent import Gaussian
from limner.core.pixels import Image, to_bytes
from limner.data.whole import named, wholes, write
from limner.explore.spaces import space, starts
from limner.goals.base import Scene
from limner.models.base import Translator
from limner.models.linear import LinearGenerator
from limner.operators.base import Unknown
from limner.operators.blur import Blur
from limner.operators.colour import Grey
from limner.operators.mask import Mask
from limner.operators.noise import Noise
from limner.operators.projection import Project
from limner.operators.resample import Downsample
from limner.restoring.cases import Answer, damaged, given
from limner.restoring.climbing import ByClimbing
from limner.restoring.tiles import Tiles, apply, cuts
from limner.restoring.untrained import Untrained


class Smoothing(Translator):
    """The mean over 5×5, which sees two pixels far."""

    def __init__(self, image: Image, free: bool = True) -> None:
        super().__init__()
        self.image, self.any_size, self.largest = image, free, 0

    def forward(self, x: Tensor, label: Any = None) -> Tensor:
        self.largest = max(self.largest, *x.shape[2:])
        return F.avg_pool2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), 5, 1)


@pytest.mark.parametrize("shape", [(40, 40), (41, 77), (8, 100), (3, 5), (64, 33)])
@pytest.mark.parametrize("free", [True, False])
def test_tiles_show_no_seams(shape: tuple[int, int], free: bool) -> None:
    """Away from the edge of a tile the answer is that for the whole picture; blending hides the rest nearly."""
    x = torch.rand(2, 1, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    net = Smoothing(Image(1, 24, 24), free)
    whole = F.avg_pool2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), 5, 1)
    made = apply(net, x, Tiles(24, 12))
    assert made.shape == x.shape and net.largest <= 24 + (8 if free else 0)
    assert (made - whole).abs().max() < 0.1
    assert ((made - whole).abs() < 1e-6).float().mean() > 0.5


@pytest.mark.parametrize("length", [1, 23, 24, 25, 31, 48, 100])
@pytest.mark.parametrize("free", [True, False])
def test_cuts_cover_everything(length: int, free: bool) -> None:
    pieces = cuts(length, 24, 12, free)
    assert pieces[0][0] == 0 and pieces[-1][1] == length
    assert all(b[0] < a[1] for a, b in pairwise(pieces))
    assert not free or all(a % 8 == 0 for a, _ in pieces)


def test_colours_of_another_kind_than_the_networks() -> None:
    x = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1
    grey = Smoothing(Image(1, 24, 24))
    torch.testing.assert_close(apply(grey, x), grey(x))
    colour = Smoothing(Image(3, 24, 24))
    torch.testing.assert_close(apply(colour, x[:, :1]), colour(x[:, :1]))


def linear(dim: int = 3) -> LinearGenerator:
    torch.manual_seed(2)
    net = LinearGenerator(Image(1, 4, 4), Gaussian(dim), output="linear").eval().requires_grad_(False)
    net.entry.dense.weight.mul_(5)
    return net


def byte_cases(net: LinearGenerator, operator: Any, n: int = 1) -> list[Any]:
    x = net(net.latent.sample(n, torch.Generator().manual_seed(5))).clamp(-1, 1)
    pixels = ((x + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return [damaged(one, operator, 0, number, f"{number}.png") for number, one in enumerate(pixels)]


@pytest.mark.parametrize("operator", [Noise(0.3), Noise(0.2) @ Mask(half="left"), Noise(0.1) @ Project(6)], ids=str)
@pytest.mark.parametrize("estimate", ["likeliest", "mean"])
def test_the_likeliest_answer_of_a_linear_generator_is_the_closed_form(operator: Any, estimate: Any) -> None:
    """argmin |A(Wz + b) - y|² / 2σ² + |z|² / 2 is a ridge regression, and all starts get there."""
    net = linear()
    (case,) = byte_cases(net, operator)
    how: Any = {"samples": 1, "starts": 2, "steps": 40, "fit": 0.0, "optimizer": "LBFGS", "estimate": estimate}
    solver = ByClimbing(Scene({"generator": net}), **how)
    weight, bias = net.entry.dense.weight.T, net.entry.dense.bias
    rows = case.operator.measure(weight.view(-1, 1, 4, 4)).flatten(1)
    y = (case.y - case.operator.measure(bias.view(1, 1, 4, 4))).flatten()
    precision = rows @ rows.T / operator.deviation**2 + torch.eye(3)
    z = torch.linalg.solve(precision, rows @ y / operator.deviation**2)
    torch.testing.assert_close(solver([case])[0].samples, net(z[None]), rtol=0, atol=2e-3)


@pytest.mark.slow
def test_the_spread_of_answers_is_the_posteriors() -> None:
    net, operator = linear(), Noise(0.4) @ Mask(half="left")
    (case,) = byte_cases(net, operator)
    solver = ByClimbing(Scene({"generator": net}), samples=401, starts=1, steps=20, fit=0.0, optimizer="LBFGS")
    answer = solver([case])[0].samples[1:].flatten(1)
    weight = net.entry.dense.weight.T
    rows = operator.measure(weight.view(-1, 1, 4, 4)).flatten(1)
    covariance = weight.T @ torch.linalg.inv(rows @ rows.T / 0.4**2 + torch.eye(3)) @ weight
    torch.testing.assert_close(answer.std(0), covariance.diagonal().sqrt(), rtol=0.15, atol=0.02)


def test_the_mean_weighs_each_start_by_how_likely_it_is() -> None:
    """Hardly measured, three ends that are not climbed far: odds are those of the posterior at them."""
    net = linear()
    (case,) = byte_cases(net, Noise(3.0) @ Mask(half="left"))

    def answered(**how: Any) -> Tensor:
        short: Any = {"samples": 1, "starts": 3, "steps": 1, "fit": 0.0, "optimizer": "Adam"}
        return ByClimbing(Scene({"generator": net}), **short, **how)([case])[0].samples

    z = starts(space(Scene({"generator": net})), "prior", [0], 3, seed=0)[0]
    with torch.no_grad():
        ends = net(z)
        misfit = (case.operator.measure(ends) - case.y).flatten(1).square().sum(1) / (2 * 3.0**2)
    odds = (-(z.square().sum(1) / 2) - misfit).softmax(0)
    mean, best = answered(estimate="mean"), answered()
    torch.testing.assert_close(mean[0], torch.einsum("r,rchw->chw", odds, ends), rtol=0, atol=0.2)
    assert (mean - ends[odds.argmax()]).abs().max() > (best - ends[odds.argmax()]).abs().max()


def test_a_picture_is_restored_the_same_alone_and_in_a_batch() -> None:
    net = linear()
    cases = byte_cases(net, Noise(0.2) @ Mask(random=0.3), 3)
    solver = ByClimbing(Scene({"generator": net}), samples=2, starts=2, steps=15)
    together = solver(cases)
    alone = solver(cases[1:2])[0]
    torch.testing.assert_close(together[1].samples, alone.samples, rtol=0, atol=1e-4)
    assert cases[0].operator != cases[1].operator, "each picture misses other pixels"


def test_an_unknown_width_of_blur_is_found() -> None:
    """Of the five widths that are tried, the true one explains the measurement best."""
    torch.manual_seed(3)
    net = LinearGenerator(Image(1, 12, 12), Gaussian(6), output="linear").eval().requires_grad_(False)
    net.entry.dense.weight.mul_(4)
    z = net.latent.sample(1, torch.Generator().manual_seed(5))
    x = net(z)
    pixels = ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()[0]
    blurred = damaged(pixels, Noise(0.05) @ Blur(1.25))
    from dataclasses import replace

    case = replace(blurred, operator=Noise(0.05) @ Blur(Unknown(0.5, 2.0)))
    solver = ByClimbing(Scene({"generator": net}), samples=1, starts=1, steps=30, fit=0.0, optimizer="LBFGS")
    blind, told = solver([case])[0].samples, solver([blurred])[0].samples
    torch.testing.assert_close(blind, told, rtol=0, atol=0.02)


def test_kept_pixels_are_the_measured_ones() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 1), dtype=np.uint8)
    case = damaged(pixels, Mask())
    answer = Answer(torch.zeros(2, 1, 8, 8)).kept(case)
    keep = Mask().kept(case.seen).bool().expand(2, 1, 8, 8)
    assert torch.equal(answer.samples[keep], case.truth.expand(2, -1, -1, -1)[keep])
    assert not answer.samples[~keep].any()
    assert answer.scores(case)["seen PSNR"] == pytest.approx(answer.scores(case)["PSNR"], abs=0.05)


def test_what_is_missing_is_shown_and_not_measured() -> None:
    """Two greys in turn exactly where the mask is, also below noise; what is computed with is as it was."""
    pixels = np.full((8, 6, 1), 200, np.uint8)
    for operator in (Mask(half="left"), Noise(0.2) @ Mask(half="left"), Downsample(2) @ Mask(half="left")):
        case = damaged(pixels, operator)
        assert case.missing is not None and case.missing[0, 0].tolist() == [[1.0] * 3 + [0.0] * 3] * 8
        shown, seen = case.shown(), to_bytes(case.seen)[0]
        assert np.array_equal(shown[:, 3:], seen[:, 3:])
        assert shown[1:3, :3, 0].tolist() == [[70, 70, 150], [150, 150, 70]]
        assert torch.equal(case.seen, operator.guess(case.y, case.seen))
        answer = Answer(torch.zeros(1, 1, 8, 6))
        assert np.array_equal(answer.row(case)[0], shown) and answer.scores(case)["seen PSNR"] < 100
    small = given(pixels[:4, :3], Mask(half="top") @ Downsample(2))
    assert small.missing is not None and small.missing[0, 0].tolist() == [[1.0] * 6] * 4 + [[0.0] * 6] * 4
    for operator in (Blur(1.0), Project(5), Noise(0.1) @ Project(5), Downsample(2), Grey()):
        case = damaged(pixels, operator)
        assert np.array_equal(case.shown(), to_bytes(case.seen)[0])


def test_given_pictures_know_the_size_of_the_answer() -> None:
    pixels = np.zeros((5, 6, 1), np.uint8)
    assert given(pixels, Downsample(4)).seen.shape == (1, 1, 20, 24)
    assert given(pixels, Grey(), None, 3).seen.shape == (1, 3, 5, 6)
    truth = np.zeros((18, 21, 1), np.uint8)
    assert given(pixels, Downsample(4), truth).seen.shape == (1, 1, 18, 21)
    with pytest.raises(UserError, match="numbers, not"):
        given(np.zeros((5, 7, 1), np.uint8), Downsample(4), truth)


def test_an_untrained_network_fills_a_hole() -> None:
    """A smooth picture with a third of its pixels lost, at 16×16."""
    at = np.linspace(0, 1, 16)
    pixels = (255 * (0.2 + 0.6 * np.outer(at, 1 - at))).astype(np.uint8)[:, :, None]
    case = damaged(pixels, Mask(random=0.33))
    (answer,) = Untrained(steps=300, width=16, coarsest=4)([case])
    scores = answer.scores(case)
    assert scores["PSNR"] > scores["seen PSNR"] + 5
    short = [Untrained(steps=3, width=16, coarsest=4)([case])[0].samples for _ in range(2)]
    assert torch.equal(*short)


def test_transparency_and_exif_are_kept_and_nothing_is_resized(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    picture = Pillow.fromarray(rng.integers(0, 256, (9, 14, 4), dtype=np.uint8), "RGBA")
    exif = Pillow.Exif()
    exif[0x010E], exif[0x0112] = "a meadow", 6
    picture.save(tmp_path / "a.png", exif=exif)
    Pillow.fromarray(rng.integers(0, 256, (7, 5), dtype=np.uint8)).save(tmp_path / "b.bmp")
    a, b = wholes(str(tmp_path), "train")
    assert a.colours.shape == (14, 9, 3) and a.alpha is not None and b.colours.shape == (7, 5, 1) and b.alpha is None
    with Pillow.open(write(a, a.colours, named(a, tmp_path / "out"))) as again:
        assert again.mode == "RGBA" and again.getexif()[0x010E] == "a meadow" and again.getexif().get(0x0112, 1) == 1
        np.testing.assert_array_equal(np.asarray(again)[:, :, :3], a.colours)
        np.testing.assert_array_equal(np.asarray(again)[:, :, 3], a.alpha)
    with Pillow.open(write(a, a.colours.repeat(2, 0).repeat(2, 1), tmp_path / "large.png")) as large:
        assert large.size == (18, 28) and large.mode == "RGBA"
    (tmp_path / "c.png").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"c\.png: not a picture"):
        list(wholes(str(tmp_path), "train"))
