"""AC-GAN and the conditional GAN: the paper's formulas as Python loops, and who is told what."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from limner.core.errors import UserError
from limner.core.moment import Moment
from limner.core.pixels import Image
from limner.data.batches import Batch
from limner.models.conditional import ConditionalCritic
from limner.models.energy import AutoencoderCritic
from limner.models.plain import PlainCritic, PlainGenerator
from limner.objectives.acgan import ACGAN
from limner.objectives.classify import Classification, surprise
from limner.objectives.conditional import ConditionalGAN
from limner.objectives.games import NonSaturating
from limner.objectives.gan import GAN
from limner.objectives.semisupervised import SemiSupervisedGAN
from limner.run import Run, check

IMAGE = Image(1, 4, 4)
N, K = 5, 3


def players(classes: int = K) -> nn.ModuleDict:
    """Plain networks whose class rows have left 0."""
    torch.manual_seed(1)
    critic = PlainCritic(IMAGE, classes, width=8)
    if classes:
        assert critic.head.label is not None
        nn.init.normal_(critic.head.label.rows.weight[1:])
        nn.init.zeros_(critic.head.label.rows.weight[:1])
    return nn.ModuleDict({"generator": PlainGenerator(IMAGE, classes=classes, width=8), "critic": critic})


def moment(kept: dict[str, Tensor] | None = None) -> Moment:
    return Moment(0, 0.5, torch.Generator().manual_seed(2), N, kept={} if kept is None else kept)


def batch() -> Batch:
    x = torch.rand(N, 1, 4, 4, generator=torch.Generator().manual_seed(3)) * 2 - 1
    return Batch(x, torch.tensor([0, 2, -1, 1, 1]))


def log_softmax(row: list[float], k: int) -> float:
    return row[k] - math.log(sum(math.exp(v) for v in row))


def said(critic: Any, x: Tensor) -> tuple[list[float], list[list[float]]]:
    """Logit and class logits of each image, from the weights."""
    h = critic.features(x)
    real = h @ critic.head.dense.weight[0] + critic.head.dense.bias
    return real.tolist(), (h @ critic.head.label.rows.weight[1:].T).tolist()


def test_surprise_is_the_loop_over_classes() -> None:
    logits = torch.randn(N, K, generator=torch.Generator().manual_seed(4))
    label = torch.tensor([2, -1, 0, 1, 2])
    by_hand = [-log_softmax(row, k) if k >= 0 else 0.0 for row, k in zip(logits.tolist(), label.tolist(), strict=True)]
    assert surprise(logits, label).tolist() == pytest.approx(by_hand, abs=1e-6)
    assert surprise(logits, None).tolist() == [0.0] * N


def test_surprise_of_several_answers_adds_their_logistics() -> None:
    logits, label = torch.tensor([[1.0, -2.0], [0.5, 3.0]]), torch.tensor([[1.0, 0.25], [0.0, float("nan")]])

    def one(v: float, y: float) -> float:
        return -y * math.log(1 / (1 + math.exp(-v))) - (1 - y) * math.log(1 - 1 / (1 + math.exp(-v)))

    by_hand = [one(1.0, 1.0) + one(-2.0, 0.25), one(0.5, 0.0)]
    assert surprise(logits, label).tolist() == pytest.approx(by_hand, abs=1e-6)


def test_both_players_pay_for_wrong_classes_as_in_the_paper() -> None:
    """Odena et al. 2017, eqs. 1-2: the critic maximises L_S + L_C, the generator L_C - L_S (non-saturating here)."""
    nets, kept, given = players(), {}, batch()
    objective = ACGAN(NonSaturating(), (), weight=2.0, pull=0.5)
    of_generator = objective.loss("generator", nets, given, moment(kept))
    fake = kept["fake"]
    of_critic = objective.loss("critic", nets, given, moment(kept))
    assert given.label is not None
    (real_logit, real_class), (fake_logit, fake_class) = said(nets["critic"], given.x), said(nets["critic"], fake)
    for i, k in enumerate(given.label.tolist()):
        l_real = -log_softmax(real_class[i], k) if k >= 0 else 0.0
        l_fake = -log_softmax(fake_class[i], k) if k >= 0 else 0.0
        source = math.log(1 + math.exp(-real_logit[i])) + math.log(1 + math.exp(fake_logit[i]))
        assert of_critic["game"][i].item() == pytest.approx(source, abs=1e-5)
        assert of_critic["classes"][i].item() == pytest.approx(2 * (l_real + l_fake), abs=1e-5)
        assert of_generator["game"][i].item() == pytest.approx(math.log(1 + math.exp(-fake_logit[i])), abs=1e-5)
        assert of_generator["classes"][i].item() == pytest.approx(0.5 * l_fake, abs=1e-5)


def test_the_game_does_not_depend_on_labels_but_the_fakes_do() -> None:
    """The critic is not told: with another label for the real images its game is the same."""
    nets, objective, given = players(), ACGAN(), batch()
    other = replace(given, label=torch.tensor([1, 1, 1, 1, 1]))
    kept = {"fake": torch.zeros_like(given.x)}
    one = objective.loss("critic", nets, given, moment(dict(kept)))
    two = objective.loss("critic", nets, other, moment(dict(kept)))
    assert torch.equal(one["game"], two["game"]) and torch.equal(one["R1"], two["R1"])
    assert not torch.equal(one["classes"], two["classes"])


def test_without_weights_it_is_a_gan_whose_critic_is_not_told() -> None:
    nets, given = players(), batch()
    assert given.label is not None
    terms = ACGAN(weight=0.0, pull=0.0).loss("critic", nets, given, moment({"fake": given.x * 0.5}))
    plain = GAN().loss("critic", nets, replace(given, label=None), moment({"fake": given.x * 0.5}))
    assert terms.pop("classes").tolist() == [0.0] * N
    assert terms.keys() == plain.keys()
    for name in plain:
        torch.testing.assert_close(terms[name], plain[name])


@pytest.mark.parametrize("objective", [ACGAN(), ConditionalGAN()], ids=lambda o: type(o).__name__)
def test_labels_that_are_missing_are_said_in_one_line(objective: Any) -> None:
    nets: Any = dict(players(0).items())
    with pytest.raises(UserError, match=r"needs labels, and its generator is told none; give one folder a class"):
        check(Run(objective, nets))
    check(Run(objective, dict(players().items())))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("objective", [ACGAN(), SemiSupervisedGAN(), Classification()], ids=lambda o: type(o).__name__)
def test_a_critic_that_names_no_classes_is_said_before_the_training(objective: Any) -> None:
    """One that only measures an error has no class logits; one that is shown planes has no rows for them."""
    nets: Any = {"generator": PlainGenerator(IMAGE, classes=K, width=8)}
    with pytest.raises(UserError, match="names no classes"):
        check(Run(objective, nets | {"critic": AutoencoderCritic(IMAGE, K, width=8)}))
    with pytest.raises(UserError, match="names no classes"):
        check(Run(objective, nets | {"critic": ConditionalCritic(IMAGE, K, "concatenation", "PlainCritic(width=8)")}))
    check(Run(objective, dict(players().items())))  # pyright: ignore[reportArgumentType]


def test_the_conditional_gan_is_the_gan() -> None:
    nets, given = players(), batch()
    for turn in ("generator", "critic"):
        one, two = (kind().loss(turn, nets, given, moment()) for kind in (GAN, ConditionalGAN))
        assert all(torch.equal(one[name], two[name]) for name in one)
