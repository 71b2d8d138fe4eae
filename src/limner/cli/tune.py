"""`limner tune`: better settings for your data, found by short trainings, as a recipe of your own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.begin import DEFAULT_RECIPE, facts_of
from limner.cli.flags import (
    channels_flag,
    device_flag,
    examples,
    json_flag,
    load_files,
    pick_device,
    seed_flag,
    size_flag,  # fmt: skip
)
from limner.cli.pictures import gathered, say_notes, splits
from limner.cli.show import emit, line, progress, remark, table, writing
from limner.cli.values import COUNT, DURATION, duration
from limner.core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from limner.data.images import Images
    from limner.train import Budget
    from limner.tuning.study import Tried

TRIALS = 20
"""Trials that a budget is meant for, where --trial does not say how long each is."""


@click.command(
    epilog=examples(
        "limner tune digits --for 1h --out runs/search",
        "limner tune photos/ --size 64 --for 8h --trial 10m --out runs/search",
        "limner tune photos/ --recipe residual -o average=50000 --for 8h --out runs/search",
        "limner tune digits --for 2h --out runs/search  # go on: two hours in all",
        "limner train digits --for 1h --out runs/best --with runs/search/tuned.py --recipe tuned",
    )
)
@click.argument("data")
@click.option("--out", required=True, metavar="STUDY", help="Folder of the search: created, or gone on with.")
@click.option("--for", "seconds", type=DURATION, default="1h", show_default=True, metavar="TIME", help="Time in all.")
@click.option("--trial", "each", type=DURATION, metavar="TIME", help="Time of one training. Default: a 20th of --for.")
@click.option("--images", "images_per_trial", type=COUNT, metavar="N", help="Images of one training, instead of time.")
@click.option("--most", type=COUNT, metavar="N", help="No more trials than this.")
@click.option("--recipe", default=DEFAULT_RECIPE, show_default=True, metavar="NAME", help="What is tuned.")
@click.option("-o", "assignments", multiple=True, metavar="KEY=VALUE", help="Held fixed in all trials.")
@click.option("--with", "files", multiple=True, metavar="FILE.py", help="Your own file.")
@size_flag
@channels_flag
@click.option("--split", default="train", show_default=True, metavar="NAME", help="Which part of the data.")
@device_flag
@seed_flag
@json_flag
def tune(data: str, out: str, files: tuple[str, ...], size: Any, channels: int | None, split: str, as_json: bool,
         **rest: Any) -> int:  # fmt: skip
    """Search rates, penalties, width, batch and augmentation for the best held-out score on DATA.

    Trials that fall behind are broken off; all lie in STUDY/study.db, and the same command goes on after Ctrl-C. The
    winner is written as a recipe, STUDY/tuned.py, and the search as a picture, STUDY/search.png.
    """
    load_files(files)
    images = gathered(data, size, channels, split)
    held_out = gathered(data, images.pixels.shape[1:3], images.image.channels, "val") if _has_val(data, split) else None
    say_notes(images)
    with writing(out):
        return _tune(data, Path(out), files, images, held_out, as_json, **rest)


def _has_val(data: str, split: str) -> bool:
    """`test` is left for limner evaluate."""
    return split == "train" and "val" in splits(data)


def _tune(
    data: str, out: Path, files: tuple[str, ...], images: Images, held_out: Images | None, as_json: bool, *,
    seconds: float, each: float | None, images_per_trial: int | None, most: int | None, recipe: str,
    assignments: tuple[str, ...], device: str, seed: int,
) -> int:  # fmt: skip
    from limner.cli.signals import Stop
    from limner.recipes.base import plan
    from limner.tuning.knobs import knobs
    from limner.tuning.study import open_study, search, tried, winner
    from limner.tuning.trainings import Trainings

    facts = facts_of(images, pick_device(device), seed)
    turned = knobs(plan(recipe, facts, assignments))
    options = " ".join(assignments) or "none"
    study = open_study(out, {"data": images.fingerprint, "recipe": recipe, "options": options}, seed)
    budget = _each(study, out, seconds / TRIALS, each, images_per_trial)
    before = tried(study, turned)
    spent = sum(one.seconds for one in before)
    length = f"{budget.images:,} images" if budget.images else duration(budget.seconds or 0.0)
    remark(f"{len(images):,} pictures, {images.image}; recipe {recipe}; {length} a trial, {duration(seconds)} in all")
    if before:
        remark(f"going on: {len(before)} trials in {duration(spent)} so far")
    with Stop() as stop, progress("tuning") as tick:
        measure = Trainings(out, images, held_out, recipe, facts, budget, assignments, stop)
        for one in search(study, turned, measure, _going_on(study, turned, seconds, most, stop)):
            spent += one.seconds
            tick(min(spent / seconds, 1.0), 0)
            remark(f"trial {one.number}: " + ("broken off" if one.score is None else f"{one.score:.4g}"))
    if stop.exit_code:
        remark(f"stopped; the same command goes on in {out}")
    if not stop.exit_code or winner(tried(study, turned)):
        _conclude(data, out, files, tried(study, turned), turned, recipe, assignments, as_json)
    return stop.exit_code


def _each(study: Any, out: Path, usual: float, seconds: float | None, images: int | None) -> Budget:
    """The budget of one trial, which is the same in all sessions of a search."""
    from limner.train import Budget

    known: list[Any] | None = study.user_attrs.get("trial")
    asked: list[Any] = [images, None if images else seconds] if images or seconds else known or [None, usual]
    if known and asked != known:
        given = f"--images {images}" if images else f"--trial {duration(seconds or 0.0)}"
        was = f"{known[0]:,} images" if known[0] else duration(known[1])
        raise UserError(f"{given}: trials in {out} are {was} long; leave it out, or give another --out")
    study.set_user_attr("trial", asked)
    return Budget(images=asked[0], seconds=asked[1])


def _going_on(
    study: Any, turned: Any, seconds: float, most: int | None, stop: Callable[[], bool]
) -> Callable[[], bool]:
    """While there is time left, counting that of earlier sessions."""
    from limner.tuning.study import tried

    def go_on() -> bool:
        found = tried(study, turned)
        left = seconds - sum(one.seconds for one in found)
        return left > 0 and not stop() and (most is None or len(found) < most)

    return go_on


def _conclude(data: str, out: Path, files: tuple[str, ...], found: list[Tried], turned: Any, recipe: str,
              fixed: tuple[str, ...], as_json: bool) -> None:  # fmt: skip
    from limner.tuning.picture import draw_search
    from limner.tuning.study import winner
    from limner.tuning.trainings import write_recipe

    best = winner(found)
    if best is None:
        raise UserError(f"{out}: no trial came to its end; give more time with --for, or shorter ones with --trial")
    assert best.score is not None
    own = found[0].score
    against = f"{own:.4g} as it is" if own is not None else "its own trial did not end"
    said = f"held-out score {best.score:.4g}, {against}; trial {best.number} of {len(found)}"
    changes = () if best.number == 0 else best.assignments
    path = write_recipe(out, recipe, (*fixed, *changes), f"{recipe} on {data}, {said}")
    picture = draw_search(found, turned, out / "search.png")
    if as_json:
        emit({"winner": best, "recipe": path, "picture": picture, "trials": found})
        return
    line(f"winner   {said}")
    shown = {name: f"{value:.3g}" if isinstance(value, float) else str(value) for name, value in best.values.items()}
    table([(f"  {name}", value) for name, value in shown.items()])
    options = " ".join(f"-o {shlex.quote(text)}" for text in (*fixed, *changes))
    line("options  " + (options or "none: the recipe as it is won"))
    line(f"recipe   {path}")
    line(f"search   {picture}")
    # what the recipe builds on is needed again
    loaded = " ".join(f"--with {shlex.quote(str(file))}" for file in (*files, path))
    line(f"next     limner train {data} --out RUN --for 1h {loaded} --recipe tuned")
