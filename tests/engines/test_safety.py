"""What is not a number is caught within a step, rolled back, retried more slowly, and at last given up."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from limner.core.events import Alarm, Event, Finished, Look, Progress
from limner.core.optim import SGD
from limner.data.batches import Batch
from limner.models.dcgan import DCGANCritic, DCGANGenerator
from limner.objectives.gan import GAN
from limner.run import Player, Run
from limner.train import RETRIES, Budget, GaveUp, State, train

pytestmark = pytest.mark.usefixtures("free_looks")
STEPS = 12


@dataclass(frozen=True)
class Poisoned(GAN):
    """Not a number in one turn, each time that images reach one of `at_nimg`, which is then used up."""

    turn: str = "critic"
    at_nimg: list[int] = field(default_factory=list)

    def loss(self, turn: str, nets: nn.ModuleDict, batch: Any, at: Any) -> dict[str, Tensor]:
        terms = super().loss(turn, nets, batch, at)
        if turn != self.turn or at.nimg not in self.at_nimg:
            return terms
        self.at_nimg.remove(at.nimg)
        return {name: term * float("nan") for name, term in terms.items()}


class PoisonedSource:
    """One NaN in one picture of one batch that is trained on: only those are asked for by rows."""

    def __init__(self, source: Any, nimg: int) -> None:
        self.source, self.nimg = source, nimg

    def at(self, nimg: int, rows: slice | None = None) -> Batch:
        batch = self.source.at(nimg, rows)
        if nimg == self.nimg and rows is not None:
            self.nimg = -1
            batch.x[0, 0, 3, 3] = float("nan")
        return batch


def watch(state: State, run: Run, source: Any, spoil: Any = None, steps: int = STEPS) -> tuple[list[Event], list[Any]]:
    """Events, and a copy of the state at each Look and right after each Alarm."""
    events: list[Event] = []
    copies: list[Any] = []
    for event in train(state, run, source, until=Budget(images=steps * run.batch), looks=4):
        events.append(event)
        if isinstance(event, (Look, Alarm)):
            copies.append((event, copy.deepcopy(state.tree())))
        if spoil and isinstance(event, Progress) and event.nimg == 7 * run.batch:
            spoil(state)
            spoil = None
    return events, copies


def check(kit: Any, events: list[Event], copies: list[Any], caught_at: int) -> None:
    """One alarm, at `caught_at`; what it left is the last Look's state at half the rate; then all went well."""
    (alarm,) = [event for event in events if isinstance(event, Alarm)]
    assert alarm.kind == "not finite" and alarm.nimg == caught_at
    place = next(i for i, (event, _) in enumerate(copies) if event is alarm)
    good, brought_back = copies[place - 1][1], copies[place][1]
    assert kit.differences(good, brought_back) == ["/rate", "/retries"]
    assert (brought_back["rate"], brought_back["retries"]) == (0.5, 1)
    assert f"{good['nimg']:,} images" in alarm.action
    assert isinstance(events[-1], Finished) and events[-1].reason == "budget"
    assert all(t.isfinite().all() for t in copies[-1][1]["nets"].values() if isinstance(t, Tensor))


@pytest.mark.parametrize("turn", ["generator", "critic"])
def test_a_loss_that_is_not_a_number(turn: str, kit: Any) -> None:
    run = kit.tiny_run(objective=Poisoned(turn=turn, at_nimg=[56]))
    check(kit, *watch(kit.state(run), run, kit.source(run)), caught_at=56)


@pytest.mark.parametrize("role", ["generator", "critic"])
@pytest.mark.parametrize("bad", ["inf", "nan"])
def test_a_weight_that_is_not_a_number(role: str, bad: str, kit: Any) -> None:
    def spoil(state: State) -> None:
        with torch.no_grad():
            state.nets[role].get_parameter("body.0.weight")[0, 0] = float(bad)

    run = kit.tiny_run()
    # tanh hides an infinite weight of the generator from the loss, but not from its gradient
    caught_at = 64 if (role, bad) == ("generator", "inf") else 56
    check(kit, *watch(kit.state(run), run, kit.source(run), spoil), caught_at)


def test_a_weight_that_no_loss_sees_is_caught_at_the_next_look(kit: Any) -> None:
    def spoil(state: State) -> None:
        with torch.no_grad():
            next(state.averaged["generator"].parameters()).flatten()[0] = float("nan")

    run = kit.tiny_run()
    check(kit, *watch(kit.state(run), run, kit.source(run), spoil), caught_at=72)


def test_a_picture_that_is_not_a_number_leaves_no_trace_in_running_statistics(kit: Any) -> None:
    run = kit.tiny_run(DCGANGenerator, DCGANCritic)
    check(kit, *watch(kit.state(run), run, PoisonedSource(kit.source(run), 56)), caught_at=56)


def test_the_retry_draws_other_noise_at_half_the_rate(kit: Any) -> None:
    """The first step taken again goes elsewhere: the noise that met the trouble is not met again."""
    steps: list[Tensor] = []
    for poison in ([], [8]):
        run = kit.tiny_run(objective=Poisoned(at_nimg=poison), players={"critic": Player(SGD(1e-3))})
        state = kit.state(run)
        before = nn.utils.parameters_to_vector(state.nets["critic"].parameters()).detach()
        for event in train(state, run, kit.source(run), until=Budget(images=16), looks=1):
            if isinstance(event, Progress) and event.nimg == 8:
                step = nn.utils.parameters_to_vector(state.nets["critic"].parameters()).detach() - before
                steps.append(step / state.optimizers["critic"].param_groups[0]["lr"])
        assert state.optimizers["critic"].param_groups[0]["lr"] == (5e-4 if state.retries else 1e-3)
    first, again, retried = steps
    assert torch.equal(first, again)
    assert 0.5 < torch.cosine_similarity(first, retried, 0) < 0.999


def test_what_no_smaller_rate_helps_is_given_up(kit: Any) -> None:
    run = kit.tiny_run(objective=Poisoned(at_nimg=[24] * 100))
    alarms: list[Event] = []
    with pytest.raises(GaveUp, match=f"the critic's loss is nan, and {RETRIES} smaller learning rates"):
        for event in train(kit.state(run), run, kit.source(run), until=Budget(images=96)):
            alarms += [event] if isinstance(event, Alarm) else []
    assert len(alarms) == RETRIES
    assert issubclass(GaveUp, ArithmeticError)


def test_the_last_step_is_looked_at_too(kit: Any) -> None:
    """A weight spoilt after the last step is not saved."""
    run = kit.tiny_run()
    state = kit.state(run)
    events: list[Event] = []
    for event in train(state, run, kit.source(run), until=Budget(images=32), looks=2):
        events.append(event)
        if isinstance(event, Progress) and event.nimg == 32:
            with torch.no_grad():
                next(state.nets["critic"].parameters()).fill_(float("inf"))
    assert [type(e).__name__ for e in events[-2:]] == ["Alarm", "Finished"]
    assert state.nimg < 32 and state.finite()
