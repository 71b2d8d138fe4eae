"""Augmentations: shapes, gradients, rows, feedback, and what each change does to a picture that shows it."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from limner.augments.ada import ADA
from limner.augments.affine import Affine
from limner.augments.base import Augment
from limner.augments.diff import DiffAugment, cut_out, shifted
from limner.core.latent import Gaussian
from limner.core.moment import Moment
from limner.core.pixels import Image
from limner.core.rng import generator
from limner.core.spec import catalog
from limner.models.base import Critic, Labels
from limner.models.plain import PlainGenerator
from limner.objectives.base import Game
from limner.objectives.games import NonSaturating, Relativistic
from limner.objectives.gan import GAN

each_augment = pytest.mark.parametrize("cls", catalog(Augment).values(), ids=lambda c: c.__name__)
SHAPES = [(1, 28, 28), (2, 9, 9), (3, 7, 12), (4, 31, 5), (3, 1, 1)]


def moment(n: int, rows: slice = slice(None), strength: float = 1.0, seed: int = 0) -> Moment:
    return Moment(0, 0.0, generator(seed), n, rows, strength=strength)


def pictures(n: int, *shape: int) -> Tensor:
    """Smooth pictures in [-1, 1]."""
    coarse = torch.rand(n, shape[0], 3, 3, generator=generator(5)) * 2 - 1
    return nn.functional.interpolate(coarse, shape[1:], mode="bilinear", align_corners=True)


@each_augment
@pytest.mark.parametrize("shape", SHAPES)
def test_any_shape_stays_that_shape(cls: type[Augment], shape: tuple[int, int, int]) -> None:
    x = pictures(6, *shape)
    y = cls()(x, moment(6))
    assert y.shape == x.shape and y.dtype == x.dtype and y.isfinite().all()
    # a single pixel cannot be moved
    assert not torch.equal(x, y) or (cls is Affine and shape[1:] == (1, 1))


@each_augment
def test_the_same_moment_is_the_same_change(cls: type[Augment]) -> None:
    x = pictures(6, 3, 8, 8)
    assert torch.equal(cls()(x, moment(6)), cls()(x, moment(6)))
    assert not torch.equal(cls()(x, moment(6)), cls()(x, moment(6, seed=1)))


@each_augment
@pytest.mark.parametrize("shape", SHAPES[:4])
def test_half_a_batch_is_the_rows_of_the_whole(cls: type[Augment], shape: tuple[int, int, int]) -> None:
    x = pictures(8, *shape)
    whole = cls()(x, moment(8))
    halves = [cls()(x[rows], moment(8, rows)) for rows in (slice(0, 3), slice(3, 8))]
    torch.testing.assert_close(torch.cat(halves), whole)


@each_augment
@pytest.mark.parametrize("shape", [(3, 5, 6), (2, 6, 5)])
def test_gradients_equal_finite_differences(cls: type[Augment], shape: tuple[int, int, int]) -> None:
    """All these maps are affine in the pixels, so that a difference of any width is exact."""
    x, direction = pictures(4, *shape).double(), torch.randn(4, *shape, generator=generator(9)).double()
    weight = torch.randn(4, *shape, generator=generator(10)).double()
    x.requires_grad_()
    (slope,) = torch.autograd.grad((cls()(x, moment(4)) * weight).sum(), x)
    moved = cls()(x + direction, moment(4)) - cls()(x, moment(4))
    torch.testing.assert_close((slope * direction).sum(), (moved * weight).sum(), rtol=1e-5, atol=1e-5)


@each_augment
@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_has_no_brightness(cls: type[Augment], channels: int) -> None:
    """A constant alpha stays what it is where no geometry cuts into it; colours do not stay."""
    x = torch.full((16, channels, 8, 8), 0.25)
    still = ADA() if cls is ADA else DiffAugment(shift=0, cutout=0)
    y = still(x, moment(16))
    torch.testing.assert_close(y[:, -1], x[:, -1])
    assert (y[:, 0] - x[:, 0]).abs().amax((1, 2)).min() > 1e-3


def test_diff_moves_whole_pixels_and_zeros_move_in() -> None:
    x = torch.arange(1.0, 17.0).view(1, 1, 4, 4).expand(9, -1, -1, -1)
    u = torch.cartesian_prod(torch.tensor([0.0, 0.5, 0.99]), torch.tensor([0.0, 0.5, 0.99]))
    moved = shifted(x, u, 0.25)
    for k, (down, right) in enumerate([(i, j) for i in (1, 0, -1) for j in (1, 0, -1)]):
        for i in range(4):
            for j in range(4):
                inside = 0 <= i - down < 4 and 0 <= j - right < 4
                assert moved[k, 0, i, j] == (x[k, 0, i - down, j - right] if inside else 0)


def test_diff_hides_a_rectangle_of_the_asked_size() -> None:
    hidden = cut_out(torch.ones(1, 2, 8, 12), torch.tensor([[0.5, 0.5]]), 0.5) == 0
    assert hidden[0, 0, 2:6, 3:9].all() and hidden.sum() == 2 * 4 * 6
    at_the_corner = cut_out(torch.ones(1, 1, 8, 8), torch.tensor([[0.0, 0.0]]), 0.5) == 0
    assert at_the_corner[0, 0, :2, :2].all() and at_the_corner.sum() == 4


def test_diff_colour_ranges() -> None:
    """Brightness ±0.5, contrast 0.5 to 1.5 around the mean, saturation 0 to 2 around grey (Zhao et al. 2020)."""
    x = torch.tensor([0.4, -0.4]).view(1, 1, 1, 2).expand(4000, -1, -1, -1)
    y = DiffAugment(shift=0, cutout=0)(x, moment(4000))[:, 0, 0]
    lift, gain = y.mean(1), (y[:, 0] - y[:, 1]) / 0.8
    assert -0.5 <= lift.min() < -0.49 and 0.49 < lift.max() <= 0.5
    assert 0.5 <= gain.min() < 0.51 and 1.49 < gain.max() <= 1.5001
    flat = torch.tensor([0.5, 0.0, -0.5]).view(1, 3, 1, 1).expand(4000, -1, -1, -1)
    spread = DiffAugment(shift=0, cutout=0)(flat, moment(4000))[:, :, 0, 0]
    ratio = (spread[:, 0] - spread[:, 2]) / (spread[:, 0] - spread[:, 1]).clamp_min(1e-6)
    assert ratio[spread[:, 0] - spread[:, 1] > 0.01].sub(2).abs().max() < 1e-3


def test_diff_can_be_switched_off_part_by_part() -> None:
    x = pictures(4, 3, 8, 8)
    assert torch.equal(DiffAugment(colour=False, shift=0, cutout=0)(x, moment(4)), x)


def test_ada_of_strength_zero_is_the_identity() -> None:
    x = pictures(4, 3, 8, 8)
    assert ADA().start == 0 and torch.equal(ADA()(x, moment(4, strength=0.0)), x)


@pytest.mark.parametrize("strength", [0.05, 0.3, 0.8])
def test_ada_changes_the_share_that_it_says(strength: float) -> None:
    """Not mirrored (p/2), nor shifted, scaled, turned, stretched, nor of other brightness, contrast, saturation (p)."""
    x = pictures(4000, 3, 4, 4)
    same = (ADA()(x, moment(4000, strength=strength)) - x).abs().amax((1, 2, 3)) < 1e-5
    expected = (1 - strength / 2) * (1 - strength) ** 7
    assert same.float().mean().item() == pytest.approx(expected, abs=4 * math.sqrt(expected / 4000) + 1e-3)


def test_ada_mirrors_less_than_half() -> None:
    """At strength 0.2 every tenth image; with nothing else to change, the others stay exactly."""
    ramp = torch.linspace(-1, 1, 16).expand(3000, 1, 16, 16)
    y = ADA(rotate=False)(ramp, moment(3000, strength=0.2))
    falling = (y[:, 0, :, 4:12].diff(dim=2).mean((1, 2)) < 0).float().mean().item()
    assert falling == pytest.approx(0.1, abs=0.02)
    assert not (ADA(rotate=False, flip=False)(ramp, moment(3000))[:, 0, :, 4:12].diff(dim=2).mean((1, 2)) < -1e-3).any()


def test_ada_turns_do_not_shear_wide_images() -> None:
    """A disc stays a disc in an image of 24 by 48: its widths along both axes are equal in pixels."""
    down, right = torch.meshgrid(torch.arange(24) - 11.5, torch.arange(48) - 23.5, indexing="ij")
    disc = (-(down**2 + right**2) / 18).exp().expand(300, 1, 24, 48)
    turned = ADA(flip=False)(disc, _OnlyTurns(0, 0.0, generator(0), 300, strength=1.0))[:, 0]
    turned = turned * (right.abs() < 12)  # further out are its mirror images in the upper and lower edge
    mass = turned.sum((1, 2))
    tall = ((turned * down**2).sum((1, 2)) / mass).sqrt()
    wide = ((turned * right**2).sum((1, 2)) / mass).sqrt()
    assert (tall / wide - 1).abs().max() < 0.02


class _OnlyTurns(Moment):
    """A moment at which every draw but the angle's is the neutral one."""

    def uniform(self, *shape: int) -> Tensor:
        return torch.full((self.total, *shape), 0.5) if shape else super().uniform()

    def normal(self, *shape: int) -> Tensor:
        return torch.zeros(self.total, *shape)


