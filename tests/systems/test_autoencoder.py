"""Autoencoders: what the encoder is shown, PCA as the linear case, distances by their formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from limner.core.errors import UserError
from limner.core.latent import Gaussian
from limner.core.moment import Moment
from limner.core.pixels import Image
from limner.core.schedule import Ramp
from limner.core.spec import build, catalog
from limner.data.batches import Batch
from limner.distances.base import Distance
from limner.distances.pixel import Squared
from limner.distances.ssim import SSIM, Frequency
from limner.likeness import Likeness
from limner.models.base import Encoder, Generator
from limner.models.plain import PlainEncoder, PlainGenerator
from limner.objectives.autoencoder import Autoencoder
from limner.proofs.autoencoder import PCA, linear, psnr

N = 64


def moment(progress: float = 0.0, purpose: int = 0, n: int = N) -> Moment:
    return Moment(0, progress, torch.Generator().manual_seed(purpose), n)


def pictures(n: int = N, channels: int = 3, side: int = 16) -> torch.Tensor:
    rng = torch.Generator().manual_seed(7)
    return torch.rand(n, channels, side, side, generator=rng) * 2 - 1


def players(encoder: int = 8, generator: int = 8) -> nn.ModuleDict:
    image = Image(3, 16, 16)
    nets = {"encoder": PlainEncoder(image, Gaussian(encoder)), "generator": PlainGenerator(image, Gaussian(generator))}
    return nn.ModuleDict(nets)


def test_without_noise_and_holes_the_encoder_sees_the_pictures() -> None:
    x = pictures()
    assert Autoencoder().corrupt(x, moment()) is x


def test_noise_and_holes_are_as_large_as_asked() -> None:
    x = pictures()
    noise = Autoencoder(noise=0.5).corrupt(x, moment()) - x
    assert noise.mean().abs() < 0.01 and abs(noise.std().item() - 0.5) < 0.01
    holed = Autoencoder(masked=0.25).corrupt(x, moment())
    hole = (holed == 0).all(1)
    assert abs(hole.float().mean().item() - 0.25) < 0.02
    assert torch.equal(holed.movedim(1, -1)[~hole], x.movedim(1, -1)[~hole]), "all channels of a pixel, or none"


def test_noise_may_follow_a_curve() -> None:
    x, curve = pictures(), Autoencoder(noise=Ramp(0.0, 1.0))
    assert curve.corrupt(x, moment(0.0)) is x
    assert abs((curve.corrupt(x, moment(0.5)) - x).std().item() - 0.5) < 0.01


def test_the_target_is_clean_whatever_the_encoder_sees() -> None:
    x, nets, objective = pictures(), players(), Autoencoder(noise=0.5)
    code = nets["encoder"](objective.corrupt(x, moment())).mean
    expected = (nets["generator"](code) - x).square().flatten(1).mean(1)
    torch.testing.assert_close(objective.loss("autoencoder", nets, Batch(x, None), moment())["distance"], expected)


@pytest.mark.parametrize("name", sorted(catalog(Distance).keys() - {"LPIPS"}))  # which is a file of weights
def test_any_distance_is_what_is_made_small(name: str) -> None:
    x, nets, distance = pictures(4), players(), build(name, Distance)
    (value,) = Autoencoder(distance).loss("autoencoder", nets, Batch(x, None), moment(n=4)).values()
    torch.testing.assert_close(value, distance(nets["generator"](nets["encoder"](x).mean), x))


def test_two_sizes_of_code_are_named() -> None:
    with pytest.raises(UserError, match=r"Gaussian\(dim=4\), not Gaussian\(dim=8\).*-o .encoder.latent"):
        Autoencoder().check(dict(players(8, 4).items()))


def test_a_linear_autoencoder_finds_the_principal_axes() -> None:
    assert 0 <= linear(0, 100_000) < 2.0


def test_pca_of_all_axes_loses_nothing() -> None:
    x = pictures(200, 1, 4)
    torch.testing.assert_close(PCA(x, 16)(x), x, rtol=1e-4, atol=1e-5)
    assert psnr(PCA(x, 8)(x), x) > psnr(PCA(x, 4)(x), x)


def test_ssim_is_its_formula_in_every_window() -> None:
    x, y = pictures(2, 1, 13)[:, :, :, :12], pictures(4, 1, 13)[2:, :, :, :12]
    bell = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(bell, bell) / bell.sum() ** 2
    for k in range(2):
        a, b, found = (x[k, 0].double().numpy() + 1) / 2, (y[k, 0].double().numpy() + 1) / 2, []
        for i in range(3):
            for j in range(2):
                p, q = a[i : i + 11, j : j + 11], b[i : i + 11, j : j + 11]
                mp, mq = (window * p).sum(), (window * q).sum()
                vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
                both = (window * (p - mp) * (q - mq)).sum()
                c1, c2 = 0.01**2, 0.03**2
                found.append((2 * mp * mq + c1) * (2 * both + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
        assert SSIM()(x, y)[k].item() == pytest.approx(1 - np.mean(found), abs=1e-4)


@pytest.mark.parametrize("side", [1, 2, 4, 8, 11])
def test_ssim_takes_the_window_that_fits(side: int) -> None:
    x = pictures(2, 3, side)
    assert SSIM()(x, x).abs().max() < 1e-5 and (SSIM()(x, -x) > 0).all()


def test_ssim_forgives_light_and_not_structure() -> None:
    x = pictures(4) / 2
    lighter, shuffled = x + 0.1, x.flip(3)
    assert (SSIM()(lighter, x) < SSIM()(shuffled, x)).all()


def test_frequency_without_power_is_the_squared_error() -> None:
    x, y = pictures()[:, :, :, :15], pictures().flip(0)[:, :, :, :15]
    torch.testing.assert_close(Frequency(0.0)(x, y), Squared()(x, y))


def test_frequency_counts_fine_stripes_in_full_and_flat_errors_little() -> None:
    x = torch.zeros(1, 1, 16, 16)
    checkers = ((torch.arange(16)[:, None] + torch.arange(16)) % 2 * 2.0 - 1).view(1, 1, 16, 16)
    assert Frequency(1.0)(checkers, x).item() == pytest.approx(1.0, abs=1e-5)
    assert Frequency(1.0)(x + 1, x).item() == pytest.approx(2**0.5 / 16, abs=1e-5)


def test_a_model_reconstructs_bytes_and_says_what_it_lacks() -> None:
    nets = {"encoder": PlainEncoder(Image(1, 8, 8)).eval(), "generator": PlainGenerator(Image(1, 8, 8)).eval()}
    pixels = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 1), dtype=np.uint8)
    model = Likeness(dict(nets))
    made = model.reconstruct(pixels)
    assert made.shape == pixels.shape and made.dtype == np.uint8
    np.testing.assert_array_equal(made[260:], model.reconstruct(pixels[260:]))
    with pytest.raises(UserError, match="no encoder"):
        Likeness({"generator": nets["generator"]}).reconstruct(pixels)
    with pytest.raises(UserError, match="8×8 grey"):
        model.reconstruct(pixels[:, :4])


@pytest.mark.parametrize("name", [n.removesuffix("Encoder") for n in catalog(Encoder)])
def test_every_family_with_an_encoder_has_a_generator_of_the_same_code(name: str) -> None:
    image = Image(3, 16, 16)
    if f"{name}Generator" in catalog(Generator):
        encoder = build(f"{name}Encoder", Encoder, image=image)
        Autoencoder().check({"encoder": encoder, "generator": build(f"{name}Generator", Generator, image=image)})
