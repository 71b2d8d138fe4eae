"""A training that no longer gets better on held-out images stops and says so; few images can be asked for."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.core import store
from limner.core.errors import UserError
from limner.core.events import Alarm, Event, Finished
from limner.core.spec import build
from limner.data.gather import gather
from limner.journal import read
from limner.likeness import load
from limner.patience import Reason, worn_out
from limner.project import Project, Settings, fewer, slack
from limner.recipes.base import Facts, plan
from limner.run import Run
from limner.train import Budget

pytestmark = pytest.mark.usefixtures("free_looks")
QUICK = ("generator.width=32", "critic.width=32", "batch=50", "pictures=50", "players.generator.optimizer.lr=0.0")


def test_worn_out_counts_looks_since_the_best() -> None:
    history = [{"nimg": 100.0 * k, "score": score} for k, score in enumerate((3, 1, 2, float("nan"), 2))]
    assert "not been better for 3 looks: 1 after 100 images, 2 now" in worn_out(history, 3)
    assert not worn_out(history, 4) and not worn_out(history, None) and not worn_out([], 1)


def test_a_reason_is_thought_about_once_a_look() -> None:
    """At every step it is asked; with long histories the answer costs more than the step."""
    history: list[dict[str, float]] = []
    thought: list[int] = []

    def why(looks: list[dict[str, float]]) -> str:
        thought.append(len(looks))
        return "enough" if len(looks) == 2 else ""

    reason = Reason(lambda: history, why)
    said = [reason(), reason()]
    for nimg in (1.0, 2.0):
        history.append({"nimg": nimg})
        said += [reason() for _ in range(3)]
    history[:] = history[:1]  # rolled back
    said.append(reason())
    assert said == ["", "", "", "", "", "enough", "enough", "enough", ""] and thought == [1, 2, 1]


def project(
    folder: Path, *assignments: str, images: int = 4_000, flat: bool = False, stop_after: int | None = None
) -> tuple[Project, list[Event]]:
    """A GAN of dense layers on digits, whose generator learns nothing, perhaps stopped after some steps."""
    digits = gather("digits", split="test")
    run = plan("plain", Facts(digits.image, len(digits), 0, "cpu"), (*QUICK, *assignments))
    names, counts = digits.names, digits.counts()
    made = Settings(run, "plain", "digits", "test", digits.fingerprint, names, counts, len(digits),
                    Budget(images, flat=flat))  # fmt: skip
    opened, asked = Project.create(folder, made), itertools.count(1)
    return opened, list(opened.work(digits, stop=lambda: next(asked) == stop_after))


def test_patience_stops_says_so_and_keeps_the_best(tmp_path: Path) -> None:
    opened, events = project(tmp_path, "patience=3")
    words = [e for e in events if isinstance(e, Alarm) and e.kind == "early stop"]
    assert len(words) == 1 and "has not been better for 3 looks" in words[0].words
    finished = events[-1]
    assert isinstance(finished, Finished) and finished.reason == "stopped" and finished.nimg == words[0].nimg < 4_000
    scores = [line["score"] for line in read(tmp_path / "events.jsonl") if line["event"] == "Scores"]
    kept = load(tmp_path).header["scores"]
    assert min(scores) <= kept["kernel distance"] <= min(scores) + slack(kept, scores[0])
    again = list(opened.work(gather("digits", split="test")))
    assert isinstance(again[-1], Finished) and again[-1].nimg == finished.nimg, "a stopped run stays stopped"


def test_without_patience_it_goes_on(tmp_path: Path) -> None:
    _, events = project(tmp_path, images=1_000)
    assert isinstance(events[-1], Finished) and events[-1].reason == "budget"


def test_fewer_pictures_are_among_more() -> None:
    run = plan("plain", Facts(gather("digits").image, 100, 0, "cpu", 3))
    among = np.arange(7, 107)

    def rows(n: int | None) -> set[int]:
        return set(fewer(among, build(run | {"pictures": n}, Run)).tolist())

    assert len(rows(10)) == 10 and rows(10) < rows(30) < rows(None) == set(among.tolist())
    assert rows(1_000) == rows(None)


@pytest.mark.parametrize(("option", "advice"), [("patience=0", "patience=5"), ("pictures=1", "pictures=1000")])
def test_too_few_is_a_line(tmp_path: Path, option: str, advice: str) -> None:
    with pytest.raises(UserError, match=advice):
        project(tmp_path, option)


def test_until_flat_stops_says_since_when_and_stays_stopped(tmp_path: Path) -> None:
    """A generator that learns nothing is flat as soon as there are looks enough; the same run without it goes on."""
    opened, events = project(tmp_path, "rescues=0", images=4_000, flat=True)
    finished = events[-1]
    assert isinstance(finished, Finished) and finished.reason == "stopped" and finished.nimg < 2_000
    (alarm,) = [e for e in events if isinstance(e, Alarm) and e.kind == "early stop"]
    assert "flat since" in alarm.words and alarm.nimg == finished.nimg
    again = list(opened.work(gather("digits", split="test")))
    assert isinstance(again[-1], Finished) and again[-1].nimg == finished.nimg


def test_until_flat_ends_where_it_would_have_without_an_interruption(tmp_path: Path) -> None:
    """Broken off between two looks and gone on with: the same end, the same weights, the same model file."""
    whole, _ = project(tmp_path / "whole", "rescues=0", images=4_000, flat=True)
    parts, _ = project(tmp_path / "parts", "rescues=0", images=4_000, flat=True, stop_after=11)
    list(parts.work(gather("digits", split="test")))
    newest = [max((p.folder / "checkpoints").glob("[0-9]*")) for p in (whole, parts)]
    assert newest[0].name == newest[1].name
    ours, theirs = (store.load_state(folder) for folder in newest)
    for role, tensor in ours["nets"].items():
        assert torch.equal(tensor, theirs["nets"][role])
