"""What a training is, beside the data and the budget: who plays, by which rule, with which networks and arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch

from limner.augments.base import Augment
from limner.core.errors import UserError
from limner.core.optim import Adam, Optimizer
from limner.core.spec import catalog, register
from limner.models.base import Model, kind_of
from limner.objectives.base import Objective


@register
@dataclass(frozen=True)
class Player:
    """How one turn moves its weights.

    optimizer: the rule, with its rate
    steps: turns in a row, on a new batch each, per step of the whole
    clip_norm: longest gradient, none for any
    clip_value: largest entry of the gradient, none for any
    """

    optimizer: Optimizer = Adam()
    steps: int = 1
    clip_norm: float | None = None
    clip_value: float | None = None

    def __post_init__(self) -> None:
        if self.steps < 1 or any(clip is not None and clip <= 0 for clip in (self.clip_norm, self.clip_value)):
            raise UserError("Player: steps must be 1 or more, and clips above 0 or none")


@register
@dataclass(frozen=True)
class Run:
    """Everything that decides a training, beside the data and the budget.

    objective: who plays, and for what
    nets: role → network
    players: turn → how it moves
    batch: images a step, over all processes
    average: half-life of the averaged weights, in images
    augment: what the critic is shown instead of the images, none for the images themselves
    precision: arithmetic of the networks
    compile: whether the generator is compiled
    keep: what becomes the model file: the last state that cannot be told from the best on held-out images, or the last
    patience: looks in a row without a better score after which training stops, none to go on
    rescues: how often an ill training goes back to its best look, and on at a quarter of the rate; the run then depends
        on when it looks, which is by the clock
    pictures: how many of the images are trained on, drawn by the seed; none for all
    mirror: whether half of the images, drawn anew for each batch, are mirrored left to right; for pictures whose mirror
        images could be of the same kind, which letters and digits are not
    labels: how many labels are kept, as many of each class; none for all
    labelled: share of the images shown that have a label, by repeating those; none for as many as there are
    seed: of everything random
    """

    objective: Objective
    nets: dict[str, Model]
    players: dict[str, Player] = field(default_factory=dict[str, Player])
    batch: int = 64
    average: float = 20_000.0
    augment: Augment | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    keep: Literal["best", "last"] = "best"
    patience: int | None = None
    rescues: int = 0
    pictures: int | None = None
    mirror: bool = False
    labels: int | None = None
    labelled: float | None = None
    seed: int = 0

    def player(self, turn: str) -> Player:
        """How a turn moves; the default player where none was named."""
        return self.players.get(turn, Player())


def check(run: Run) -> None:
    """Raise UserError unless the networks are those that the objective moves, and labels can be shown as asked."""
    if run.labelled is not None and not 0 < run.labelled < 1:
        raise UserError(f"labelled={run.labelled} is not a share of the images shown; use -o labelled=0.5")
    for name, least, advice in (("batch", 1, "64"), ("seed", 0, "0"), ("pictures", 2, "1000, or none for all"),
                                ("patience", 1, "5, or none to go on"), ("rescues", 0, "3, or 0 for never"),
                                ("labels", 1, "100, or none for all"), ("average", 0, "20000")):  # fmt: skip
        if (given := getattr(run, name)) is not None and given < least:
            raise UserError(f"{name}={given} is too little; use -o {name}={advice}")
    needed = run.objective.roles()
    name = type(run.objective).__name__
    if run.mirror and run.objective.domains != "one":
        raise UserError("mirror: pictures of two domains are not mirrored; leave it out, or use -o mirror=false")
    for role in needed:
        if role not in run.nets:
            raise UserError(f"objective {name} needs a network for the role {role}: -o {role}=…, or another recipe")
        kind = run.objective.kinds.get(role) or kind_of(role) or Model
        given = type(run.nets[role]).__name__
        if not isinstance(run.nets[role], kind):
            there = ", ".join(catalog(kind))
            raise UserError(f"objective {name} needs a {kind.__name__} as {role}, not {given}; there are {there}")
        if role in run.objective.labelled and not getattr(run.nets[role], "classes", 0):
            advice = "give one folder a class, or a metadata.csv with a column label"
            raise UserError(f"objective {name} needs labels, and its {role} is told none; {advice}")
    grown = [role for role in needed if run.nets[role].grow]
    advice = "".join(f"-o {role}.grow=[]" for role in grown[:1])
    if grown and not run.objective.begins_small:
        raise UserError(f"objective {name} needs pictures of full size throughout: {advice}")
    if len({run.nets[role].grow for role in needed}) > 1:
        raise UserError(f"{' and '.join(needed)} must grow alike, as with --recipe growing; or {advice}")
    run.objective.check(run.nets)
    for turn in run.players:
        if turn not in run.objective.players:
            raise UserError(f"players.{turn}: objective {name} has the turns {', '.join(run.objective.players)}")
        try:
            run.player(turn).optimizer.make([torch.zeros(1, requires_grad=True)])
        except ValueError as error:
            raise UserError(f"players.{turn}.optimizer: {str(error).lower()}; see limner list Optimizer") from error
    for penalty in getattr(run.objective, "penalties", ()):
        for net in (run.nets[role] for role in needed if role.startswith("critic")):
            penalty.check(net)
