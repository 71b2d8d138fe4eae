"""The training loop, once, for every objective: it yields what happened, and others watch.

A step takes the objective's turns in order. Time is images seen; all randomness follows from
(seed, nimg, turn), so a run that was stopped and resumed equals one that was not, bit for bit.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sized
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from limner.core import parallel
from limner.core.ema import Average
from limner.core.errors import UserError
from limner.core.events import Alarm, Event, Finished, Glance, Look, Progress
from limner.core.health import Health, agreed
from limner.core.moment import Moment
from limner.core.optim import lay_out_alike
from limner.core.pace import Clock, Pace
from limner.core.rng import derived, generator, reseed
from limner.core.spec import build, spec
from limner.core.tape import NotFinite, Tape
from limner.models.base import Generator, Model
from limner.objectives.base import Examples
from limner.run import Run, check

RETRIES = 6
"""Rollbacks after which a training is given up."""
GENTLER = 0.25
"""Factor of the learning rate when an ill training goes back."""


SETTLING = 512
"""Samples from which batch norm's statistics are computed for the averaged weights."""


@dataclass(frozen=True)
class Budget:
    """How long to train: images, seconds, or whichever ends first. Raises UserError when there is neither.

    flat: whether to end before that once the held-out score no longer gets better
    """

    images: int | None = None
    seconds: float | None = None
    flat: bool = False

    def __post_init__(self) -> None:
        if self.images is None and self.seconds is None:
            raise UserError("a budget needs an end; give --for TIME or --images N")

    def share(self, nimg: int, seconds: float) -> float:
        """How much of it is used up, 0 to 1."""
        used = [(nimg, self.images), (seconds, self.seconds)]
        return max(min(have / most, 1.0) if most > 0 else 1.0 for have, most in used if most is not None)


@runtime_checkable
class Source(Protocol):
    """Where batches come from: a pure function of images seen."""

    def at(self, nimg: int, rows: slice | None = None) -> Examples: ...


class State:
    """Everything that training changes: networks, their averages, optimizers, time."""

    def __init__(self, run: Run, device: torch.device) -> None:
        """The beginning of a run: networks with seeded weights, on a device."""
        check(run)
        self.device = device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived(run.seed, 0, "weights"))
            self.nets = nn.ModuleDict({role: build(spec(net), Model) for role, net in run.nets.items()})
        self.nets.to(device).to(memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]
        if run.compile and "generator" in self.nets:
            self.nets["generator"].compile()
        self.average = Average(self.nets, run.average)
        self.weights = {
            turn: [p for role in roles for p in self.nets[role].parameters()]
            for turn, roles in run.objective.players.items()
        }
        self.optimizers = {turn: run.player(turn).optimizer.make(weights) for turn, weights in self.weights.items()}
        self.tape = Tape(device)
        self.shown: nn.ModuleDict | None = None
        self.nimg = 0
        self.looked = -1
        self.seconds = 0.0
        self.reserve = 0.0
        self.rate = 1.0
        self.retries = 0
        self.rescues = 0
        self.strength = run.augment.start if run.augment else 0.0
        self.history: list[dict[str, float]] = []

    @property
    def averaged(self) -> nn.ModuleDict:
        """The networks with averaged weights, to be drawn from; after `settled` with statistics of their own."""
        return self.average.nets if self.shown is None else self.shown

    def free(self, turn: str) -> None:
        """Let gradients reach the weights of a turn, and no others."""
        for other, weights in self.weights.items():
            for weight in weights if other != turn else ():
                weight.requires_grad_(False)
        for weight in self.weights[turn]:
            weight.requires_grad_()

    def tree(self) -> dict[str, Any]:
        """All of it as nested dicts of tensors and plain values; tensors are not copied."""
        return {
            "nets": self.nets.state_dict(),
            "average": self.average.nets.state_dict(),
            "optimizers": {turn: o.state_dict() for turn, o in self.optimizers.items()},
            "unread": self.tape.unread(),
            **{name: getattr(self, name) for name in PLAIN},
        }

    def load(self, tree: dict[str, Any]) -> None:
        """Take over a tree, whose tensors are copied."""
        self.shown = None
        self.nets.load_state_dict(tree["nets"])
        self.average.nets.load_state_dict(tree["average"])
        for turn, optimizer in self.optimizers.items():
            optimizer.load_state_dict(copy.deepcopy(tree["optimizers"][turn]))
            lay_out_alike(optimizer)
        self.tape.begin(tree["unread"])
        for name in PLAIN:
            # a checkpoint from before there were rescues is one without
            setattr(self, name, copy.deepcopy(tree.get(name, 0) if name == "rescues" else tree[name]))

    def finite(self) -> bool:
        """Whether every weight and every average is a number."""
        tensors = [*self.nets.parameters(), *self.average.nets.parameters()]
        return bool(torch.stack([t.detach().sum().isfinite() for t in tensors]).all())


PLAIN = ("nimg", "looked", "seconds", "reserve", "rate", "retries", "rescues", "strength", "history")
"""The parts of a state that are not tensors."""


class GaveUp(ArithmeticError):
    """Smaller learning rates did not help."""


