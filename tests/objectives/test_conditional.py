"""Ways of telling labels: each is what its formula says, for every family, and 0s and a 1 mean the same as a class."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from limner.core.errors import UserError
from limner.core.pixels import Image
from limner.core.spec import build, catalog, options, spec
from limner.models.base import Classes, Critic, Generator, Judgement
from limner.models.conditional import ConditionalCritic, ConditionalGenerator
from limner.models.light import LightCritic, LightGenerator

IMAGE, K = Image(1, 8, 8), 3
LABEL = torch.tensor([0, 2, -1, 1])
NUMBERS = torch.where(LABEL[:, None] < 0, torch.nan, F.one_hot(LABEL.clamp_min(0), K).float())


def stirred(net: Any) -> Any:
    """In evaluation mode, with no weight at its start: what begins at 0 matters."""
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net.eval()


def given(net: Any) -> torch.Tensor:
    rng = torch.Generator().manual_seed(3)
    return net.latent.sample(4, rng) if isinstance(net, Generator) else torch.rand(4, 1, 8, 8, generator=rng) * 2 - 1


@pytest.mark.parametrize("name", [*catalog(Generator), *catalog(Critic)])
def test_numbers_that_are_a_class_mean_that_class(name: str) -> None:
    kind = Generator if name in catalog(Generator) else Critic
    small = {"width": 8} if "width" in {o.name for o in options(catalog(kind)[name])} else {}
    net = stirred(build({"is": name, "image": spec(IMAGE), "classes": K, **small}, kind))
    torch.testing.assert_close(net(given(net), NUMBERS), net(given(net), LABEL))


def test_numbers_weigh_the_rows_of_classes() -> None:
    rows = stirred(Classes(2, 5))
    weight = rows.rows.weight
    said = rows(torch.tensor([[0.25, 2.0], [float("nan"), 1.0]]), 2)
    torch.testing.assert_close(said[0], 0.25 * weight[1] + 2 * weight[2])
    torch.testing.assert_close(said[1], 0.5 * weight[0] + weight[2])


def test_class_logits_are_what_a_label_adds_to_the_judgement() -> None:
    """Miyato & Koyama 2018, eq. 3: the projection of a class is its logit."""
    head, h = stirred(Judgement(6, K)), torch.randn(4, 6)
    logits = head.class_logits(h)
    for k in range(K):
        told = head(h, torch.full((4,), k)) - head.dense(h)[:, 0]
        torch.testing.assert_close(told, logits[:, k])
    with pytest.raises(UserError, match="cannot name classes"):
        Judgement(6, 0).class_logits(h)


def test_concatenation_puts_a_plane_a_class_beside_the_picture() -> None:
    net = stirred(ConditionalCritic(IMAGE, K, "concatenation", "LightCritic(width=4, features=8)"))
    x = given(net)
    planes = torch.zeros(4, K, 8, 8)
    planes[0, 0], planes[1, 2], planes[3, 1] = 1, 1, 1
    torch.testing.assert_close(net(x, LABEL), net.inner(torch.cat([x, planes], 1)))
    assert net.inner.image.channels == 1 + K


def test_concatenation_puts_a_one_beside_the_code() -> None:
    net = stirred(ConditionalGenerator(IMAGE, classes=K, by="concatenation", inner="LightGenerator(width=4)"))
    z = given(net)
    told = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0]])
    torch.testing.assert_close(net(z, LABEL), net.inner(torch.cat([z, told], 1)))
    assert net.latent.dim == 64 and net.inner.latent.dim == 67


def test_a_learned_plane_and_a_learned_factor() -> None:
    critic = stirred(ConditionalCritic(IMAGE, K, "embedding", {"is": "PlainCritic", "width": 8}))
    x = given(critic)
    planes = critic.plane.rows.weight[LABEL + 1].view(4, 1, 8, 8)
    torch.testing.assert_close(critic(x, LABEL), critic.inner(torch.cat([x, planes], 1)))
    net = stirred(ConditionalGenerator(IMAGE, classes=K, by="product", inner="PlainGenerator(width=8)"))
    z = given(net)
    torch.testing.assert_close(net(z, LABEL), net.inner(z * net.factors.rows.weight[LABEL + 1]))


def test_inner_and_projection_are_the_families_own_ways() -> None:
    critic = stirred(ConditionalCritic(IMAGE, K, "projection", "LightCritic(width=4)"))
    own = LightCritic(IMAGE, K, width=4).eval()
    own.load_state_dict(critic.inner.state_dict())
    torch.testing.assert_close(critic(given(critic), LABEL), own(given(critic), LABEL))
    torch.testing.assert_close(critic.class_logits(given(critic)), own.class_logits(given(critic)))
    net = stirred(ConditionalGenerator(IMAGE, classes=K, by="inner", inner="LightGenerator(width=4)"))
    same = LightGenerator(IMAGE, classes=K, width=4).eval()
    same.load_state_dict(net.inner.state_dict())
    torch.testing.assert_close(net(given(net), LABEL), same(given(net), LABEL))


def test_an_unknown_inner_network_is_named() -> None:
    with pytest.raises(UserError, match="did you mean LightCritic"):
        ConditionalCritic(IMAGE, K, inner="LigthCritic")
