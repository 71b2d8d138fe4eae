"""Translators in training: exact resumption with the history of fakes, previews and scores, planted hues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from limner.core.events import Preview, Progress, Scores
from limner.core.pixels import Image, to_float
from limner.core.spec import build
from limner.data.gather import of_arrays
from limner.data.images import Images
from limner.data.pairs import BATCHES, arrange
from limner.journal import looks, read
from limner.models.history import History
from limner.models.patch import PatchCritic
from limner.models.translator import LightTranslator, UNetTranslator
from limner.objectives.cyclegan import CycleGAN
from limner.objectives.paired import Paired
from limner.objectives.penalties import R1
from limner.project import Project, Settings, as_good_as_any
from limner.recipes.base import Facts, plan
from limner.run import Player, Run
from limner.train import Budget, train

IMAGE = Image(1, 8, 8)
SMALL = {"width": 4, "widest": 8}


def negatives(kit: Any, n: int = 60) -> Images:
    """Bright squares on black, and other squares with black and white exchanged."""
    dark, bright = kit.pictures(n).pixels, 255 - kit.pictures(n, seed=1).pixels
    return of_arrays(np.concatenate([dark, bright]), np.repeat([0, 1], n), ("A", "B"))


def cyclegan(**more: Any) -> Run:
    nets: dict[str, Any] = {}
    for way in ("", "_back"):
        nets[f"translator{way}"] = LightTranslator(IMAGE, **SMALL, depth=1, blocks=1)
        nets[f"critic{way}"] = PatchCritic(IMAGE, **SMALL)
        nets[f"history{way}"] = History(IMAGE, size=12)
    return Run(**({"objective": CycleGAN(identity=0.5), "nets": nets, "batch": 8, "average": 50.0, "seed": 3} | more))


def paired(**more: Any) -> Run:
    nets = {"translator": UNetTranslator(IMAGE, **SMALL, depth=2), "critic": PatchCritic(Image(2, 8, 8), **SMALL)}
    return Run(**({"objective": Paired(), "nets": nets, "batch": 8, "average": 50.0, "seed": 3} | more))


CASES = {
    "cyclegan": cyclegan(),
    "cyclegan, bf16, more turns": cyclegan(precision="bf16", players={"critic": Player(steps=2)}),
    "cyclegan, R1": cyclegan(objective=CycleGAN(penalties=(R1(),))),
    "paired": paired(),
}


@pytest.mark.parametrize("name", CASES)
def test_resumes_exactly(name: str, kit: Any, tmp_path: Path) -> None:
    """Interrupted after every step = not interrupted, to the last bit; the history is exchanged from the second on."""
    run = CASES[name]
    domains = run.objective.domains
    source = BATCHES[domains](arrange(negatives(kit), domains), run.batch, run.seed)
    seen = run.batch * max(run.player(turn).steps for turn in run.objective.players)
    one, again = kit.state(run), kit.state(run)
    for _ in train(one, run, source, until=Budget(images=5 * seen)):
        pass
    for step in range(5):
        events = train(again, run, source, until=Budget(images=5 * seen))
        next(event for event in events if isinstance(event, Progress))
        events.close()
        torch.rand(step + 1)
        again = kit.through_disk(again, run, tmp_path / str(step))
    assert one.nimg == again.nimg == 5 * seen
    assert kit.differences(one.tree(), again.tree()) == []
    if "history" in one.nets:
        assert int(one.nets["history"].count) == 12


def coloured(kit: Any, n: int, seed: int) -> NDArray[np.uint8]:
    """Squares in amber on blue."""
    share = kit.pictures(n, seed=seed).pixels / 255
    return np.round(np.array([30, 20, 120]) * (1 - share) + np.array([255, 200, 80]) * share).astype(np.uint8)


@pytest.mark.slow
def test_a_planted_turn_of_hues_is_found_without_a_pair(kit: Any) -> None:
    """Trained on disjoint pictures; told by new ones, whose truth is known; both ways."""
    turned = np.roll(coloured(kit, 200, 1), 1, axis=3)
    images = of_arrays(np.concatenate([coloured(kit, 200, 0), turned]), np.repeat([0, 1], 200), ("A", "B"))
    run = build(plan("cyclegan", Facts(images.image, 400, 2, "cpu"), ("average=1000",)), Run)
    state, source = kit.state(run), BATCHES["two"](images, run.batch, run.seed)
    for _ in train(state, run, source, until=Budget(images=16 * 150)):
        pass
    x = to_float(coloured(kit, 50, 9))
    y = x.roll(1, 1)
    still = float((x - y).abs().mean())
    with torch.no_grad():
        there, back = state.averaged["translator"](x), state.averaged["translator_back"](y)
    assert float((there - y).abs().mean()) < 0.4 * still
    assert float((back - x).abs().mean()) < 0.4 * still


@pytest.mark.parametrize("name", ["cyclegan", "paired"])
def test_a_project_shows_and_scores_translations_and_goes_on(name: str, kit: Any, tmp_path: Path) -> None:
    import limner

    run = CASES[name]
    images = arrange(negatives(kit), run.objective.domains)
    budget = Budget(images=64)
    said = Settings(limner.spec(run), name, "planted", "train", images.fingerprint, ("A", "B"), (), len(images), budget)
    events = list(Project.create(tmp_path / "run", said).work(images))
    shown = [event for event in events if isinstance(event, Preview)]
    scores = [event for event in events if isinstance(event, Scores)]
    assert len(shown) == len(scores) >= 1
    error = {"paired": "mean absolute error", "cyclegan": "cycle error"}[name]
    assert all(0 < event.values[error] < 2 for event in scores)
    assert scores[0].score == scores[0].values["mean absolute error" if name == "paired" else "kernel distance"]
    told = looks(read(tmp_path / "run" / "events.jsonl"))
    worse = {key: 1.5 * value for key, value in told[-1].items()}
    assert not as_good_as_any([*told, worse]), "no measurement may be taken for the score's standard error"
    likeness = limner.load(tmp_path / "run")
    made = likeness.translate(images.pixels[:5, :, :8])
    assert made.shape == (5, 8, 8, 1) and made.dtype == np.uint8
    if name == "paired":
        with pytest.raises(limner.UserError, match="no translator for the way --back; it has translator, critic"):
            likeness.translator(back=True)
    with pytest.raises(limner.UserError, match="no generator"):
        likeness.sample(4)
    more = Project.open(tmp_path / "run").extend(Budget(images=96))
    assert [event.nimg for event in more.work(images)][-1] == 96
