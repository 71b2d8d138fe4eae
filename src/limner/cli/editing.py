"""Where an edit begins: the codes of pictures, of a file of limner invert, or of draws."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.climbing import inverted, tuned
from limner.cli.fitting import shown
from limner.cli.show import remark
from limner.core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from limner.data.fit import Fit, Fitted
    from limner.likeness import Likeness

ENOUGH = 0.1
"""A mean squared error beyond which an edit is of another picture than was given."""


@dataclass(frozen=True, eq=False)
class Subject:
    """What is edited.

    points: in the space that is edited in
    x: the pictures; what the model makes of the points where there are none
    label: what the generator is told
    fitted: the pictures as files, where they are
    error: mean squared, of what the model makes of the points; none where nothing was inverted
    missed: pictures whose climb did not reach
    """

    points: Tensor
    x: Tensor
    label: Tensor | None = None
    fitted: list[Fitted] = field(default_factory=list["Fitted"])
    error: Tensor | None = None
    missed: int = 0


@dataclass(frozen=True, eq=False)
class Pictured:
    """Pictures whose codes are still to be found.

    x: them
    label: what the generator is told
    fitted: them as files
    """

    x: Tensor
    label: Tensor | None
    fitted: list[Fitted]


@dataclass(frozen=True)
class Effort:
    """How pictures are inverted."""

    where: str
    fit: Fit
    most: int
    starts: int
    steps: int
    label: str | None = None
    split: str | None = None
    seed: int = 0
    goal: str | None = None


def given(source: str | None, draw: int | None, likeness: Likeness, effort: Effort) -> Pictured | Subject:
    """What is edited: pictures, a file of codes, or draws of a seed. Nothing is climbed yet."""
    if (source is None) == (draw is None):
        raise UserError("say what to edit: IMAGES, a codes.safetensors of limner invert, or --code-seed 0")
    if source is None:
        return _drawn(likeness, effort, draw or 0)
    if Path(source).suffix == ".safetensors":
        return _of_codes(Path(source), likeness, effort)
    return _pictured(source, likeness, effort)


def reached(seen: Pictured | Subject, likeness: Likeness, effort: Effort) -> Subject:
    """The same with its codes, which are climbed to where they are not known."""
    if isinstance(seen, Subject):
        return seen
    if seen.label is None and likeness.generator.classes:
        remark("note: the generator takes labels and is told none; say what the pictures show by --label NAME")
    start = dataclasses.replace(climbed(seen.x, seen.label, likeness, effort), fitted=seen.fitted)
    say_errors(start)
    return start


def _pictured(source: str, likeness: Likeness, effort: Effort) -> Pictured:
    import torch

    from limner.core.pixels import to_float

    seen = shown(source, likeness, effort.fit, effort.most, effort.split)
    x = to_float(seen.images.pixels, likeness.device)
    label = None
    if effort.label is not None:
        label = told(likeness, effort.label, len(x))
    elif likeness.generator.classes and seen.images.labels is not None and seen.images.names == likeness.names:
        label = torch.from_numpy(seen.images.labels).to(likeness.device)
    return Pictured(x, label, seen.fitted)


def climbed(x: Tensor, label: Tensor | None, likeness: Likeness, effort: Effort, operator: Any = None) -> Subject:
    """The codes of pictures, of which an operator may see a part only."""
    from limner.core.spec import build
    from limner.goals.base import Goal
    from limner.goals.picture import Match, measured

    extra = None if effort.goal is None else build(effort.goal, Goal)
    answer, whole = inverted(
        likeness, x, lambda wanted: Match(measured(operator, wanted), operator), effort.steps,
        each=effort.starts, where=effort.where, label=label, controls=0, extra=extra, seed=effort.seed,
    )  # fmt: skip
    if not whole:
        raise KeyboardInterrupt
    return Subject(answer.codes, x, label, error=answer.error, missed=int((~answer.reached).sum()))


def fitted_to(likeness: Likeness, start: Subject, steps: int, effort: Effort) -> Likeness:
    """The model after pivotal tuning to what is edited."""
    return tuned(likeness, start.points, start.x, steps, effort.where, start.label, effort.seed)


def say_errors(start: Subject) -> None:
    """How far the model is from the pictures before anything is edited."""
    if start.error is None:
        return
    mean = start.error.mean().item()
    rest = f"; {start.missed} did not reach: try more --starts or --steps" if start.missed else ""
    click.echo(f"inversion error {mean:.4g}, mean squared, of {len(start.error)} pictures{rest}", err=True)
    if mean > ENOUGH:
        remark("note: the model can hardly make these pictures; --tune 200 fits it to them, --keep keeps what it lacks")


def _drawn(likeness: Likeness, effort: Effort, seed: int) -> Subject:
    import torch

    from limner.explore.spaces import space

    rows = likeness.labels(effort.most, seed, effort.label)
    label = None if rows is None else torch.from_numpy(rows).to(likeness.device)
    within = space(likeness.scene, effort.where, label)
    with torch.no_grad():
        points = within.of_codes(likeness.codes(effort.most, seed).to(likeness.device), label)
        return Subject(points, within.decode(points, label), label)


def _of_codes(path: Path, likeness: Likeness, effort: Effort) -> Subject:
    """Codes of a file. Raises UserError where they are for another model or space."""
    import torch
    from safetensors import SafetensorError, safe_open

    from limner.explore.directions import mark
    from limner.explore.spaces import space

    try:
        with safe_open(path, "pt") as file:
            said = file.metadata() or {}
            codes = file.get_tensor("codes")[: effort.most].to(likeness.device)
            labelled = "labels" in list(file.keys())
            label = file.get_tensor("labels")[: effort.most].to(likeness.device) if labelled else None
    except (SafetensorError, OSError):
        raise UserError(f"{path}: not a codes.safetensors that limner invert made") from None
    check_model(str(path), said.get("model", ""), mark(likeness.generator))
    if said.get("space", "z") != effort.where:
        was = said.get("space", "z")
        raise UserError(f"{path}: holds codes of {was}, and {effort.where} is edited in; add --space {was}")
    with torch.no_grad():
        return Subject(codes, space(likeness.scene, effort.where, label).decode(codes, label), label)


def check_model(path: str, theirs: str, ours: str) -> None:
    """Raises UserError where a file is for another model."""
    if theirs != ours:
        raise UserError(f"{path}: is for the model {theirs or 'unknown'}, and this one is {ours}; make it anew for it")


def told(likeness: Likeness, name: str, n: int) -> Tensor:
    """A label as the generator takes it. Raises UserError where it takes none, or none such."""
    import torch

    rows = likeness.labels(n, 0, name)
    assert rows is not None  # a name where none is taken has been refused
    return torch.from_numpy(rows).to(likeness.device)
