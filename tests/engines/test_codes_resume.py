"""InfoGAN, BiGAN and AAE: interrupted after every step and read back from disk = never interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from limner.core.errors import UserError
from limner.core.events import Progress
from limner.core.latent import Categorical, Gaussian, Mixed, Uniform
from limner.core.pixels import Image
from limner.models.base import Model
from limner.models.dcgan import DCGANEncoder, DCGANGenerator
from limner.models.joint import LightJointCritic, PlainCodeCritic
from limner.models.light import LightCritic
from limner.objectives.aae import AAE
from limner.objectives.base import Objective
from limner.objectives.bigan import BiGAN
from limner.objectives.infogan import InfoGAN
from limner.project import Project, Settings
from limner.recipes.base import Facts, plan
from limner.run import Player, Run
from limner.train import Budget, train

IMAGE, READ = Image(1, 8, 8), Mixed((Categorical(3), Uniform(2)))
WHOLE = Mixed((*READ.parts, Gaussian(4)))
SMALL = {"width": 4, "widest": 8}
SYSTEMS: dict[str, tuple[Objective, Mixed, Model]] = {
    "InfoGAN": (InfoGAN(sorting=1.0), READ, LightCritic(IMAGE, **SMALL)),
    "BiGAN": (BiGAN(code="sample", regress=1.0), WHOLE, LightJointCritic(IMAGE, WHOLE, **SMALL)),
    "AAE": (AAE(code="sample"), WHOLE, PlainCodeCritic(WHOLE, width=8)),
}
STEPS = 4


def run(name: str) -> Run:
    objective, read, critic = SYSTEMS[name]
    nets: dict[str, Model] = {
        "generator": DCGANGenerator(IMAGE, WHOLE, **SMALL),
        "encoder": DCGANEncoder(IMAGE, read, **SMALL),
        "critic": critic,
    }
    return Run(objective, nets, {"critic": Player(steps=2)}, batch=8, average=50.0, seed=3)


@pytest.mark.parametrize("name", SYSTEMS)
def test_resumes_exactly(name: str, kit: Any, tmp_path: Path) -> None:
    asked = run(name)
    budget, whole, pieces = Budget(images=16 * STEPS), kit.state(asked), kit.state(asked)
    logged = [e.losses for e in train(whole, asked, kit.source(asked), until=budget) if isinstance(e, Progress)]
    for k in range(STEPS):
        events = train(pieces, asked, kit.source(asked), until=budget)
        next(event for event in events if isinstance(event, Progress))
        events.close()
        pieces = kit.through_disk(pieces, asked, tmp_path / str(k))
    assert whole.nimg == pieces.nimg == 16 * STEPS
    assert kit.differences(whole.tree(), pieces.tree()) == []
    assert ("generator/information" in logged[0]) == (name == "InfoGAN")


def test_a_run_whose_networks_do_not_fit_leaves_no_folder(tmp_path: Path) -> None:
    asked = plan("bigan", Facts(IMAGE, 100, 0, "cpu"), ("critic=LightCritic",))
    settings = Settings(asked, "bigan", "digits", "train", "", (), (), 100, Budget(images=64))
    with pytest.raises(UserError, match="needs a JointCritic"):
        Project.create(tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()


def test_another_network_takes_over_picture_classes_and_code_of_the_one_in_its_place() -> None:
    facts = Facts(IMAGE, 100, 3, "cpu")
    nets = plan("bigan", facts, ("critic=PlainJointCritic", "generator=PlainGenerator(width=8)"))["nets"]
    assert nets["critic"]["is"] == "PlainJointCritic" and nets["critic"]["classes"] == 0
    assert nets["critic"]["latent"] == nets["generator"]["latent"] == {"is": "Gaussian", "dim": 50}
    assert nets["generator"]["width"] == 8 and nets["generator"]["image"] == nets["critic"]["image"]
    chosen = plan("bigan", facts, ("generator=PlainGenerator(latent=Gaussian(7))",))
    assert chosen["nets"]["generator"]["latent"]["dim"] == 7
    with pytest.raises(UserError, match=r"generator.image takes a Image, not 3"):
        plan("bigan", facts, ("generator=PlainGenerator(3)",))
