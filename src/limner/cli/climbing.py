"""What the verbs that climb share: their options, and the loop with a progress bar."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from limner.cli.show import progress, remark
from limner.cli.values import DURATION, Typed
from limner.core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from limner.core.optim import Optimizer
    from limner.explore.ascents import Ascent
    from limner.explore.climb import Standing, Stop
    from limner.explore.halving import Halving
    from limner.explore.invert import Inversion
    from limner.likeness import Likeness

F = TypeVar("F", bound=Callable[..., Any])
BLOCK = 64
"""Pictures whose codes are climbed to at once: memory has an end, and Ctrl-C keeps the blocks before."""


precision_flag = click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16"]),
    default="fp32",
    show_default=True,
    help="Of a climb's first four fifths; bf16 saves nearly half the time on processors made for it.",
)


def one_in(text: str) -> int | None:
    """`2` → 2: one start in two goes on; `none` → None."""
    if text == "none":
        return None
    if not text.isdigit() or int(text) < 2:
        raise UserError(f"{text}: of so many starts one goes on; give 2 or more, or none")
    return int(text)


halving_flag = click.option(
    "--halving",
    type=Typed(one_in, "rate"),
    default="2",
    show_default=True,
    metavar="N|none",
    help="Of N starts the best one goes on, round after round; none climbs all to the end.",
)


def optimizer_flag(default: str) -> Callable[[F], F]:
    """--optimizer."""
    return click.option(
        "--optimizer",
        default=default,
        show_default=True,
        metavar="NAME",
        help='SGD, "SGD(1.0, momentum=0.9)", AdaGrad, RMSprop, Adam, LBFGS, CMAES, Langevin.',
    )


def optimizer_flags(steps: int, optimizer: str = "Adam", patience: int = 0) -> Callable[[F], F]:
    """--steps, --optimizer, --rate, and when to stop before the last step."""

    def decorate(verb: F) -> F:
        for option in reversed(_options(steps, optimizer, patience)):
            verb = option(verb)
        return verb

    return decorate


def _options(steps: int, optimizer: str, patience: int) -> list[Callable[[Any], Any]]:
    return [
        click.option("--steps", type=click.IntRange(0), default=steps, show_default=True, help="Most steps."),
        optimizer_flag(optimizer),
        click.option("--rate", type=float, metavar="X", help="Learning rate, falling to a tenth."),
        click.option("--until", type=float, metavar="VALUE", help="Stop a climb whose value is so high."),
        click.option(
            "--patience",
            type=click.IntRange(0),
            default=patience,
            show_default=True,
            metavar="N",
            help="Stop after N steps without a gain of a thousandth; 0 for all steps.",
        ),
        precision_flag,
        click.option("--for", "span", type=DURATION, metavar="TIME", help="Stop after so long, 30s or 5m."),
    ]


def rule_of(optimizer: str, rate: float | None) -> Optimizer | Ascent:
    """What --optimizer and --rate mean."""
    from limner.explore.ascents import ascent

    if rate is not None and rate <= 0:
        raise UserError(f"--rate {rate:g}: give a number above 0, such as 0.1")
    return ascent(optimizer, rate)


def halving_of(rate: int | None, least: int = 1) -> Halving | None:
    """What --halving means."""
    from limner.explore.halving import Halving

    return None if rate is None else Halving(rate, least=least)


def stop_of(until: float | None, patience: int, span: float | None) -> Stop:
    """What --until, --patience and --for mean."""
    from limner.explore.climb import Stop

    return Stop(until, patience, seconds=span or 0.0)


def watched(climb: Iterator[Standing], steps: int, title: str = "climbing") -> Iterator[Standing]:
    """The same standings, under a progress bar."""
    with progress(title) as tick:
        for standing in climb:
            tick(standing.step / max(steps, 1), standing.decoded)
            yield standing


def inverted(
    likeness: Likeness, x: Tensor, goal_of: Any, steps: int, *, label: Tensor | None, controls: int,
    stop: Stop | None = None, **more: Any,
) -> tuple[Inversion, bool]:  # fmt: skip
    """The codes of pictures, block by block under a progress bar, and whether that is all of them.

    Ctrl-C ends with the blocks that are finished, where there are any.
    """
    from limner.explore.invert import Inversion, invert

    done: list[Inversion] = []
    blocks = range(0, len(x), BLOCK)
    stop = stop and dataclasses.replace(stop, seconds=stop.seconds / len(blocks))
    with progress("climbing") as tick:
        try:
            for first in blocks:
                rows = slice(first, first + BLOCK)
                more |= {"label": None if label is None else label[rows], "controls": 0 if first else controls}
                for seen in invert(likeness.scene, x[rows], goal_of, steps=steps, stop=stop, first=first, **more):
                    if isinstance(seen, Inversion):
                        done.append(seen)
                    else:
                        share = (len(done) + seen.step / max(steps, 1)) / len(blocks)
                        tick(share, min(share * len(blocks) * BLOCK, len(x)))
        except KeyboardInterrupt:
            if not done:
                raise
            remark(f"interrupted: {len(done) * BLOCK} of {len(x)} pictures are finished and kept")
    return Inversion.joined(done), len(done) == len(blocks)


def tuned(
    likeness: Likeness, codes: Tensor, x: Tensor, steps: int, where: str, label: Tensor | None, seed: int
) -> Likeness:
    """The model whose weights were moved until it makes the pictures of their codes, under a progress bar."""
    from limner.explore.invert import tune

    net = likeness.generator
    with progress("tuning") as tick:
        for step, _, moved in tune(likeness.scene, codes, x, steps=steps, where=where, label=label, seed=seed):
            tick(step / steps, step * len(x))
            net = moved
    return dataclasses.replace(likeness, nets=dict(likeness.nets) | {"generator": net})
