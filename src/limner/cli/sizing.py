"""The size of pictures where none is given: the largest that this machine can do in the time that there is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from limner.cli.show import remark
from limner.cli.trial import SECONDS, attempt_at, facts_at
from limner.cli.values import amount, duration

if TYPE_CHECKING:
    from limner.cli.trial import Trial
    from limner.data.survey import Survey
    from limner.recipes.sizes import Choice, Size, Speed

TRYING = 0.01
"""Share of a training's time that each trial of a size may take."""


def size_in_time(
    data: str, split: str, channels: int | None, seconds: float, recipe: str, assignments: tuple[str, ...],
    device: str, seed: int,
) -> Size | None:  # fmt: skip
    """The size to make pictures of `data`, which is said in a line; None where sizes are not to be chosen.

    That is where there are none to choose from, and for recipes that do not draw pictures or take them in pairs.
    """
    from limner.core.spec import build
    from limner.data.survey import LARGEST_KEPT, survey
    from limner.objectives.base import Objective
    from limner.recipes.base import plan
    from limner.recipes.sizes import candidates, choose
    from limner.selection import LEAST

    seen = survey(data, split)
    sizes = candidates(seen.sizes, LARGEST_KEPT)
    run = plan(recipe, facts_at(sizes[0], seen, channels, device, seed), assignments)
    objective = build(run["objective"], Objective)
    if seen.count < LEAST or len(sizes) < 2 or objective.domains != "one" or not objective.sampled:
        return None

    def measure(size: Size) -> Speed:
        facts = facts_at(size, seen, channels, device, seed)
        return attempt_at(facts, plan(recipe, facts, assignments), seen.numeric, min(SECONDS, TRYING * seconds)).speed

    choice = choose(sizes, measure, seconds)
    remark(words_of(choice, seconds))
    image = choice.speed.image
    return image.height, image.width


def speeds(seen: Survey, sizes: list[Size], recipe: str, device: str, seed: int) -> list[Trial]:
    """A trial at each size, from small to large."""
    from limner.recipes.base import plan

    facts = [facts_at(size, seen, None, device, seed) for size in sizes]
    return [attempt_at(fact, plan(recipe, fact), seen.numeric) for fact in facts]


def words_of(choice: Choice, seconds: float) -> str:
    """`size 64×64: recognisable after about 13 min here (92 images/s); 128×128 would need about 1 h 30 min`."""
    speed, larger = choice.speed, choice.larger
    here = f"recognisable after about {roughly(speed.seconds)} here ({amount(speed.images_per_second)} images/s)"
    if not choice.fits:
        return f"size {side(speed)}, the smallest: {here}, which is more than {duration(seconds)}"
    more = f"; {side(larger)} would need about {roughly(larger.seconds)}" if larger else ""
    return f"size {side(speed)}: {here}{more} (--size gives another)"


def side(speed: Speed) -> str:
    """`64×64`: height, then width."""
    return f"{speed.image.height}×{speed.image.width}"


def roughly(seconds: float) -> str:
    """A time, rounded up, without the digits that nobody can know: `13 min`, `2 h 20 min`, `36 h`."""
    unit = 60 if seconds >= 120 else 10
    if seconds >= 36_000:
        unit = 3600
    elif seconds >= 3600:
        unit = 600
    return duration(math.ceil(seconds / unit) * unit)
