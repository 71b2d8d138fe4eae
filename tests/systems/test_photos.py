"""The recipe for photographs: what chooses it, whatever the pictures are like, and what its models can do at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import limner
from limner.core.errors import UserError
from limner.core.pixels import Image
from limner.core.spec import build
from limner.data.gather import of_arrays
from limner.data.images import Images
from limner.project import Project, Settings
from limner.recipes.base import Facts, plan
from limner.run import Run, check
from limner.train import Budget


def scenes(n: int, channels: int = 3, classes: int = 0, side: int = 32) -> Images:
    """A bright disc before a colour, and a darker lower half."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    pixels = np.empty((n, side, side, channels), np.uint8)
    for picture in pixels:
        centre, radius = rng.uniform(side / 4, 3 * side / 4, 2), rng.uniform(4, 10)
        picture[:] = rng.integers(0, 255, channels)
        picture[side // 2 :] //= 2
        picture[(y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2] = rng.integers(100, 255, channels)
    label = np.arange(n) % classes if classes else None
    return of_arrays(pixels, label, tuple(map(str, range(classes))))


def trained(images: Images, out: Path, *options: str, count: int = 32) -> limner.Likeness:
    """A model of a few steps."""
    facts = Facts(images.image, len(images), len(images.names), "cpu", 0)
    spec = plan("photos", facts, ("batch=8", "generator.width=4", "generator.widest=16", *options))
    project = Project.create(out, Settings.of(images, spec, "photos", Budget(images=count), source="planted"))
    for _ in project.work(images):
        pass
    return limner.load(out)


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (Image(3, 64, 64), "PhotoGenerator"),
        (Image(3, 32, 48), "PhotoGenerator"),
        (Image(3, 31, 64), "LightGenerator"),
        (Image(1, 64, 64), "LightGenerator"),
        (Image(4, 64, 64), "LightGenerator"),
    ],
    ids=str,
)
def test_colour_pictures_of_32_pixels_are_photographs_by_default(image: Image, kind: str) -> None:
    run = plan("default", Facts(image, 1000, 0, "cpu"))
    assert run["nets"]["generator"]["is"] == kind
    assert run.get("mirror", False) == (kind == "PhotoGenerator")


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_channels_train_and_paint(channels: int, tmp_path: Path) -> None:
    model = trained(scenes(40, channels), tmp_path / "run")
    assert model.sample(3).shape == (3, 32, 32, channels)
    assert model.header["backbone"]["name"] == "mobilenet_v2"


def test_ten_pictures_and_more_classes_than_a_class_has_pictures(tmp_path: Path) -> None:
    model = trained(scenes(10, classes=5), tmp_path / "run")
    assert model.sample(5, label="all").shape == (5, 32, 32, 3)


def test_codes_of_pictures_without_a_trained_encoder(tmp_path: Path) -> None:
    """The code of a picture leads back to what the flow was given: features of that picture and of no other."""
    images = scenes(120)
    model = trained(images, tmp_path / "run", "generator.latent=Gaussian(16)", "encoder.latent=Gaussian(16)")
    encoder, generator = model.encoder, model.generator
    assert encoder is not None
    x = torch.from_numpy(np.array(images.pixels[:40])).permute(0, 3, 1, 2).float() / 127.5 - 1
    codes = encoder.code(x)  # pyright: ignore
    again = generator.mapping(encoder(x).mean)  # pyright: ignore
    assert torch.cdist(again, codes).argmin(1).equal(torch.arange(40))
    assert model.reconstruct(images.pixels[:8]).shape == (8, 32, 32, 3)


def test_a_code_has_one_picture_and_a_near_code_a_near_picture(tmp_path: Path) -> None:
    model = trained(scenes(40), tmp_path / "run")
    net = model.generator
    for name, strength in net.named_parameters():
        if "strength" in name:
            strength.fill_(0.3)
    z, rng = torch.randn(4, net.latent.dim), torch.Generator().manual_seed(0)
    away = torch.randn(z.shape, generator=rng)
    with torch.no_grad():
        assert torch.equal(net(z), net(z)) and torch.equal(net(z)[1:2], net(z)[1:2])
        far, near, nearer = ((net(z + step * away) - net(z)).norm() for step in (1.0, 0.01, 0.001))
    assert nearer < near < 0.2 * far and nearer < 0.2 * near


def test_resumed_it_is_the_same(tmp_path: Path) -> None:
    images = scenes(40, classes=2)
    facts = Facts(images.image, len(images), 2, "cpu", 0)
    spec = plan("photos", facts, ("batch=8", "generator.width=4", "generator.widest=16"))
    found: list[dict[str, Any]] = []
    for pieces in ((48,), (16, 48)):
        out = tmp_path / f"run-{len(pieces)}"
        for k, count in enumerate(pieces):
            settings = Settings.of(images, spec, "photos", Budget(images=count), source="planted")
            project = Project.create(out, settings) if k == 0 else Project.open(out).extend(Budget(images=count))
            for _ in project.work(images):
                pass
        state = limner.load(out).nets
        found.append({f"{role}.{name}": w for role, net in state.items() for name, w in net.state_dict().items()})
    # the learning rate depends on the budget: compare what does not
    fixed = [name for name in found[0] if name.startswith("encoder.") or ".mixing." in name or ".flow." in name]
    assert fixed and all(torch.equal(found[0][name], found[1][name]) for name in fixed)


def test_two_domains_are_not_mirrored() -> None:
    facts = Facts(Image(3, 32, 32), 100, 0, "cpu")
    with pytest.raises(UserError, match="mirror"):
        check(build(plan("cyclegan", facts, ("mirror=true",)), Run))