def train(
    state: State,
    run: Run,
    batches: Source,
    *,
    until: Budget,
    looks: int = 20,
    stop: Callable[[], bool] = lambda: False,
    health: Callable[[], Health] = Health,
    best: dict[str, Any] | None = None,
) -> Iterator[Event]:
    """Train `state` until the budget is used up or `stop()` is true; yields Progress after each step.

    About `looks` times, and at the end, it yields Look: a moment to draw, score and save; in the first minute, where
    looks are far apart, Glance: a moment to draw a preview. A loss or weight
    that is not finite brings back the state of the last Look at half the learning rate, and an Alarm.
    Raises GaveUp, an ArithmeticError, when that does not help. `health()` is asked after each Look: what is ill goes
    back to the best one, as often as the run allows. `best` is that state, where it is not the present one.
    """
    parallel.rows(run.batch)
    clock = Clock(state.seconds)
    if state.nimg == 0 and state.looked < 0:
        prepare(state, run, batches)
    pace = Pace(looks)
    if state.looked >= 0:
        pace.begin(until.share(state.nimg, state.seconds + state.reserve), state.seconds, state.reserve)
        if _checked(health, state, run).worried:
            pace.hasten(until.share(state.nimg, state.seconds + state.reserve))
    good = copy.deepcopy(state.tree())
    best = best or good
    while True:
        state.seconds, told = parallel.agree(clock.seconds(), stop(), state.device)
        share = until.share(state.nimg, state.seconds + state.reserve)
        if share >= 1 or told:
            break
        try:
            if state.nimg != state.looked and pace.due(share, state.seconds):
                _insist_on_finite(state)
                yield from _look(state, run, batches, share)
                found = _checked(health, state, run)
                if found.ill:
                    yield _rescue(state, best, found.ill)
                    pace.begin(until.share(state.nimg, state.seconds + state.reserve), state.seconds, state.reserve)
                    good = copy.deepcopy(state.tree())
                    continue
                good = copy.deepcopy(state.tree())
                best = best if found.worse else good
                if found.worried:
                    pace.hasten(share)
                state.reserve = pace.took(clock.seconds() - state.seconds, state.device)
                continue
            if pace.glance(state.seconds):
                settled(state, run, batches)
                yield Glance(state.nimg)
            before = state.nimg
            values = state.tape.put(_step(state, run, batches, share))
        except NotFinite as problem:
            yield _roll_back(state, good, problem)
            continue
        if run.augment and "sign" in values:
            state.strength = run.augment.adjust(state.strength, values.pop("sign"), state.nimg - before)
        yield Progress(state.nimg, share, state.seconds, values)
    if not state.finite():
        yield _roll_back(state, good, NotFinite("a weight is not a number"))
    share = until.share(state.nimg, state.seconds + state.reserve)
    if state.nimg != state.looked:
        yield from _look(state, run, batches, share)
    yield Finished(state.nimg, clock.seconds(), "budget" if share >= 1 else "stopped")


@torch.no_grad()
def prepare(state: State, run: Run, batches: Source) -> None:
    """Let networks compute what they need of the training pictures before the first step, the same in all processes."""
    rng = generator(run.seed, 0, "prepare", state.device)
    with torch.autocast(state.device.type, torch.bfloat16, enabled=run.precision == "bf16"):
        run.objective.prepare(state.nets, First(batches, run.batch, rng))
    state.average.nets.load_state_dict(state.nets.state_dict())


@dataclass(frozen=True)
class First:
    """The first training pictures, in the order in which they are trained on."""

    batches: Source
    size: int
    rng: torch.Generator

    def first(self, count: int) -> Iterator[Examples]:
        """At most so many pictures, each once, in batches."""
        there = len(self.batches) if isinstance(self.batches, Sized) else count
        for nimg in range(0, min(count, there), self.size):
            yield self.batches.at(nimg)


def _look(state: State, run: Run, batches: Source, share: float) -> Iterator[Event]:
    """Look, with batch norm's statistics of the averaged weights, and the others' averaged over all processes."""
    state.looked = state.nimg
    means = (b for nets in (state.nets, state.average.nets) for b in nets.buffers() if b.is_floating_point())
    parallel.average(list(means))
    settled(state, run, batches)
    yield Look(state.nimg, share, state.seconds)


def settled(state: State, run: Run, batches: Source) -> None:
    """Show averages whose generator has batch norm's statistics of its own, until the next step.

    A copy has them, so that when it was looked at makes no difference to the training.
    """
    net = state.average.nets["generator"] if "generator" in state.nets else None
    if not isinstance(net, Generator) or not any(True for _ in _norms(net)):
        return
    own = copy.deepcopy(net)
    with torch.autocast(state.device.type, torch.bfloat16, enabled=run.precision == "bf16"):
        settle(own, batches, run.batch, generator(run.seed, state.nimg, "settle", state.device))
    state.shown = nn.ModuleDict({**dict(state.average.nets.items()), "generator": own})


