"""A budget is kept: exactly in images, within two seconds of time; schedules reach their end; `stop` stops."""

from __future__ import annotations

import copy
import time
from itertools import pairwise
from typing import Any

import pytest
import torch

from limner.core.errors import UserError
from limner.core.events import Event, Finished, Glance, Look, Progress
from limner.core.optim import Adam
from limner.core.pace import Pace
from limner.core.rng import generator
from limner.core.schedule import Ramp
from limner.models.light import LightGenerator
from limner.monitor import monitor
from limner.run import Player
from limner.train import Budget, settle, train


@pytest.mark.usefixtures("free_looks")
def test_the_order_of_events(kit: Any) -> None:
    """Look before the first step and after the last, Progress after every step, Finished once."""
    run = kit.tiny_run()
    events = list(train(kit.state(run), run, kit.source(run), until=Budget(images=80), looks=5))
    assert isinstance(events[0], Look) and events[0].nimg == 0
    assert isinstance(events[-2], Look) and isinstance(events[-1], Finished)
    assert [e.nimg for e in events if isinstance(e, Progress)] == list(range(8, 88, 8))
    assert [e.nimg for e in events if isinstance(e, Look)] == [0, 16, 32, 48, 64, 80]
    assert [e.nimg for e in events] == sorted(e.nimg for e in events)
    assert (events[-1].nimg, events[-1].reason) == (80, "budget")


@pytest.mark.parametrize(("images", "seen"), [(80, 80), (81, 88), (1, 8), (0, 0)])
def test_images_are_counted_exactly(images: int, seen: int, kit: Any) -> None:
    run = kit.tiny_run()
    state = kit.state(run)
    assert list(train(state, run, kit.source(run), until=Budget(images=images)))[-1].nimg == state.nimg == seen


def test_a_budget_without_an_end_is_refused() -> None:
    with pytest.raises(UserError, match="--for TIME or --images N"):
        Budget()


def test_a_schedule_starts_and_ends_where_it_says(kit: Any) -> None:
    run = kit.tiny_run(players={"critic": Player(Adam(Ramp(1.0e-3, 0.0)))})
    state = kit.state(run)
    rates = [
        state.optimizers["critic"].param_groups[0]["lr"]
        for event in train(state, run, kit.source(run), until=Budget(images=800))
        if isinstance(event, Progress)
    ]
    assert rates == pytest.approx([1e-3 * (1 - k / 100) for k in range(100)])


@pytest.mark.parametrize(("first", "later"), [(0.05, 0.05), (1.2, 0.4)])
def test_time_is_kept_with_slow_looks(first: float, later: float, kit: Any) -> None:
    """4 seconds, the looks included, the first of which also warms up."""
    run = kit.tiny_run(players={"critic": Player(Adam(Ramp(1e-3, 0.0)))})
    state, looks, begun = kit.state(run), 0, time.monotonic()
    shares: list[float] = []
    for event in train(state, run, kit.source(run), until=Budget(seconds=4)):
        if isinstance(event, Look):
            time.sleep(later if looks else first)
            looks += 1
        shares += [event.share] if isinstance(event, Progress) else []
    assert abs(time.monotonic() - begun - 4) < 1
    assert state.optimizers["critic"].param_groups[0]["lr"] < 0.1e-3
    assert looks >= 2
    assert shares[-1] < 1


def test_images_or_seconds_whichever_ends_first(kit: Any) -> None:
    run = kit.tiny_run()
    assert list(train(kit.state(run), run, kit.source(run), until=Budget(16, 3600)))[-1].nimg == 16
    begun = time.monotonic()
    list(train(kit.state(run), run, kit.source(run), until=Budget(10**9, 0.5)))
    assert time.monotonic() - begun < 2


def test_stop_ends_with_a_look(kit: Any) -> None:
    run = kit.tiny_run()
    state = kit.state(run)
    events = list(train(state, run, kit.source(run), until=Budget(images=800), stop=lambda: state.nimg >= 24))
    assert [type(e).__name__ for e in events[-3:]] == ["Progress", "Look", "Finished"]
    assert events[-1] == Finished(24, events[-1].seconds, "stopped")


def test_going_on_neither_looks_twice_nor_trains_beyond(kit: Any) -> None:
    run = kit.tiny_run()
    state, source = kit.state(run), kit.source(run)
    list(train(state, run, source, until=Budget(images=80)))
    assert [type(e).__name__ for e in train(state, run, source, until=Budget(images=80))] == ["Finished"]
    longer = list(train(state, run, source, until=Budget(images=160), looks=2))
    assert [e.nimg for e in longer if isinstance(e, Look)] == [160]


