"""InfoGAN, BiGAN and AAE: their losses against plain loops, planted truths, and what they refuse."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from limner.augments.affine import Affine
from limner.core.errors import UserError
from limner.core.latent import Categorical, Gaussian, Latent, Mixed, Uniform
from limner.core.moment import Moment
from limner.core.pixels import Image
from limner.core.rng import generator
from limner.core.schedule import Ramp
from limner.core.spec import catalog
from limner.data.batches import Batch
from limner.models.base import CodeCritic, Critic, Encoder, Generator, JointCritic, pair
from limner.models.joint import LightJointCritic, PlainCodeCritic, PlainJointCritic
from limner.models.light import LightEncoder, LightGenerator
from limner.models.plain import PlainCritic, PlainEncoder, PlainGenerator
from limner.objectives.aae import AAE
from limner.objectives.base import Game, Objective
from limner.objectives.bigan import BiGAN
from limner.objectives.infogan import InfoGAN, unsorted
from limner.run import Run, check

IMAGE, N = Image(1, 4, 4), 6
READ = Mixed((Categorical(3, 2.0), Uniform(2)))
WHOLE = Mixed((*READ.parts, Gaussian(5)))


def moment(purpose: int = 0, progress: float = 0.5, kept: dict[str, Tensor] | None = None) -> Moment:
    return Moment(0, progress, generator(purpose), N, kept={} if kept is None else kept)


def batch() -> Batch:
    return Batch(torch.rand(N, 1, 4, 4, generator=generator(9)) * 2 - 1, None)


def nets(latent: Latent, read: Latent | None = None, critic: nn.Module | None = None) -> nn.ModuleDict:
    torch.manual_seed(3)
    return nn.ModuleDict(
        {
            "generator": PlainGenerator(IMAGE, latent, width=16),
            "encoder": PlainEncoder(IMAGE, read or latent, width=16),
            "critic": critic or PlainCritic(IMAGE, width=16),
        }
    )


def test_unread_information_is_a_loop_over_rows() -> None:
    players, at = nets(WHOLE, READ), moment()
    terms = InfoGAN(weights=(1.0, 0.1)).loss("generator", players, batch(), at)
    z = WHOLE.sample(N, generator(0))
    with torch.no_grad():
        q = players["encoder"](players["generator"](z))
    for i in range(N):
        chosen = q.parts[0].logp[i, int(z[i, :3].argmax())].item()
        near = 0.0
        for j in range(2):
            mean, var = q.mean[i, 3 + j].item(), math.exp(q.logvar[i, 3 + j].item())
            near -= (z[i, 3 + j].item() - mean) ** 2 / (2 * var) + math.log(2 * math.pi * var) / 2
        assert terms["unread"][i].item() == pytest.approx(-chosen - 0.1 * near, rel=1e-4, abs=1e-5)
        nats = chosen + near + math.log(3) + 2 * math.log(2)
        assert at.notes["information"][i].item() == pytest.approx(nats, rel=1e-4, abs=1e-5)


def test_weights_are_curves_and_the_last_holds_for_the_rest() -> None:
    known = torch.zeros(N, 3)
    assert InfoGAN(weights=(2.0,)).factors(known, moment()) == [2.0, 2.0, 2.0]
    assert InfoGAN(weights=(Ramp(0.0, 4.0), 0.5)).factors(known, moment(progress=0.25)) == [1.0, 0.5, 0.5]


def test_a_code_that_is_plain_to_see_is_found_to_the_last_nat() -> None:
    """A generator that paints its category: the bound rises to H(c) = log 3 and not above."""
    latent = Categorical(3)

    class Painter(Generator):
        def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
            return torch.cat([z, torch.zeros(len(z), 13)], 1).view(-1, 1, 4, 4)

    painter = Painter()
    painter.image, painter.latent, painter.classes = IMAGE, latent, 0
    players = nets(latent, critic=PlainCritic(IMAGE, width=16))
    players["generator"] = painter
    optimizer, seen = torch.optim.Adam(players["encoder"].parameters(), 1e-2), []
    for step in range(60):
        at = moment(step)
        terms = InfoGAN(weights=(1.0,)).loss("generator", players, batch(), at)
        optimizer.zero_grad()
        terms["unread"].mean().backward()
        optimizer.step()
        seen.append(at.notes["information"].mean().item())
    assert max(seen) <= math.log(3) + 1e-5 and seen[-1] > 0.95 * math.log(3) > seen[0]


def test_being_sorted_has_the_value_and_the_slope_of_the_whole_batch() -> None:
    logits = torch.randn(2, 40, 5, generator=generator(4), dtype=torch.float64).requires_grad_()
    logp, moved = logits.log_softmax(2)
    ours = unsorted(logp, moved, 7.0).mean()
    p, mean = logp.exp(), logp.exp().mean(0)
    alike = sum(p[i, k].detach() * moved[i, k] for i in range(40) for k in range(5)) / 40
    sure, even = (p * logp).sum(1).mean(), -(mean * mean.log()).sum()
    whole = -alike - 0.1 * (7.0 * even + sure)
    torch.testing.assert_close(ours, whole)
    slopes = [torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in (ours, whole)]
    torch.testing.assert_close(*slopes, msg="H(c) with the mean held fixed has its own slope")


def test_kinds_of_pictures_are_found_without_labels_or_a_generator_that_helps() -> None:
    """Bars that stand and bars that lie, anywhere: two categories, learned from real pictures alone."""
    image, latent = Image(1, 8, 8), Categorical(2)
    place, lies = torch.randint(1, 7, (200,), generator=generator(1)), torch.arange(200) % 2
    x = torch.full((200, 1, 8, 8), -1.0)
    x[torch.arange(200), 0, :, place] = 1.0
    x = torch.where(lies.view(-1, 1, 1, 1) == 1, x.transpose(2, 3), x)
    torch.manual_seed(0)
    encoder, critic = LightEncoder(image, latent, width=8), PlainCritic(image, width=8)
    players = nn.ModuleDict({"generator": PlainGenerator(image, latent, width=8), "encoder": encoder, "critic": critic})
    objective = InfoGAN(weights=(0.0,), sorting=1.0, even=10.0, kin=Affine(turn=5.0, shift=0.3, scale=0.0))
    optimizer = torch.optim.Adam(players["encoder"].parameters(), 3e-3)
    for step in range(200):
        at = Moment(0, 0.5, generator(0, step), 200)
        terms = objective.loss("generator", players, Batch(x, None), at)
        optimizer.zero_grad()
        terms["unsorted"].mean().backward()
        optimizer.step()
    found = players["encoder"](x).mean.argmax(1)
    right = float((found == lies).double().mean())
    assert max(right, 1 - right) > 0.95


def test_bigan_makes_the_critics_loss_small_with_its_pairs_exchanged() -> None:
    latent = Gaussian(5)
    players = nets(latent, critic=PlainJointCritic(IMAGE, latent, width=16))
    for name, game in catalog(Game).items():
        kept: dict[str, Tensor] = {}
        objective = BiGAN(game(), ())
        terms = objective.loss("generator", players, batch(), moment(kept=kept))
        z = latent.sample(N, generator(0))
        real = players["critic"](pair(batch().x, players["encoder"](batch().x).mean))
        fake = players["critic"](pair(players["generator"](z), z))
        torch.testing.assert_close(terms["game"], game().critic(fake, real), msg=name)
        judged = objective.loss("critic", players, batch(), moment(1, kept=kept))
        torch.testing.assert_close(judged["game"], game().critic(real, fake), msg=name)
        assert not kept, "pairs are made once a step"


def test_bigans_encoder_reads_generated_pictures_and_moves_nothing_else() -> None:
    latent = Gaussian(5)
    players = nets(latent, critic=PlainJointCritic(IMAGE, latent, width=16))
    still = Affine(turn=0.0, shift=0.0, scale=0.0)
    terms = BiGAN(regress=3.0, kin=still).loss("generator", players, batch(), moment())
    z = latent.sample(N, generator(0))
    found = players["encoder"](players["generator"](z)).mean
    error = torch.stack(
        [3 * sum((a - b) ** 2 for a, b in zip(*row, strict=True)) / 5 for row in zip(found, z, strict=True)]
    )
    torch.testing.assert_close(terms["misread"], error, rtol=1e-4, atol=1e-4)
    terms["misread"].sum().backward()
    assert all(p.grad is None for role in ("generator", "critic") for p in players[role].parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in players["encoder"].parameters())
    assert "misread" not in BiGAN().loss("generator", players, batch(), moment())


def test_aae_is_reconstruction_and_the_game_on_codes() -> None:
    latent = Gaussian(5)
    players = nets(latent, critic=PlainCodeCritic(latent, width=16))
    objective, kept = AAE(weight=7.0, penalties=()), {}
    terms = objective.loss("generator", players, batch(), moment(kept=kept))
    found = players["encoder"](batch().x).mean
    again = players["generator"](found)
    error = torch.stack([((a - b) ** 2).mean() for a, b in zip(again, batch().x, strict=True)])
    torch.testing.assert_close(terms["reconstruction"], 7 * error)
    torch.testing.assert_close(terms["game"], objective.game.generator(terms["game"], players["critic"](found)))
    assert torch.equal(kept["fake"], found)
    judged = objective.loss("critic", players, batch(), moment(1, kept=kept))
    prior = players["critic"](latent.sample(N, generator(1)))
    torch.testing.assert_close(judged["game"], objective.game.critic(prior, players["critic"](found)))


@pytest.mark.parametrize("kind", [JointCritic, CodeCritic])
def test_critics_of_codes_judge_row_by_row(kind: type) -> None:
    for image in (Image(1, 8, 8), Image(3, 33, 20)):
        for cls in catalog(kind).values():
            net = cls(latent=Gaussian(7), classes=3, **({"image": image} if kind is JointCritic else {})).eval()
            given = torch.randn(
                4, 7 + (image.size if kind is JointCritic else 0), generator=generator(2)
            ).requires_grad_()
            label = torch.tensor([0, 1, 2, -1])
            logits = net(given, label)
            (slope,) = torch.autograd.grad(logits.sum(), given, create_graph=True)
            assert logits.shape == (4,) and (slope[:, -7:].abs().sum(1) > 0).all()
            if kind is JointCritic:
                assert (slope[:, :-7].abs().sum(1) > 0).all()
            slope.square().sum().backward()
            alone = torch.cat([net(given[i : i + 1], label[i : i + 1]) for i in range(4)])
            torch.testing.assert_close(logits, alone, rtol=1e-4, atol=1e-5)


def test_a_pair_is_taken_apart_as_it_was_put_together() -> None:
    image = Image(3, 5, 4)
    critic = LightJointCritic(image, Gaussian(7), width=4)
    x = torch.randn(2, 3, 5, 4).to(memory_format=torch.channels_last)
    seen: list[tuple[Tensor, Tensor]] = []
    critic.features = lambda x, z: seen.append((x, z)) or torch.zeros(2, 256)  # type: ignore[method-assign,assignment,func-returns-value]
    critic(pair(x, torch.arange(14.0).view(2, 7)))
    assert torch.equal(seen[0][0], x) and torch.equal(seen[0][1], torch.arange(14.0).view(2, 7))


def run(objective: Objective, latent: Latent, read: Latent, critic: Any) -> Run:
    return Run(objective, dict(nets(latent, read, critic).items()), batch=4)  # type: ignore[arg-type]


REFUSED = [
    (InfoGAN(), run(InfoGAN(), Gaussian(5), READ, None), r"must begin with what the encoder reads.*Mixed\(\["),
    (InfoGAN(), run(InfoGAN(weights=()), WHOLE, READ, None), "weights is empty"),
    (
        BiGAN(),
        run(BiGAN(), Gaussian(5), Gaussian(5), None),
        "needs a JointCritic as critic, not PlainCritic; there are L",
    ),
    (BiGAN(), run(BiGAN(), Gaussian(5), Gaussian(4), PlainJointCritic(IMAGE, Gaussian(5))), "encoder's latent must be"),
    (AAE(), run(AAE(), Gaussian(5), Gaussian(5), PlainCodeCritic(Gaussian(4))), "critic's latent must be.*dim=5"),
    (AAE(), run(AAE(), Gaussian(5), Gaussian(5), None), "needs a CodeCritic as critic"),
]


@pytest.mark.parametrize(("objective", "asked", "words"), REFUSED, ids=[f"{i}" for i in range(len(REFUSED))])
def test_networks_that_do_not_fit_are_refused_in_one_line(objective: Objective, asked: Run, words: str) -> None:
    with pytest.raises(UserError, match=words) as told:
        check(asked)
    assert "\n" not in str(told.value) and type(objective).__name__ in str(told.value)


SYSTEMS = {
    "InfoGAN": run(InfoGAN(), WHOLE, READ, None),
    "BiGAN": run(BiGAN(code="sample"), WHOLE, WHOLE, PlainJointCritic(IMAGE, WHOLE, width=8)),
    "AAE": run(AAE(code="sample"), WHOLE, WHOLE, PlainCodeCritic(WHOLE, width=8)),
}


def test_light_networks_play_too() -> None:
    players = {"generator": LightGenerator(IMAGE, WHOLE), "encoder": LightEncoder(IMAGE, WHOLE)}
    check(replace(SYSTEMS["BiGAN"], nets=players | {"critic": LightJointCritic(IMAGE, WHOLE)}))
    assert isinstance(players["encoder"], Encoder) and Critic not in LightJointCritic.__mro__
