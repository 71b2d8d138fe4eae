"""The climbing loop: gradient ascent on a goal, for B targets from R starts each, as rows of one batch.

It yields where all rows stand after every step, so that progress bars, films and pages can watch, and keeps for each
row the best point that was ever looked at, which is rarely the last. Rows of targets that are done, and starts that
have fallen behind (`halving`), leave the batch: later steps cost less.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from limner.core.errors import UserError
from limner.core.optim import Optimizer
from limner.core.spec import Spec
from limner.explore.ascents import Ascent, Place, Points, Walk, ascent, seeds
from limner.explore.halving import Halving
from limner.explore.spaces import Hold, Space, a_row_each, space
from limner.goals.base import Goal, Scene, Sum, View, Weighted
from limner.models.base import Generator, Labels

Precision = Literal["fp32", "bf16"]
WHOLE = 0.8
"""Share of the steps after which half precision is over."""


@dataclass(frozen=True)
class Stop:
    """When a climb ends before its last step; a target is done when the rule holds for it.

    target: the goal's value that is enough, reached by any start; none to go on
    patience: steps without a better value, in any start, after which it is enough; 0 to go on
    change: how much better counts, relative to the value
    seconds: for all targets together; 0 to go on
    """

    target: float | None = None
    patience: int = 0
    change: float = 1e-3
    seconds: float = 0.0


@dataclass(frozen=True)
class Standing:
    """Where all rows stand after a step.

    step: steps done; 0 is the start
    looks: how often a batch was decoded
    decoded: pictures in all these batches together
    seconds: since the start
    values: the goal at each row now
    points: where each row is now
    x: their pictures
    best: the highest value of each row so far
    codes: where that was
    done: which targets are
    going: which rows have not been given up for better starts of their target
    within: the space that is climbed
    label: what the generator is told, one a row
    """

    step: int
    looks: int
    decoded: int
    seconds: float
    values: Float[Tensor, "b r"]
    points: Float[Tensor, "b r d"]
    x: Float[Tensor, "b r c h w"]
    best: Float[Tensor, "b r"]
    codes: Float[Tensor, "b r d"]
    done: Bool[Tensor, " b"]
    going: Bool[Tensor, "b r"]
    within: Space
    label: Labels | None

    @property
    def winner(self) -> Int[Tensor, " b"]:
        """Which start is the best of each target, of those that were not given up."""
        return self.best.where(self.going, -torch.inf).argmax(1)

    @property
    def answer(self) -> Float[Tensor, "b d"]:
        """The best point of each target."""
        return self.codes[torch.arange(len(self.codes)), self.winner]

    @torch.no_grad()
    def pictures(self, z: Float[Tensor, "b r d"] | None = None) -> Float[Tensor, "b r c h w"]:
        """What the best points of all rows, or others in their place, look like."""
        z = self.codes if z is None else z
        return self.within.decode(z.flatten(0, 1), self.label).unflatten(0, z.shape[:2])


def climb(
    scene: Scene | Generator | Space,
    goal: Goal,
    start: Float[Tensor, "b r d"],
    *,
    steps: int = 200,
    optimizer: str | Spec | Optimizer | Ascent = "Adam",
    stop: Stop | None = None,
    halving: Halving | None = None,
    hold: Hold = "allowed",
    within: str = "z",
    label: Labels | None = None,
    seed: int = 0,
    numbers: Sequence[int] | None = None,
    precision: Precision = "fp32",
) -> Iterator[Standing]:
    """Climb towards a goal from points (B, R, d), in the space z, w or pixels; yields `steps` + 1 standings at most.

    `label` is what the generator is told, one a target or one a row. `numbers` are the targets' own, which their
    randomness depends on; without them they are counted. With `halving` starts that fall behind are given up: their
    best stays in the standings, and `going` says which they are. With `precision` bf16 pictures are made in half
    precision until the last fifth of the steps, in little more than half the time; an item then no longer comes out
    the same, to the last digits, alone and in a batch. Raises UserError where the goal is not a number, or has no
    gradient to climb.
    """
    if not isinstance(scene, Space):
        scene = space(scene if isinstance(scene, Scene) else Scene({"generator": scene}), within, label)
    stop = stop or Stop()
    counted = list(range(len(start))) if numbers is None else list(numbers)
    rule = ascent(optimizer)
    rounds = halving.rounds(start.shape[1]) if halving else {}
    crowd = _Crowd(scene, goal, start, hold, label, precision)
    here = crowd.look(crowd.points, gradient=not rule.blind)
    if here.value.isnan().all():
        raise UserError("this goal is not a number at any start; look for a logarithm or root of something negative")
    walk = rule.begin(here.z, seeds(seed, counted, start.shape[1], "climb"))
    patience = _Patience(stop, crowd)
    for step in range(steps + 1):
        if step == round(WHOLE * steps):
            crowd.sharpen()
        if step:
            here = walk.step(here, crowd.look, rule.rate((step - 1) / max(steps, 1)))
        crowd.note(here)
        done = patience.over(step) or step == steps
        yield crowd.standing(step)
        if done:
            return
        crowd.give_up(rounds.get(step))
        here = crowd.leave(here, walk)


class _Crowd:
    """All rows of a climb: what they look like, the best they have been, and which of them still climb."""

    def __init__(
        self, within: Space, goal: Goal, start: Tensor, hold: Hold, label: Labels | None, precision: Precision
    ) -> None:
        self.within, self.goal, self.half = within, goal, precision == "bf16"
        self.how: Hold = hold
        b, r, _ = start.shape
        self.told = a_row_each(label, b, r)
        self.starts, self.looks, self.decoded, self.began = r, 0, 0, time.monotonic()
        self.kept = r
        self.items = torch.arange(b, device=start.device).repeat_interleave(r)
        self.rows = torch.arange(b * r, device=start.device)
        self.values = start.new_full((b * r,), -torch.inf)
        self.best = self.values
        self.points = self.codes = start.flatten(0, 1)
        self.done = torch.zeros(b, dtype=torch.bool, device=start.device)
        self.going = torch.ones(b * r, dtype=torch.bool, device=start.device)
        self.x = start.new_zeros((b * r, within.image.channels, within.image.height, within.image.width))

    def sharpen(self) -> None:
        """From here on in single precision; what half precision thought best does not count."""
        if self.half:
            self.half, self.best = False, self._with(self.best, torch.full_like(self.best[self.rows], -torch.inf))

    def hold(self, z: Points) -> Points:
        return self.within.hold(z, self.how)

    def view(self, z: Points) -> View:
        """Rows that still climb, at these points."""
        item = self.items[self.rows]
        label = None if self.told is None else self.told[self.rows]
        with torch.autocast(z.device.type, torch.bfloat16, enabled=self.half):
            x = self.within.decode(z, label)
        x = x.to(z.dtype) if self.half else x
        return View(x, z, item, self.kept, self.within.latent, self.within.scene, label)

    def look(self, z: Points, gradient: bool = True) -> Place:
        """One decoding of all rows that still climb: how good, which way is up; the best is remembered."""
        with torch.no_grad():
            z = self.hold(z.detach())
        z.requires_grad_(gradient)
        view = self.view(z)
        values = self.goal(view)
        slopes = self._slopes(values, z)
        self.looks, self.decoded = self.looks + 1, self.decoded + len(z)
        z, values = z.detach(), values.detach().to(self.best)
        better = values > self.best[self.rows]
        self.best = self._with(self.best, torch.where(better, values, self.best[self.rows]))
        self.codes = self._with(self.codes, torch.where(better[:, None], z, self.codes[self.rows]))
        return Place(z, values, slopes, view.x.detach())

    def _slopes(self, values: Tensor, z: Points) -> Points:
        if not z.requires_grad:
            return torch.zeros_like(z)
        if not values.requires_grad:
            raise UserError("this goal has no gradient to follow; climb it with --optimizer CMAES")
        (slopes,) = torch.autograd.grad(values.sum(), z, materialize_grads=True)
        return slopes.nan_to_num(0.0, 0.0, 0.0)

    def _with(self, whole: Tensor, part: Tensor) -> Tensor:
        """A copy of what is kept of all rows, renewed where rows still climb."""
        return part if len(self.rows) == len(whole) else whole.index_put((self.rows,), part)

    def note(self, here: Place) -> None:
        """Where the rows that still climb are now."""
        self.values = self._with(self.values, here.value)
        self.points = self._with(self.points, here.z)
        self.x = self._with(self.x, here.x)

    def give_up(self, kept: int | None) -> None:
        """Of each target's starts only so many go on: the best so far, the earlier of two that are as good."""
        if kept is None or kept >= self.kept:
            return
        self.kept = kept
        best = self.best.where(self.going, -torch.inf).unflatten(0, (-1, self.starts))
        order = best.argsort(dim=1, descending=True, stable=True)
        self.going = torch.zeros_like(best, dtype=torch.bool).scatter_(1, order[:, :kept], True).flatten()

    def leave(self, here: Place, walk: Walk) -> Place:
        """Rows of targets that are done, and rows that were given up, stop climbing."""
        going = self.going[self.rows] & ~self.done[self.items[self.rows]]
        if going.all():
            return here
        kept = going.nonzero()[:, 0]
        self.rows = self.rows[kept]
        walk.keep(kept)
        return Place(here.z[kept], here.value[kept], here.gradient[kept], here.x[kept])

    def standing(self, step: int) -> Standing:
        """What is yielded."""
        values, points, x, best, codes, going = (
            t.unflatten(0, (-1, self.starts))
            for t in (self.values, self.points, self.x, self.best, self.codes, self.going)
        )
        seconds, done = time.monotonic() - self.began, self.done.clone()
        return Standing(
            step, self.looks, self.decoded, seconds, values, points, x, best, codes, done, going, self.within, self.told
        )