@pytest.mark.parametrize(("sign", "direction"), [(0.9, 1), (0.61, 1), (0.59, -1), (-1.0, -1)])
def test_ada_strength_follows_the_sign(sign: float, direction: int) -> None:
    ada = ADA(target=0.6, speed=1000.0)
    assert ada.adjust(0.5, sign, 100) == pytest.approx(0.5 + direction * 0.1)


def test_ada_strength_takes_its_speed_and_stays_in_range() -> None:
    ada, strength = ADA(speed=1000.0), 0.0
    for _ in range(10):
        strength = ada.adjust(strength, 1.0, 100)
    assert strength == pytest.approx(1.0)
    assert ada.adjust(strength, 1.0, 100) == 1.0 and ada.adjust(0.05, 0.0, 100) == 0.0


def test_diff_has_no_feedback() -> None:
    assert DiffAugment().adjust(0.7, 1.0, 1000) == 0.7


class _Offset(Critic):
    """Says 100 plus the mean of the pixels: a constant that a pair game cannot see."""

    def forward(self, x: Tensor, label: Labels | None = None) -> Tensor:
        return 100 + x.flatten(1).mean(1)


@pytest.mark.parametrize(("game", "sign"), [(Relativistic(), -1.0), (NonSaturating(), 1.0)])
def test_feedback_is_what_the_game_can_see(game: Game, sign: float) -> None:
    """A pair game has no zero: its critic is sure of a real image where that beats its fake."""
    image = Image(1, 2, 2)
    nets = nn.ModuleDict({"generator": PlainGenerator(image, Gaussian(2)), "critic": _Offset()})
    at = replace(moment(4), kept={"fake": torch.full((4, 1, 2, 2), 0.9)})
    batch = SimpleNamespace(x=torch.zeros(4, 1, 2, 2), label=None)
    GAN(game, ()).loss("critic", nets, batch, at)
    assert at.notes["real"].sign().mean() == sign


