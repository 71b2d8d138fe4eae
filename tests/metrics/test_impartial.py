"""No network judges what it helped to train: what model files say of backbones, and what is withheld for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from limner.core.pixels import Image
from limner.core.pretrained import Pretrained, recorded, used_by, written
from limner.evaluate import Scored, evaluate, table
from limner.metrics.base import Extractor
from limner.metrics.mobilenet import MobileNetV2
from limner.metrics.photographs import Photographs
from limner.models.backbone import NAME, digest
from limner.models.photo import PhotoEncoder
from limner.models.projected import ProjectedCritic

from .conftest import images

TRUNK = Pretrained("mobilenet_v2", "5af3")


class Critic(nn.Module):
    """A network that looks through something."""

    def __init__(self, backbone: object) -> None:
        super().__init__()
        self.backbone = backbone


def test_networks_name_their_backbones() -> None:
    plain, critic = nn.Linear(2, 2), Critic(TRUNK)
    assert used_by([plain]) == ()
    assert used_by([plain, critic, nn.Sequential(critic)]) == (TRUNK,)
    assert used_by([nn.Sequential(Critic("vgg"))]) == (Pretrained("vgg"),)
    assert used_by([Critic(None)]) == ()


def test_the_networks_of_photographs_name_theirs() -> None:
    """The features of MobileNetV2 from a file of torchvision's go by the same name."""
    image = Image(3, 32, 32)
    assert used_by([ProjectedCritic(image)]) == used_by([PhotoEncoder(image)]) == (Pretrained(NAME, digest()),)
    assert MobileNetV2.name == NAME != Photographs().backbone


@pytest.mark.parametrize("several", [(), (TRUNK,), (TRUNK, Pretrained("vgg"))])
def test_headers_say_it(several: tuple[Pretrained, ...]) -> None:
    assert recorded({"nimg": 3} | written(several)) == several
    assert written(several[:1]) in ({}, {"backbone": {"name": "mobilenet_v2", "digest": "5af3"}})


def test_the_name_or_the_digest_suffices() -> None:
    assert TRUNK.is_same("mobilenet_v2", "other weights") and TRUNK.is_same("renamed", "5af3")
    assert not TRUNK.is_same("efficientnet_lite0", "181d") and not Pretrained("a").is_same("", "")


@dataclass(frozen=True)
class Flat(Extractor):
    """The pixels themselves, by the name of a network."""

    name: str = "flat"
    backbone: str = "mobilenet_v2"
    digest: str = "0"  # type: ignore[assignment]

    def __call__(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def scored(extractor: Extractor, trained_with: tuple[Pretrained, ...]) -> Scored:
    rng = np.random.RandomState(0)
    data = images(rng.randint(0, 255, (400, 4, 4, 1)).astype(np.uint8))
    metrics = ("FrechetDistance", "Coverage", "RebuiltPSNR", "Distinguisher(seen=200)")
    *_, last = evaluate(
        lambda first, count: torch.zeros(count, 1, 4, 4), data, extractor=extractor, n=200, metrics=metrics,
        rebuild=lambda x: x, trained_with=trained_with,
    )  # fmt: skip
    assert isinstance(last, Scored)
    return last


def test_scores_on_its_own_backbone_are_withheld_and_those_of_pixels_are_not() -> None:
    done = scored(Flat(), (TRUNK,))
    assert [s.metric for s in done.scores] == ["RebuiltPSNR", "Distinguisher"]
    assert {w.metric: w.features for w in done.withheld} == {"FrechetDistance": "flat", "Coverage": "flat"}
    assert all("trained with mobilenet_v2" in w.reason and "--features photographs" in w.reason for w in done.withheld)
    assert "withheld: Fréchet distance, coverage: the model was trained" in table(done.scores, done.withheld)


def test_other_networks_judge() -> None:
    for extractor, trained_with in ((Flat(backbone=""), (TRUNK,)), (Flat(), ()), (Flat(), (Pretrained("vgg", "1"),))):
        assert len(scored(extractor, trained_with).scores) == 4
