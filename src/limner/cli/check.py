"""`limner check`: the data doctor, and what `limner train` would do with the data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.begin import DEFAULT_RECIPE, DEFAULT_SECONDS
from limner.cli.flags import device_flag, examples, json_flag, pick_device, seed_flag, size_flag, split_flag
from limner.cli.pictures import gathered
from limner.cli.show import emit, line, table, writing
from limner.cli.values import amount, duration
from limner.core.errors import UserError

if TYPE_CHECKING:
    from limner.cli.trial import Trial
    from limner.data.doctor import Checkup
    from limner.data.images import Images
    from limner.data.survey import Survey
    from limner.metrics.oddities import Oddities

SHOWN = 8
"""Rows of a table, files of a list: the rest is counted (and is whole in --json)."""


@click.command(
    epilog=examples(
        "limner check digits",
        "limner check photos/ --out sheet.png  # and a contact sheet to look at",
        "limner check photos.zip --split test --size 96x64",
        "limner check photos/ --json | jq .troubles",
        "limner check runs/photos  # a run instead: is it still getting better?",
    )
)
@click.argument("data")
@click.option("--out", metavar="SHEET.png", help="Write a contact sheet: a row a class.")
@size_flag
@split_flag
@device_flag
@seed_flag
@json_flag
def check(
    data: str, out: str | None, size: tuple[int, int] | None, split: str | None, device: str, seed: int, as_json: bool
) -> None:
    """Look at DATA before training: what is there, what cannot be used and why, what `limner train` would do.

    Duplicates, near-duplicates (mirrored ones too), odd ones out, near-empty pictures and pictures with two labels are
    found; nothing is changed. Of a run folder it says whether the held-out score still gets better, what ten more
    minutes would bring, and what alarms there were.
    """
    if (Path(data) / "run.json").is_file():
        _check_run(Path(data), as_json)
        return
    from limner.data.doctor import contact_sheet, examine
    from limner.metrics.oddities import oddities

    images = gathered(data, size, None, split or "train")
    found = examine(data, split or "train", size)
    tried = _tried(found.survey, size, pick_device(device), seed)
    if out is not None:
        from limner.core.pixels import save_png

        with writing(out):
            save_png(contact_sheet(images), out)
    report = _report(found, oddities(found.images), tried)
    if as_json:
        emit(report | {"sheet": out})
        return
    _print(found, report, tried)
    line(f"\nLook at: {out}" if out else "\nA contact sheet to look at: add --out sheet.png")


def _check_run(folder: Path, as_json: bool) -> None:
    """How a training stands."""
    from limner.report.standing import standing_of

    standing = standing_of(folder)
    if standing is None:
        raise UserError(f"{folder} has no score yet; wait for its second look, or go on with: limner train --resume")
    if as_json:
        emit({"run": folder, **standing.report})
        return
    for words in standing.words:
        line(words)
    for words in standing.alarms:
        line(f"alarm    {words}")


def _tried(seen: Survey, size: tuple[int, int] | None, device: str, seed: int) -> list[Trial]:
    """How fast `limner train` would be at each size worth trying, or at the given one; nothing for too few pictures."""
    from limner.cli.sizing import speeds
    from limner.data.survey import LARGEST_KEPT
    from limner.recipes.sizes import candidates
    from limner.selection import LEAST

    if seen.count < LEAST:
        return []
    return speeds(seen, [size] if size else candidates(seen.sizes, LARGEST_KEPT), DEFAULT_RECIPE, device, seed)


def _chosen(tried: list[Trial]) -> Trial:
    """What `limner train` would take without --for and --size."""
    from limner.recipes.sizes import choose

    by_size = {(t.image.height, t.image.width): t for t in tried}
    image = choose(by_size, lambda size: by_size[size].speed, DEFAULT_SECONDS).speed.image
    return by_size[image.height, image.width]


def _report(found: Checkup, strange: Oddities, tried: list[Trial]) -> dict[str, Any]:
    seen = found.survey
    trained = {} if not tried else {"recipe": DEFAULT_RECIPE, **_chosen(tried).__dict__}
    sizes = [{"image": t.image, "images_per_second": t.images_per_second, "images_needed": t.speed.images,
              "seconds": t.speed.seconds} for t in tried]  # fmt: skip
    return {
        "source": seen.source,
        "split": seen.split,
        "splits": seen.splits,
        "count": len(found.images),
        "sizes": {f"{h}x{w}": n for (h, w), n in seen.sizes.items()},
        "modes": seen.modes,
        "classes": seen.classes,
        "unlabelled": seen.unlabelled,
        "image": found.images.image,
        "mean": found.mean,
        "std": found.std,
        "duplicates": [[found.name(i) for i in group] for group in found.duplicates],
        "conflicts": [[found.name(i) for i in group] for group in found.conflicts],
        "near_duplicates": [[found.name(i) for i in pair] for pair in strange.near],
        "odd": [found.name(i) for i in strange.odd],
        "empty": [found.name(i) for i in found.empty],
        "troubles": found.images.troubles,
        "notes": found.images.notes,
        "train": trained or None,
        "recognisable": sizes,
    }


def _print(found: Checkup, report: dict[str, Any], tried: list[Trial]) -> None:
    said = ", ".join(report["splits"]) or "none"
    rows = [
        ("pictures", f"{report['count']:,} usable, {len(found.images.troubles):,} not"),
        ("splits", f"{said}; this is {report['split']}"),
        ("sizes", _counted(report["sizes"])),
        ("modes", _counted(report["modes"])),
        ("classes", _classes(found.images, report["classes"])),
        ("mean, std", ", ".join(f"{m:.3f} ± {s:.3f}" for m, s in zip(found.mean, found.std, strict=True))),
        ("duplicates", _groups(report["duplicates"]) or "none"),
        ("nearly twice", _groups(report["near_duplicates"]) or "none"),
        ("odd ones out", _names(report["odd"]) or "none"),
        ("two labels", _groups(report["conflicts"]) or "none"),
        ("near-empty", _names(report["empty"]) or "none"),
    ]
    table(rows)
    for note in found.images.notes:
        line(f"note: {note}")
    if found.images.troubles:
        line("\nNot used:")
        table([(f"  {t.file}", t.reason) for t in found.images.troubles[:SHOWN]])
        _rest(len(found.images.troubles) - SHOWN)
    if not tried:
        line(f"\nlimner train would refuse: {report['count']} are too few pictures")
        return
    _print_training(tried)


def _print_training(tried: list[Trial]) -> None:
    """Sizes with the time that each takes here, and what `limner train` would do of its own accord."""
    from limner.cli.sizing import roughly, side

    line("\nUntil pictures are recognisable, on this machine:")
    rows = [(f"  {side(t.speed)}", amount(t.images_per_second), f"{t.speed.images:,}", roughly(t.speed.seconds))
            for t in tried]  # fmt: skip
    table(rows, ("  size", "images/s", "images", "time"))
    chosen = _chosen(tried)
    line(f"\nlimner train would, in its {duration(DEFAULT_SECONDS)}:")
    said = [("make", f"{chosen.image} pictures"), ("use recipe", DEFAULT_RECIPE), ("run at about", chosen.words)]
    table([(f"  {what}", words) for what, words in said])


def _classes(images: Images, counts: Mapping[str, int]) -> str:
    """Pictures of each class; where pictures are told numbers, how many know each."""
    import numpy as np

    if images.numbers is None:
        return _counted(counts) or "no labels"
    known = (~np.isnan(images.numbers)).sum(0).tolist()
    return f"numbers, known of: {_counted(dict(zip(images.names, known, strict=True)))}"


def _counted(counts: Mapping[str, int]) -> str:
    shown = [f"{name} × {amount(count) if count > 99_999 else count}" for name, count in list(counts.items())[:SHOWN]]
    return ", ".join(shown) + (f", … {len(counts) - SHOWN} more" if len(counts) > SHOWN else "")


def _names(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f", … {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _groups(groups: list[list[str]]) -> str:
    if not groups:
        return ""
    extra = sum(len(group) - 1 for group in groups)
    first = "; ".join(" = ".join(group[:3]) for group in groups[:3])
    return f"{extra} in {len(groups)} groups: {first}{'; …' if len(groups) > 3 else ''}"


def _rest(more: int) -> None:
    if more > 0:
        line(f"  … {more:,} more; --json names them all")
