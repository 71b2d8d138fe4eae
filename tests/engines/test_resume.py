"""Interrupted after every single step and read back from disk = never interrupted, to the last bit."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from limner.augments.ada import ADA
from limner.augments.diff import DiffAugment
from limner.core.events import Alarm, Look, Progress
from limner.core.latent import Gaussian
from limner.core.optim import SGD, Adam, Optimizer, RMSprop
from limner.core.pixels import Image
from limner.core.schedule import Cosine, Ramp
from limner.core.spec import catalog
from limner.models.base import Critic, Generator
from limner.models.dcgan import DCGANCritic, DCGANGenerator
from limner.models.energy import AutoencoderCritic
from limner.models.plain import PlainEncoder, PlainGenerator
from limner.objectives.acgan import ACGAN
from limner.objectives.autoencoder import Autoencoder
from limner.objectives.began import BEGAN
from limner.objectives.differences import ApproximateR1, ApproximateR2
from limner.objectives.divergences import ReverseKL
from limner.objectives.ebgan import EBGAN
from limner.objectives.fgan import RatioMatching
from limner.objectives.gan import GAN
from limner.objectives.likelihoods import Student
from limner.objectives.penalties import GradientPenalty, WeightClip
from limner.objectives.semisupervised import SemiSupervisedGAN
from limner.objectives.vae import VAE
from limner.objectives.vaegan import VAEGAN
from limner.run import Player, Run
from limner.train import Budget, train

STEPS = 5
FAMILIES = sorted(catalog(Generator))


def whole(kit: Any, run: Run, steps: int = STEPS) -> dict[str, Any]:
    """The state after so many steps in one go."""
    state = kit.state(run)
    seen = run.batch * max(run.player(turn).steps for turn in run.objective.players)
    for _ in train(state, run, kit.source(run), until=Budget(images=seen * steps)):
        pass
    assert state.nimg == seen * steps
    return state.tree()


def in_pieces(kit: Any, run: Run, folder: Path, steps: int = STEPS) -> dict[str, Any]:
    """The state after so many steps, each in a session of its own."""
    state = kit.state(run)
    seen = run.batch * max(run.player(turn).steps for turn in run.objective.players)
    for k in range(steps):
        events = train(state, run, kit.source(run), until=Budget(images=seen * steps))
        next(event for event in events if isinstance(event, Progress))
        events.close()
        assert state.nimg == seen * (k + 1)
        # what another process drew in between must not matter
        torch.rand(k + 1)
        state = kit.through_disk(state, run, folder / str(k))
    return state.tree()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_resumes_exactly(family: str, precision: str, kit: Any, tmp_path: Path) -> None:
    critics = catalog(Critic)
    critic = critics.get(family.replace("Generator", "Critic"), critics["PlainCritic"])
    run = kit.tiny_run(catalog(Generator)[family], critic, precision=precision)
    assert kit.differences(whole(kit, run), in_pieces(kit, run, tmp_path)) == []


ADAM_PLAYER = Player(Adam(Cosine(1e-2, 1e-4), beta1=0.5), clip_norm=0.1)
SETTINGS: dict[str, dict[str, Any]] = {
    "several turns of the critic": {"players": {"critic": Player(steps=3)}},
    "several turns of both": {"players": {"generator": Player(steps=2), "critic": Player(steps=3)}},
    "another optimizer each": {"players": {"generator": Player(RMSprop(momentum=0.5)), "critic": ADAM_PLAYER}},
    "clipping by value": {"players": {"generator": Player(SGD(Ramp(0.1, 0.0), momentum=0.9), clip_value=1e-3)}},
    "ADA": {"augment": ADA(target=-1.1, speed=100.0)},
    "DiffAugment": {"augment": DiffAugment()},
    "random penalty": {"objective": GAN(penalties=(GradientPenalty(), WeightClip(0.05)))},
    "AC-GAN": {"objective": ACGAN()},
    "semi-supervised": {"objective": SemiSupervisedGAN(), "augment": DiffAugment()},
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_resumes_exactly(setting: str, kit: Any, tmp_path: Path) -> None:
    run = kit.tiny_run(DCGANGenerator, DCGANCritic, **SETTINGS[setting])
    assert kit.differences(whole(kit, run), in_pieces(kit, run, tmp_path)) == []


ENCODING = {
    "Autoencoder": Autoencoder(noise=0.5, masked=Ramp(0.1, 0.9)),
    "VAE": VAE(beta=Ramp(0.0, 1.0)),
    "importance-weighted VAE": VAE(Student(), samples=3),
    "VAEGAN": VAEGAN(pixels=0.1),
}


@pytest.mark.parametrize("name", ENCODING)
def test_every_objective_with_an_encoder_resumes_exactly(name: str, kit: Any, tmp_path: Path) -> None:
    run = kit.tiny_run(objective=ENCODING[name], average=50.0)
    encoder = PlainEncoder(Image(1, 8, 8), Gaussian(8), classes=3, width=4)
    run = dataclasses.replace(run, nets=run.nets | {"encoder": encoder})
    assert kit.differences(whole(kit, run), in_pieces(kit, run, tmp_path)) == []


@pytest.mark.parametrize("name", sorted(catalog(Optimizer)))
def test_every_optimizer_resumes_exactly(name: str, kit: Any, tmp_path: Path) -> None:
    player = Player(catalog(Optimizer)[name]())
    run = kit.tiny_run(players={"generator": player, "critic": player})
    assert kit.differences(whole(kit, run), in_pieces(kit, run, tmp_path)) == []


@pytest.mark.parametrize(
    "objective",
    [BEGAN(diversity=1.0, speed=0.1), EBGAN(), GAN(RatioMatching(ReverseKL()), (ApproximateR1(), ApproximateR2()))],
    ids=lambda o: type(o).__name__,
)
def test_objectives_with_an_autoencoder_resume_exactly(objective: Any, kit: Any, tmp_path: Path) -> None:
    run = kit.tiny_run(PlainGenerator, AutoencoderCritic, objective=objective)
    tree = whole(kit, run)
    assert kit.differences(tree, in_pieces(kit, run, tmp_path)) == []
    assert (tree["nets"]["critic.balance"] > 0) == isinstance(objective, BEGAN), "BEGAN's k moves, and only BEGAN's"


def test_the_comparison_can_fail(kit: Any) -> None:
    tree = whole(kit, kit.tiny_run(), 1)
    other = copy.deepcopy(tree)
    next(iter(other["average"].values())).flatten()[0].add_(1e-6)
    assert len(kit.differences(tree, other)) == 1
    assert kit.differences(tree, whole(kit, kit.tiny_run(seed=4), 1))


def test_ada_moves_its_strength_and_keeps_it(kit: Any, tmp_path: Path) -> None:
    run = kit.tiny_run(augment=ADA(target=-1.1, speed=100.0))
    assert in_pieces(kit, run, tmp_path)["strength"] > 0


@pytest.mark.parametrize("steps", [1, 3])
def test_ada_counts_images_whatever_the_turns(steps: int, kit: Any) -> None:
    """A critic that sees three batches a step moves the strength by three."""
    run = kit.tiny_run(augment=ADA(target=-1.1, speed=1000.0), players={"critic": Player(steps=steps)})
    assert whole(kit, run)["strength"] == pytest.approx(STEPS * steps * run.batch / 1000.0)


@dataclass(frozen=True)
class Brittle(GAN):
    """Not a number as soon as the generator's weights have gone too far."""

    limit: float = 0.0

    def loss(self, turn: str, nets: Any, batch: Any, at: Any) -> Any:
        terms = super().loss(turn, nets, batch, at)
        length = sum(p.detach().square().sum() for p in nets["generator"].parameters())
        return {k: v * float("nan") if length > self.limit else v for k, v in terms.items()}


@pytest.mark.usefixtures("free_looks")
def test_a_rolled_back_run_resumes_exactly_from_every_look(kit: Any, tmp_path: Path) -> None:
    start = sum(p.square().sum().item() for p in kit.state(kit.tiny_run()).nets["generator"].parameters())
    run = kit.tiny_run(
        objective=Brittle(limit=1.2 * start),
        players={turn: Player(SGD(1.0)) for turn in ("generator", "critic")},
    )
    budget, state, alarms, looks = Budget(images=40 * run.batch), kit.state(run), [], 0
    for event in train(state, run, kit.source(run), until=budget, looks=10):
        alarms += [event] if isinstance(event, Alarm) else []
    again, resumed = kit.state(run), []
    while again.nimg < 40 * run.batch:
        for event in train(again, run, kit.source(run), until=budget, looks=10):
            resumed += [event] if isinstance(event, Alarm) else []
            if isinstance(event, Look):
                again, looks = kit.through_disk(again, run, tmp_path / str(looks)), looks + 1
                break
    assert alarms and [a.words for a in alarms] == [a.words for a in resumed]
    assert looks == 11
    assert kit.differences(state.tree(), again.tree()) == []