class _Patience:
    """Which targets have had enough."""

    def __init__(self, stop: Stop, crowd: _Crowd) -> None:
        self.stop, self.crowd = stop, crowd
        self.bar = torch.full_like(crowd.best, -torch.inf)
        self.since = torch.zeros_like(crowd.best)

    def over(self, step: int) -> bool:
        """Marks targets that are done; whether all are, or the time is up."""
        stop, crowd = self.stop, self.crowd
        rose = crowd.best > self.bar + stop.change * self.bar.abs().nan_to_num(posinf=0.0)
        self.bar = torch.where(rose, crowd.best, self.bar)
        self.since = torch.where(rose, 0.0, self.since + 1)
        if stop.patience and step:
            waited = (self.since >= stop.patience) | ~crowd.going
            crowd.done |= waited.unflatten(0, (-1, crowd.starts)).all(1)
        if stop.target is not None:
            crowd.done |= ((crowd.best >= stop.target) & crowd.going).unflatten(0, (-1, crowd.starts)).any(1)
        return bool(crowd.done.all()) or 0 < stop.seconds <= time.monotonic() - crowd.began


@torch.no_grad()
def terms(standing: Standing, goal: Goal) -> dict[str, Float[Tensor, " n"]]:
    """What each part of a goal gives the best points of all rows, before its weight."""
    b, r, _ = standing.codes.shape
    label = standing.label
    item = torch.arange(b, device=standing.codes.device).repeat_interleave(r)
    within, z = standing.within, standing.codes.flatten(0, 1)
    view = View(within.decode(z, label), z, item, r, within.latent, within.scene, label)
    found: dict[str, Tensor] = {}
    for part in goal.parts if isinstance(goal, Sum) else (goal,):
        bare = part.goal if isinstance(part, Weighted) else part
        avoided = isinstance(part, Weighted) and part.weight < 0
        found[f"{type(bare).__name__}{' (avoided)' if avoided else ''}"] = bare(view)
    return found