def test_affine_turns_moves_scales_and_mirrors() -> None:
    """A bright pixel lands where the numbers say, in pixels also where sides differ; nothing asked, nothing changed."""
    x = torch.full((1, 1, 21, 41), -1.0)
    x[0, 0, 10, 30] = 1.0  # ten pixels right of the middle
    still = Affine(turn=0.0, shift=0.0, scale=0.0)
    torch.testing.assert_close(still(x, moment(1)), x, atol=1e-5, rtol=0)

    def middle(y: Tensor) -> Tensor:
        light = y[0, 0] + 1
        rows, columns = torch.meshgrid(torch.arange(21.0) - 10, torch.arange(41.0) - 20, indexing="ij")
        return torch.stack([(light * rows).sum(), (light * columns).sum()]) / light.sum()

    for seed in range(4):
        u = moment(1, seed=seed).uniform(5)[0] * 2 - 1
        angle = math.radians(30.0) * u[0]
        turned = middle(Affine(turn=30.0, shift=0.0, scale=0.0)(x, moment(1, seed=seed)))
        torch.testing.assert_close(turned, 10 * torch.stack([-angle.sin(), angle.cos()]), atol=0.3, rtol=0)
        scaled = middle(Affine(turn=0.0, shift=0.0, scale=0.4)(x, moment(1, seed=seed)))
        torch.testing.assert_close(scaled, torch.stack([u.new_zeros(()), 10 / (1 + 0.4 * u[1])]), atol=0.3, rtol=0)
        moved = middle(Affine(turn=0.0, shift=0.1, scale=0.0)(x, moment(1, seed=seed)))
        torch.testing.assert_close(moved, torch.stack([-2.1 * u[3], 10 - 4.1 * u[2]]), atol=0.3, rtol=0)
        mirrored = middle(Affine(turn=0.0, shift=0.0, scale=0.0, mirror=True)(x, moment(1, seed=seed)))
        torch.testing.assert_close(mirrored[1], 10 * u[4].sign(), atol=0.3, rtol=0)
        low = x.roll((5, -10), (2, 3))  # five pixels below the middle
        step = 0.4 * (moment(1, seed=seed).uniform(6)[0, 5] * 2 - 1)
        slanted = middle(Affine(turn=0.0, shift=0.0, scale=0.0, slant=0.4)(low, moment(1, seed=seed)))
        torch.testing.assert_close(slanted, torch.stack([u.new_tensor(5.0), -5 * step]), atol=0.3, rtol=0)
