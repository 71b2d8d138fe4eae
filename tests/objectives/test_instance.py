"""InstanceGAN: the gradient of separate passes, pairs augmented alike, and what is computed before the first step."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limner.augments.diff import DiffAugment
from limner.core.errors import UserError
from limner.core.latent import Gaussian
from limner.core.moment import Moment
from limner.core.pixels import Image
from limner.models.photo import PhotoEncoder, PhotoGenerator
from limner.models.projected import ProjectedCritic
from limner.objectives.instance import InstanceGAN, unlike

IMAGE, N, LATENT = Image(3, 32, 32), 6, Gaussian(8)


def pictures(n: int = N) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return F.interpolate(torch.rand(n, 3, 5, 5, generator=rng) * 2 - 1, size=(32, 32), mode="bilinear")


class Few:
    """What is known of the training pictures."""

    rng = torch.Generator().manual_seed(3)

    def first(self, count: int) -> Iterator[Any]:
        x = pictures(min(count, 64))
        for rows in range(0, len(x), 8):
            yield SimpleNamespace(x=x[rows : rows + 8], label=torch.arange(len(x[rows : rows + 8])) % 2)


@pytest.fixture
def nets() -> nn.ModuleDict:
    torch.manual_seed(0)
    generator = PhotoGenerator(IMAGE, LATENT, 2, width=8, widest=16)
    return nn.ModuleDict(
        {
            "generator": generator,
            "critic": ProjectedCritic(IMAGE, 2, width=8),
            "encoder": PhotoEncoder(IMAGE, LATENT, 2),
        }
    )


def moment(kept: dict[str, Any], augment: Any = None) -> Moment:
    return Moment(0, 0.0, torch.Generator().manual_seed(1), N, augment=augment, kept=kept)


def separately(nets: nn.ModuleDict, x: Tensor, label: Tensor, turn: str) -> Tensor:
    """Value of one side, by plain passes: the default game with R1 and R2, and what reconstructions owe."""
    generator, critic, encoder = nets["generator"], nets["critic"], nets["encoder"]
    with torch.no_grad():
        drawn = generator.mapping(LATENT.sample(N, torch.Generator().manual_seed(1))[3:], label[3:])
        codes = torch.cat([encoder.code(x[:3]), drawn])
    fake, total = generator.synthesis(codes), torch.zeros(())
    for k, (judge, real, made) in enumerate(zip(critic.judges(), critic.views(x), critic.views(fake), strict=True)):
        if turn == "critic":
            real, made = real.detach().requires_grad_(), made.detach().requires_grad_()
        a, b = judge(real, label), judge(made, label)
        if turn == "critic":
            slopes = torch.autograd.grad(a.sum() + b.sum(), (real, made), create_graph=True)
            total = total + F.softplus(b - a).mean() + sum(s.square().flatten(1).sum(1).mean() / 2 for s in slopes)
        else:
            total = total + F.softplus(a - b).mean()
            total = total + (8 * (real[:3] - made[:3]).abs().mean() / real[:3].std() if k >= 2 else 0)
    if turn == "generator":
        coarse = F.avg_pool2d(x[:3], 2) - F.avg_pool2d(fake[:3], 2)
        total = total + 10 * (coarse.abs().mean() + 0.25 * (x[:3] - fake[:3]).abs().mean())
    return total


def test_gradients_are_those_of_separate_passes(nets: nn.ModuleDict) -> None:
    objective, x, label = InstanceGAN(coded=0.5), pictures(), torch.arange(N) % 2
    objective.prepare(nets, Few())
    nets["generator"].eval()  # batch norm's own statistics would move between the two
    batch, kept = SimpleNamespace(x=x, label=label), dict[str, Any]()
    for turn in ("generator", "critic"):
        weights = list(nets[turn].parameters())
        nets.requires_grad_(False)
        nets[turn].requires_grad_(True)
        terms = objective.loss(turn, nets, batch, moment(kept))
        value = sum(term.mean() for term in terms.values())
        found = torch.autograd.grad(value, weights)
        nets.requires_grad_(True)
        plain = separately(nets, x, label, turn)
        wanted = torch.autograd.grad(plain, weights)
        torch.testing.assert_close(value, plain, rtol=1e-4, atol=1e-4)
        off = torch.cat([(a - b).flatten() for a, b in zip(found, wanted, strict=True)])
        assert off.norm() < 1e-3 * torch.cat([b.flatten() for b in wanted]).norm(), turn


def test_a_picture_and_its_reconstruction_are_augmented_alike(nets: nn.ModuleDict) -> None:
    """A generator that gives the picture itself owes nothing, however pictures are moved about."""
    objective, x = InstanceGAN(scales=4), pictures()
    objective.prepare(nets, Few())
    nets["generator"].synthesis = lambda codes: x.clone().requires_grad_()  # pyright: ignore
    batch = SimpleNamespace(x=x, label=torch.arange(N) % 2)
    terms = objective.loss("generator", nets, batch, moment({}, DiffAugment()))
    assert terms["features"].abs().max() < 1e-5 and terms["pixels"].abs().max() < 1e-5
    assert unlike([x], [x + x.std()]).allclose(torch.ones(N), atol=1e-4)


def test_encoder_and_generator_share_the_flow_and_codes_come_back(nets: nn.ModuleDict) -> None:
    objective, x, label = InstanceGAN(), pictures(), torch.arange(N) % 2
    objective.prepare(nets, Few())
    generator, encoder = nets["generator"], nets["encoder"]
    codes = encoder.code(x)
    again = generator.mapping(encoder(x, label).mean, label)
    assert (again - codes).norm() < 0.02 * codes.norm()


@pytest.mark.parametrize("bad", [{"coded": -0.1}, {"coded": 1.5}, {"scales": 0}], ids=str)
def test_shares_and_numbers_that_make_no_sense(bad: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"InstanceGAN: {next(iter(bad))}"):
        InstanceGAN(**bad)


def test_preparing_twice_is_the_same(nets: nn.ModuleDict) -> None:
    states = []
    for _ in range(2):
        Few.rng = torch.Generator().manual_seed(3)
        torch.manual_seed(0)
        fresh = nn.ModuleDict({"generator": PhotoGenerator(IMAGE, LATENT, 2), "critic": ProjectedCritic(IMAGE, 2),
                               "encoder": PhotoEncoder(IMAGE, LATENT, 2)})  # fmt: skip
        InstanceGAN().prepare(fresh, Few())
        states.append(fresh.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(states[0].values(), states[1].values(), strict=True))