@torch.no_grad()
def settle(net: Generator, batches: Source, size: int, rng: torch.Generator) -> None:
    """Batch norm's running statistics of a generator, computed anew from codes of the prior and labels of the data.

    Averages of the statistics of changing weights are not the statistics of averaged weights.
    """
    norms = list(_norms(net))
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
        norm.momentum = None  # the plain mean over all batches
    for nimg in range(0, SETTLING if norms else 0, size):
        net(net.latent.sample(size, rng), batches.at(nimg).label)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.eval()
        norm.momentum = momentum


def _norms(net: nn.Module) -> Iterator[nn.modules.batchnorm._BatchNorm]:  # pyright: ignore[reportPrivateUsage]
    return (m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))  # pyright: ignore[reportPrivateUsage]


def _step(state: State, run: Run, batches: Source, share: float) -> dict[str, Tensor]:
    """All turns once; the values to log."""
    values: dict[str, Tensor] = {}
    rows = parallel.rows(run.batch)
    drawn: dict[int, Examples] = {}
    kept: dict[int, dict[str, Any]] = {}
    state.shown = None
    for net in (*state.nets.values(), *state.average.nets.values()):
        cast("Model", net).pace(share)
    for turn in run.objective.players:
        state.free(turn)
        for k in range(run.player(turn).steps):
            nimg = state.nimg + k * run.batch
            if k not in drawn:
                drawn[k], kept[k] = batches.at(nimg, rows), {}
            purpose = f"{turn}/{state.retries}"
            # Dropout draws from the global generators: they too must be functions of the moment.
            reseed(derived(run.seed, nimg, f"{purpose}/{parallel.rank()}"), state.device)
            rng = generator(run.seed, nimg, purpose, state.device)
            at = Moment(nimg, share, rng, run.batch, rows, run.augment, state.strength, {}, kept[k])
            values |= _turn(state, run, turn, drawn[k], at)
    seen = run.batch * max(run.player(turn).steps for turn in run.objective.players)
    state.nimg += seen
    state.average.update(state.nimg, seen)
    return values


def _turn(state: State, run: Run, turn: str, batch: Examples, at: Moment) -> dict[str, Tensor]:
    """One player's loss, gradient and step; the means of its terms, over all processes."""
    player, optimizer, weights = run.player(turn), state.optimizers[turn], state.weights[turn]
    with torch.autocast(state.device.type, torch.bfloat16, enabled=run.precision == "bf16"):
        terms = run.objective.loss(turn, state.nets, batch, at)
    means = {f"{turn}/{name}": term.float().mean() for name, term in terms.items()}
    loss = torch.stack(list(means.values())).sum()
    for weight in weights:
        weight.grad = None
    loss.backward(inputs=weights)  # and not as far as what a critic was shown
    means = {"loss": loss} | means
    if run.augment and "real" in at.notes:
        means["sign"] = at.notes["real"].float().sign().mean()
    means |= {f"{turn}/{name}": note.float().mean() for name, note in at.notes.items() if name != "real"}
    means = {name: mean.detach() for name, mean in means.items()}
    parallel.average([*means.values(), *(p.grad for p in weights if p.grad is not None)])
    # After the averaging, so that all processes find the same. On CUDA the tape finds it a step later.
    if state.device.type != "cuda" and not math.isfinite(means["loss"].item()):
        raise NotFinite(f"the {turn}'s loss is {means['loss'].item()}")
    del means["loss"]
    if player.clip_value is not None:
        nn.utils.clip_grad_value_(weights, player.clip_value)
    if player.clip_norm is not None:
        nn.utils.clip_grad_norm_(weights, player.clip_norm)
    for group in optimizer.param_groups:
        group["lr"] = player.optimizer.rate(at.progress) * state.rate
    optimizer.step()
    run.objective.after(turn, state.nets)
    return means


def _insist_on_finite(state: State) -> None:
    if not state.finite():
        raise NotFinite("a weight is not a number")


def _roll_back(state: State, good: dict[str, Any], problem: NotFinite) -> Alarm:
    """Bring back the last good state at half the rate."""
    when, retries, rate = state.nimg, state.retries + 1, state.rate / 2
    if retries > RETRIES:
        raise GaveUp(f"{problem}, and {RETRIES} smaller learning rates did not help")
    state.load(good)
    state.retries, state.rate = retries, rate
    action = f"went back to {state.nimg:,} images and go on at {rate:g} × the learning rate"
    return Alarm(when, "not finite", f"{problem} after {when:,} images", action)


def _checked(health: Callable[[], Health], state: State, run: Run) -> Health:
    """What all processes are to do; nothing when there have been enough rescues."""
    return agreed(health(), state.device) if state.rescues < run.rescues else Health()


def _rescue(state: State, best: dict[str, Any], why: str) -> Alarm:
    """Bring back the best state at a quarter of the rate."""
    when, retries, rescues, rate = state.nimg, state.retries + 1, state.rescues + 1, state.rate * GENTLER
    seconds, reserve = state.seconds, state.reserve
    state.load(best)
    state.retries, state.rescues, state.rate, state.seconds, state.reserve = retries, rescues, rate, seconds, reserve
    action = f"went back to {state.nimg:,} images and go on at {rate:g} × the learning rate"
    return Alarm(when, "rescue", why, action)
