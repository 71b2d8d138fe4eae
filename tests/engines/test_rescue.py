"""An ill training goes back to its best look and on more gently; killed or stopped meanwhile, it ends the same."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from limner import alarms
from limner.core import store
from limner.core.errors import UserError
from limner.core.events import Alarm, Event, Finished, Look
from limner.core.health import Health
from limner.core.pace import Pace
from limner.journal import looks, read
from limner.project import Project, Settings
from limner.recipes.base import Facts, plan
from limner.train import GENTLER, Budget, State, train

SMALL = ("generator.width=8", "critic.width=8", "batch=8", "rescues=3")
pytestmark = pytest.mark.usefixtures("free_looks")


def told(state: State, found: dict[int, Health]) -> Callable[[], Health]:
    """Health by images seen at the look; each finding is used up."""
    return lambda: found.pop(state.nimg, Health())


def weights(state: State) -> torch.Tensor:
    return torch.nn.utils.parameters_to_vector(state.nets.parameters()).detach().clone()


def trained(kit: Any, found: dict[int, Health], **more: Any) -> tuple[State, list[Event]]:
    """Twelve steps of eight images with four looks."""
    run = kit.tiny_run(**{"rescues": 3} | more)
    state = kit.state(run)
    health = told(state, found)
    return state, list(train(state, run, kit.source(run), until=Budget(images=96), looks=4, health=health))


def test_an_ill_training_goes_back_to_its_best_look_at_a_quarter_of_the_rate(kit: Any) -> None:
    """The look at 24 is the best; 48 is worse and a sign of trouble, and the next look, soon after, confirms it."""
    ill = {48: Health(worse=True, worried=True), 56: Health(worse=True, ill="the samples are collapsing")}
    state, events = trained(kit, ill)
    (alarm,) = [event for event in events if isinstance(event, Alarm)]
    assert (alarm.kind, alarm.nimg, alarm.words) == ("rescue", 56, "the samples are collapsing")
    assert alarm.action == "went back to 24 images and go on at 0.25 × the learning rate"
    assert [e.nimg for e in events if isinstance(e, Look)] == [0, 24, 48, 56, 48, 72, 96]
    assert (state.rescues, state.rate, state.nimg) == (1, GENTLER, 96)


def test_what_is_gone_back_to_is_that_state_bit_for_bit(kit: Any) -> None:
    ill = {48: Health(worse=True, ill="ill")}
    run = kit.tiny_run(rescues=3)
    state, best, back = kit.state(run), None, None
    for event in train(state, run, kit.source(run), until=Budget(images=96), looks=4, health=told(state, ill)):
        if isinstance(event, Look) and event.nimg == 24 and best is None:
            best = weights(state)
        if isinstance(event, Alarm):
            back = weights(state)
    assert best is not None and back is not None and torch.equal(best, back)


def test_it_is_rescued_no_more_often_than_the_run_allows(kit: Any) -> None:
    for allowed in (0, 2):
        run = kit.tiny_run(rescues=allowed)
        state = kit.state(run)

        def health(state: State = state) -> Health:
            return Health(worse=True, ill="ill") if state.nimg > 24 else Health()

        events = list(train(state, run, kit.source(run), until=Budget(images=96), looks=4, health=health))
        assert sum(isinstance(event, Alarm) for event in events) == allowed
        assert isinstance(events[-1], Finished) and state.rate == GENTLER**allowed
    with pytest.raises(UserError, match="rescues=-1"):
        kit.state(kit.tiny_run(rescues=-1))


def test_a_healthy_training_is_the_same_with_and_without_rescues(kit: Any) -> None:
    ours, theirs = (trained(kit, {}, rescues=rescues)[0].tree() for rescues in (3, 0))
    assert kit.differences(ours, theirs) == []


def test_a_first_sign_brings_the_next_look_sooner() -> None:
    pace = Pace(10)
    assert pace.due(0.0, 0.0) and not pace.due(0.05, 1.0)
    pace.hasten(0.05)
    assert not pace.due(0.06, 2.0) and pace.due(0.0701, 3.0)
    assert not pace.due(0.09, 4.0) and pace.due(0.1, 5.0)


def moments(pace: Pace, until: float = 1.0) -> list[float]:
    """Thousandths of the run at which it looks, a second each."""
    return [k / 1000 for k in range(round(1000 * until)) if pace.due(k / 1000, float(k))]


def test_a_closely_watched_run_is_looked_at_twice_early() -> None:
    assert moments(Pace(20), 0.12) == [0.0, 0.013, 0.025, 0.05, 0.1]
    assert moments(Pace(10)) == [k / 10 for k in range(10)], "who asks for few looks gets few"


def test_a_resumed_run_does_not_look_early_again() -> None:
    for share, expected in ((0.02, [0.025, 0.05]), (0.03, [0.05])):
        pace = Pace(20)
        pace.begin(share, 1000 * share, 0.0)
        assert [at for at in moments(pace, 0.06) if at > share] == expected


@pytest.fixture
def trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks between 300 and 360 images are ill, and none after 200 is as good as the best: functions of the history."""
    monkeypatch.setattr(alarms, "ill", lambda history: "ill" if 300 <= history[-1]["nimg"] <= 360 else "")
    monkeypatch.setattr("limner.project.draw_curve", lambda *_: None)
    monkeypatch.setattr("limner.project.as_good_as_any", lambda history: not history or history[-1]["nimg"] <= 200)


def project(folder: Path, images: Any, stops: tuple[int, ...] = ()) -> Project:
    """A run in a folder, stopped after so many steps of each session but the last."""
    run = plan("plain", Facts(images.image, 100, 0, "cpu"), SMALL)
    made = Project.create(folder, Settings.of(images, run, "plain", Budget(480)))
    for steps in (*stops, None):
        asked = itertools.count(1)
        list(Project.open(folder).work(images, stop=lambda asked=asked, steps=steps: next(asked) == steps))
    return made


@pytest.mark.usefixtures("trouble")
@pytest.mark.parametrize("stops", [(20,), (41, 9)], ids=str)
def test_interrupted_amid_rescues_it_ends_the_same(kit: Any, stops: tuple[int, ...], tmp_path: Path) -> None:
    """Before the trouble, amid the rescues and after them."""
    images = kit.pictures()
    whole, parts = project(tmp_path / "whole", images), project(tmp_path / "parts", images, stops)
    trees = [store.load_state(p.folder / "checkpoints" / "0000000480") for p in (whole, parts)]
    assert trees[0]["rescues"] == trees[1]["rescues"] == 3
    for tree in trees:
        del tree["history"]
    assert kit.differences(*trees) == []


@pytest.mark.usefixtures("trouble")
def test_after_a_rescue_the_folder_is_that_of_the_state_gone_back_to(kit: Any, tmp_path: Path) -> None:
    images = kit.pictures()
    run = plan("plain", Facts(images.image, 100, 0, "cpu"), SMALL)
    opened = Project.create(tmp_path / "run", Settings.of(images, run, "plain", Budget(480)))
    for event in (events := opened.work(images)):
        if isinstance(event, Alarm) and event.kind == "rescue":
            break
    events.close()
    there = sorted(int(path.name) for path in (opened.folder / "checkpoints").glob("[0-9]*"))
    assert max(there) == 192 and (opened.folder / "latest").read_text().strip() == "0000000192"
    assert store.load_state(opened.folder / "checkpoints" / "0000000192")["rescues"] == 1
    again = [look["nimg"] for look in looks(read(opened.folder / "events.jsonl"))]
    assert again == sorted(again)
