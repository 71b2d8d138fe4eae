"""The codes of given pictures: a climb towards each from several starts, and how far to believe the answer.

Beside the pictures a few that the model made itself are inverted in the same batch. There the right answer is known to
exist, so what is missed there is the climb's fault: the optimisation gap. What is missed beyond it is what the model
cannot show: the representation floor.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limner.core.errors import UserError
from limner.core.optim import Optimizer
from limner.core.rng import generator as random_of
from limner.explore.ascents import Ascent
from limner.explore.climb import Precision, Standing, Stop, climb
from limner.explore.halving import Halving
from limner.explore.spaces import How, Space, space, starts
from limner.goals.base import Goal, Scene
from limner.models.base import Generator, Labels, Pictures

FOUND = 1e-3
"""Mean squared error below which a picture that the model made itself counts as found again."""
SETTLED, AGREE = 0.05, 1.5
"""A climb that still gained more than this share in its last tenth, or whose two best starts differ by more than this
factor, did not reach the floor as far as can be seen."""
TWO = Halving(least=2)
"""Two starts climb to the end, so that it can be seen whether they agree."""
SETTLE = Stop(patience=10)
LOCAL = 0.1
"""Weight of pictures that tuning shall not change (Roich et al. 2021, eq. 5)."""


@dataclass(frozen=True)
class Inversion:
    """The answer for B pictures. Errors are mean squared ones in the [-1, 1] range.

    codes: the best point of each
    made: what the model makes of it
    error: of what is made
    others: errors of all starts that climbed to the end
    reached: whether the climb had settled and two starts agree, or the error is as good as none
    gap: errors at pictures that the model made itself: the optimisation's part
    """

    codes: Float[Tensor, "b d"]
    made: Float[Tensor, "b c h w"]
    error: Float[Tensor, " b"]
    others: Float[Tensor, "b kept"]
    reached: Bool[Tensor, " b"]
    gap: Float[Tensor, " k"]

    @classmethod
    def joined(cls, parts: Sequence[Inversion]) -> Inversion:
        """That of all pictures, from those of some after another."""
        names = [field.name for field in fields(cls)]
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in names))

    @property
    def floor(self) -> Float[Tensor, " b"]:
        """What the model cannot show of each picture: the error beyond the usual optimisation gap."""
        usual = self.gap.median() if len(self.gap) else self.error.new_zeros(())
        return (self.error - usual).clamp_min(0)

    @property
    def found(self) -> float:
        """Share of the pictures made by the model itself that were found again."""
        return (self.gap < FOUND).float().mean().item() if len(self.gap) else float("nan")


def invert(
    scene: Scene,
    x: Pictures,
    goal_of: Any,
    *,
    each: int = 4,
    steps: int = 100,
    optimizer: str | Optimizer | Ascent = "LBFGS",
    halving: Halving | None = TWO,
    how: How | None = None,
    where: str = "z",
    label: Labels | None = None,
    controls: int = 16,
    stop: Stop | None = SETTLE,
    extra: Goal | None = None,
    seed: int = 0,
    first: int = 0,
    precision: Precision = "fp32",
) -> Iterator[Standing | Inversion]:
    """Yields the standings of the climb, and last the Inversion.

    `goal_of` makes the goal from the pictures that are looked for, one a target; `extra` is added to it. Without `how`
    climbs start from the encoder where there is one, else from the prior; `halving` gives up those that fall behind.
    `first` is the number of the first picture, which its climb depends on.
    """
    within = space(scene, where, label)
    _check(x, within)
    planted, told = _planted(scene, controls, label, seed)
    wanted = torch.cat([x, planted.to(x)])
    numbers = [*range(first, first + len(x)), *(-k - 1 for k in range(controls))]
    how = how or ("encoder" if scene.nets.get("encoder") is not None else "prior")
    begin = starts(within, how, numbers, each, seed=seed, pictures=wanted, label=told)
    goal = goal_of(wanted) if extra is None else goal_of(wanted) + extra
    rule: dict[str, Any] = {"steps": steps, "optimizer": optimizer, "stop": stop, "label": told, "seed": seed}
    rule |= {"precision": precision, "halving": halving}
    standing, late = None, None
    for standing in climb(within, goal, begin, numbers=numbers, **rule):
        if standing.step <= 0.9 * steps:
            late = standing.best
        yield standing
    assert standing is not None and late is not None
    yield _answer(standing, late, wanted, len(x))


def _check(x: Pictures, within: Space) -> None:
    if tuple(x.shape[1:]) != (within.image.channels, within.image.height, within.image.width):
        given = " × ".join(map(str, x.shape[1:]))
        raise UserError(f"this model makes {within.image} pictures, not {given}; gather(size=…, channels=…) fits them")
    if not x.isfinite().all():
        raise UserError("a picture has a NaN or an infinity in it; repair it first")


@torch.no_grad()
def _planted(scene: Scene, count: int, label: Tensor | None, seed: int) -> tuple[Pictures, Tensor | None]:
    """Pictures that the model made itself, and the labels of all targets."""
    net = scene.generator
    home = next(net.parameters())
    drawn = [net.latent.sample(1, random_of(seed, k, "planted")) for k in range(count)]
    z = torch.cat([torch.empty(0, net.latent.dim), *drawn])
    own = None if label is None else label[torch.arange(count, device=label.device) % len(label)]
    return net(z.to(home), own), None if label is None or own is None else torch.cat([label, own])


def _answer(standing: Standing, late: Tensor, wanted: Pictures, n: int) -> Inversion:
    made = standing.pictures()
    errors = (made - wanted[:, None]).square().flatten(2).mean(2)
    error, best = errors.where(standing.going, torch.inf).min(1)
    ended = errors[standing.going].view(len(errors), -1)
    targets = torch.arange(len(errors), device=best.device)
    gained = (standing.best - late)[targets, best] > SETTLED * standing.best[targets, best].abs()
    second = ended.sort(1).values[:, min(1, ended.shape[1] - 1)]
    reached = (error < FOUND) | (~gained & (second <= AGREE * error))
    codes, x = standing.codes[targets, best], made[targets, best]
    return Inversion(codes[:n], x[:n], error[:n], ended[:n], reached[:n], error[n:])


def tune(
    scene: Scene,
    codes: Float[Tensor, "b d"],
    x: Pictures,
    *,
    steps: int,
    where: str = "z",
    label: Labels | None = None,
    rate: float = 1e-3,
    batch: int = 64,
    seed: int = 0,
) -> Iterator[tuple[int, float, Generator]]:
    """Pivotal tuning: a copy of the generator whose weights move until the codes give the pictures (Roich et al. 2021).

    Pictures of random codes are held where they were. Yields the steps done, the error of what was shown, the copy.
    """
    tuned = copy.deepcopy(scene.generator).requires_grad_(True)
    nets = dict(scene.nets)
    before, after = space(scene, where, label), space(Scene(nets | {"generator": tuned}), where, label)
    optimizer = torch.optim.Adam(tuned.parameters(), lr=rate)
    for step in range(steps):
        rng = random_of(seed, step, "tune")
        rows = torch.randperm(len(x), generator=rng)[:batch].to(x.device)
        told = None if label is None else label[rows]
        with torch.no_grad():
            drawn = before.of_codes(scene.generator.latent.sample(len(rows), rng).to(codes), told)
            still = before.decode(drawn, told)
        error = (after.decode(codes[rows], told) - x[rows]).square().flatten(1).mean(1)
        strayed = (after.decode(drawn, told) - still).square().flatten(1).mean(1)
        optimizer.zero_grad(set_to_none=True)
        (error + LOCAL * strayed).mean().backward()
        optimizer.step()
        yield step + 1, error.mean().item(), tuned
    tuned.requires_grad_(False)
