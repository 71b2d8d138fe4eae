"""What generator and critic share in a step changes nothing: gradients equal those of separate passes."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from limner.core.moment import Moment
from limner.core.pixels import Image
from limner.core.spec import build
from limner.models.base import Critic, Generator
from limner.objectives.base import Game, Penalty
from limner.objectives.gan import GAN, recorded
from limner.objectives.penalties import R1, R2, GradientPenalty, squared

IMAGE, N = Image(1, 16, 16), 6


@pytest.fixture(params=["LightCritic", "DCGANCritic"])
def nets(request: pytest.FixtureRequest) -> nn.ModuleDict:
    torch.manual_seed(0)
    critic = build(request.param, Critic, image=IMAGE, width=8)
    return nn.ModuleDict({"generator": build("LightGenerator", Generator, image=IMAGE, width=8), "critic": critic})


def moment(kept: dict[str, object], nimg: int = 0) -> Moment:
    return Moment(nimg, 0.0, torch.Generator().manual_seed(1), N, kept=kept)


def free(net: nn.Module, frozen: nn.Module) -> None:
    net.requires_grad_(True)
    frozen.requires_grad_(False)


def alike(a: Tensor, b: Tensor) -> None:
    """Equal but for rounding."""
    assert (a - b).norm() <= 1e-5 * b.norm(), f"{(a - b).norm():.3g} of {b.norm():.3g}"


def flat(gradients: Iterator[Tensor | None] | tuple[Tensor | None, ...]) -> Tensor:
    return torch.cat([torch.zeros(0) if g is None else g.flatten() for g in gradients])


@pytest.mark.parametrize("game", ["Relativistic", "NonSaturating", "Hinge", "Wasserstein"])
@pytest.mark.parametrize("penalties", [(), (R1(),), (R1(), R2()), (R2(every=3),), (GradientPenalty(),)], ids=str)
@pytest.mark.parametrize("nimg", [0, N])
def test_shared_passes_give_the_gradients_of_separate_ones(
    nets: nn.ModuleDict, game: str, penalties: tuple[Penalty, ...], nimg: int
) -> None:
    objective = GAN(build(game, Game), penalties)
    generator, critic = nets["generator"], nets["critic"]
    x = torch.randn(N, 1, 16, 16, generator=torch.Generator().manual_seed(2))
    batch = SimpleNamespace(x=x, label=None)
    kept: dict[str, object] = {}

    free(generator, critic)
    terms = objective.loss("generator", nets, batch, moment(kept, nimg))
    terms["game"].mean().backward()
    found = flat(p.grad for p in generator.parameters())
    assert not any(p.requires_grad for p in critic.parameters()), "the critic was frozen, and is again"
    free(critic, generator)
    terms |= {f"critic/{k}": v for k, v in objective.loss("critic", nets, batch, moment(kept, nimg)).items()}
    sum(v.mean() for k, v in terms.items() if k.startswith("critic/")).backward()
    learned = flat(p.grad for p in critic.parameters())

    nets.requires_grad_(True)
    fake = generator(moment({}).codes(generator.latent))
    value = objective.game.generator(critic(batch.x).detach(), critic(fake))
    torch.testing.assert_close(terms["game"], value)
    alike(found, flat(torch.autograd.grad(value.mean(), list(generator.parameters()))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("limner.objectives.gan.piecewise_linear", lambda *_: False)
        separate = objective.judge(critic, batch.x, fake, None, moment({}, nimg))
    alone = torch.autograd.grad(sum(v.mean() for v in separate.values()), list(critic.parameters()), allow_unused=True)
    alike(learned, flat(alone))


def test_a_network_that_was_frozen_when_it_computed_is_differentiated_later() -> None:
    """Second derivatives too: what R2 needs of the weights is not lost."""
    torch.manual_seed(0)
    critic = build("LightCritic", Critic, image=IMAGE, width=8).requires_grad_(False)
    x = torch.randn(N, 1, 16, 16).requires_grad_()
    with recorded(critic):
        (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    assert not any(p.requires_grad for p in critic.parameters())
    weights = list(critic.requires_grad_(True).parameters())
    later = torch.autograd.grad(squared(slope).sum(), weights, allow_unused=True)
    (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    at_once = torch.autograd.grad(squared(slope).sum(), weights, allow_unused=True)
    alike(flat(later), flat(at_once))
    assert flat(later).abs().sum() > 0


@pytest.mark.parametrize("penalties", [(), (R1(), R2())], ids=str)
def test_a_scene_is_judged_anew_once_the_critic_has_moved(nets: nn.ModuleDict, penalties: tuple[Penalty, ...]) -> None:
    objective = GAN(penalties=penalties)
    generator, critic = nets["generator"], nets["critic"]
    batch = SimpleNamespace(x=torch.randn(N, 1, 16, 16), label=None)
    kept: dict[str, object] = {}
    free(generator, critic)
    objective.loss("generator", nets, batch, moment(kept))
    fake = kept["scenes"][0].fake  # pyright: ignore
    free(critic, generator)
    with torch.no_grad():
        for weight in critic.parameters():
            weight.mul_(0.5)
    terms = objective.loss("critic", nets, batch, moment(kept))
    anew = objective.judge(critic, batch.x, fake, None, moment({}))
    weights = list(critic.parameters())
    found, wanted = (
        flat(torch.autograd.grad(sum(v.mean() for v in told.values()), weights, allow_unused=True))
        for told in (terms, anew)
    )
    alike(found, wanted)