def test_the_clock_goes_on_where_it_stopped(kit: Any) -> None:
    run = kit.tiny_run()
    state, source = kit.state(run), kit.source(run)
    list(train(state, run, source, until=Budget(seconds=1)))
    begun = time.monotonic()
    events: list[Event] = list(train(state, run, source, until=Budget(seconds=2)))
    # on a busy machine more is kept free for the last look, so it may end sooner
    assert 0.2 < time.monotonic() - begun < 1.5
    last = events[-1]
    assert isinstance(last, Finished) and last.reason == "budget"
    assert 1.2 < last.seconds < 2.5


@pytest.mark.parametrize("looks", [20, 100])
def test_looks_never_take_more_than_a_tenth(looks: int) -> None:
    """Simulated: looks of 3 s in a run of 300 s that asks for many of them, the early ones included."""
    pace, now, looking = Pace(looks), 0.0, 0.0
    while now < 300:
        if pace.due(now / 300, now):
            now, looking = now + 3, looking + 3
            pace._taken.append(3.0)
        now += 0.1
    assert 20 < looking < 0.12 * 300


def test_long_runs_are_looked_at_every_two_minutes() -> None:
    pace, times = Pace(20), []
    for now in range(0, 24 * 3600):
        if pace.due(now / (24 * 3600), now):
            times.append(now)
    assert max(b - a for a, b in pairwise(times)) <= 120


@pytest.mark.parametrize("look", [0.3, 4.0, 12.0, 35.0])
@pytest.mark.parametrize("length", [120, 900, 12 * 3600, 7 * 86400])
def test_what_is_learned_is_to_be_seen_within_a_minute(length: float, look: float) -> None:
    """Simulated: previews come at the beginning of looks, or alone; the first of all shows untrained networks."""
    pace, now, shown, glances = Pace(20), 0.0, [], 0
    while now < 200:
        if pace.due(now / length, now):
            shown.append(now)
            pace.took(look, torch.device("cpu"))
            now += look
        elif pace.glance(now):
            shown.append(now)
            glances += 1
        now += 0.5
    assert shown[0] == 0 and look < shown[1] <= 60
    assert glances <= 4, "looks follow each other closely enough after the first minute"


def test_a_run_that_goes_on_is_not_at_its_beginning() -> None:
    pace = Pace(20)
    pace.begin(0.5, 3600, 1.0)
    assert not any(pace.glance(now) for now in range(3600, 3700))


def test_a_glance_lies_between_steps_and_changes_nothing(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same training, to the last bit, with a preview after every step and with none."""

    def end(glances: bool) -> tuple[Any, list[Event]]:
        run = kit.tiny_run()
        state = kit.state(run)
        torch.manual_seed(0)  # a look draws dropout before the first step
        with monkeypatch.context() as patch:
            patch.setattr(Pace, "glance", lambda *_: glances)
            patch.setattr(Pace, "took", lambda *_: 0.0)
            events = train(state, run, kit.source(run), until=Budget(images=80), looks=2)
            seen = list(monitor(events, state, kit.pictures(40), kit.pictures(40, seed=1), n=40))
        return state, seen

    (watched, events), (alone, without) = end(True), end(False)
    assert kit.differences(watched.tree(), alone.tree()) == []
    assert sum(isinstance(e, Glance) for e in events) == 10 and not any(isinstance(e, Glance) for e in without)
    kinds = [type(e).__name__ for e in events]
    assert all(kinds[k - 1] == "Preview" for k, kind in enumerate(kinds) if kind == "Glance")


def test_a_glance_shows_a_settled_generator(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the statistics of its own samples, as at a look: computing them once more changes nothing."""
    monkeypatch.setattr(Pace, "glance", lambda *_: True)
    run = kit.tiny_run(generator=LightGenerator)
    state, source = kit.state(run), kit.source(run)
    events = train(state, run, source, until=Budget(images=80), looks=1)
    at = next(event for event in events if isinstance(event, Glance) and event.nimg == 40)
    shown = copy.deepcopy(state.averaged.state_dict())
    settle(state.averaged["generator"], source, run.batch, generator(run.seed, at.nimg, "settle"))  # type: ignore[arg-type]
    assert any("running_var" in name for name in shown)
    assert all(torch.equal(before, state.averaged.state_dict()[name]) for name, before in shown.items())
