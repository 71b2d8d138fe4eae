"""The projected critic: standardised views, judges of which each sees one scale, the penalty's weight."""

from __future__ import annotations

import math

import pytest
import torch

from limner.core.moment import Moment
from limner.core.pixels import Image
from limner.models.projected import MIXED, REFERENCE, Head, ProjectedCritic
from limner.objectives.base import Scene, slope
from limner.objectives.penalties import R1
from limner.objectives.piecewise import piecewise_linear

IMAGE = Image(3, 32, 32)


def pictures(n: int = 32) -> torch.Tensor:
    smooth = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return torch.nn.functional.interpolate(smooth, size=(32, 32), mode="bilinear")


def test_views_are_standardised_on_the_pictures_they_were_fitted_to() -> None:
    critic = ProjectedCritic(IMAGE)
    critic.fit([pictures()[:20], pictures()[20:]])
    for view, scale in zip(critic.views(pictures()), critic.scales, strict=True):
        plain = view / scale
        assert plain.mean((0, 2, 3)).abs().max() < 1e-3
        assert (plain.std((0, 2, 3)) - 1).abs().max() < 1e-2


def test_what_it_says_is_the_mean_of_its_judges() -> None:
    critic, x, label = ProjectedCritic(IMAGE, classes=3, pixels=4), pictures(4), torch.tensor([0, 1, 2, -1])
    said = [judge(view, label) for judge, view in zip(critic.judges(), critic.views(x), strict=True)]
    assert len(said) == len(MIXED) + 1
    torch.testing.assert_close(critic(x, label), torch.stack(said).mean(0))
    assert critic.features(x).shape[0] == 4 and critic.class_logits(x).shape == (4, 3)


def test_a_penalty_weighs_each_scale_by_how_many_numbers_it_has() -> None:
    """γ/2 ‖∇‖² by a view equals γ · dims/3072 / 2 ‖∇‖² by the standardised features."""
    critic, x = ProjectedCritic(IMAGE), pictures(4)
    for judge, view, scale in zip(critic.judges(), critic.views(x), critic.scales, strict=True):
        seen = view.detach().requires_grad_()
        logits = judge(seen)
        scene = Scene(judge, seen, seen, None, logits, logits, Moment(0, 0.0, torch.Generator(), 4))
        plain = (view / scale).detach().requires_grad_()
        by_plain = slope(plain, judge(plain * scale)).square().flatten(1).sum(1)
        torch.testing.assert_close(R1(2.0)(scene), by_plain * (plain[0].numel() / REFERENCE))


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (48, 100)])
def test_judges_are_piecewise_linear_so_their_penalties_are_cheap(size: tuple[int, int]) -> None:
    critic = ProjectedCritic(Image(3, *size), classes=2)
    x = torch.zeros(2, 3, *size)
    label = torch.tensor([0, 1])
    for judge, view in zip(critic.judges(), critic.views(x), strict=True):
        assert isinstance(judge, Head) and piecewise_linear(judge, view.detach(), label)


def test_mixing_stays_as_it_is() -> None:
    critic = ProjectedCritic(IMAGE)
    learning = {name.split(".")[0] for name, _ in critic.named_parameters()}
    assert learning == {"heads"} and math.isclose(critic.scales[0], math.sqrt(REFERENCE / (64 * 16 * 16)))
