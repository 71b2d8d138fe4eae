"""`limner directions`: what a model can change of a picture, found, named where labels allow, and drawn."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.finding import Search, find, natural, search_flags
from limner.cli.flags import device_flag, examples, json_flag, load_files, pick_device, seed_flag, with_flag
from limner.cli.show import check_places, emit, line, progress, table, writing
from limner.core.errors import UserError

if TYPE_CHECKING:
    from limner.explore.directions import Directions
    from limner.explore.labelled import Judge

STRENGTHS = (-4.0, -2.0, 0.0, 2.0, 4.0)
JUDGED = 200
"""Codes that purity is measured on."""


@click.command(
    epilog=examples(
        "limner directions runs/vae --data digits --out found/",
        "limner directions runs/vae --data thick/ --data thin/ --how difference --out ink/",
        "limner directions runs/gan --by runs/supervised --out found/  # labels by another model's critic",
        "limner directions runs/style --how sefa -k 6 --out found/",
        "limner edit runs/vae photo.png --directions found/ --move 9=3 --out nine.png",
    )
)
@click.argument("model", metavar="MODEL")
@click.option("--out", required=True, metavar="FOLDER/", help="directions.safetensors and sheet.png.")
@search_flags
@click.option("--space", "where", metavar="z|w", help="Default: w where the model has styles, else z.")
@click.option("--label", metavar="NAME", help="What a generator that takes labels is told; without it, draws.")
@click.option("--codes", type=click.IntRange(1), default=3, show_default=True, metavar="N", help="Of the sheet.")
@with_flag
@seed_flag
@device_flag
@json_flag
def directions(
    model: str, out: str, how: str | None, data: tuple[str, ...], by: str | None, k: int, apart: bool | None,
    where: str | None, label: str | None, codes: int, files: tuple[str, ...], seed: int, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Find directions in the codes of MODEL along which one thing changes, and draw what they do.

    The sheet has a row for each: N codes, each moved by several strengths, in standard deviations of the codes.
    Where labels are known, it is measured how far the probability of the label a direction is named after moves from
    -4 to 4, and that of the other label which moves most.
    """
    if Path(out).suffix:
        raise UserError(f"--out {out}: several files are written; give a folder, for example --out {Path(out).stem}/")
    check_places(out)
    load_files(files)
    import torch

    from limner.core.pixels import save_png
    from limner.core.rng import generator as random_of
    from limner.explore.directions import save
    from limner.explore.labelled import purity
    from limner.explore.sheets import sheet
    from limner.explore.spaces import space
    from limner.likeness import load

    likeness = load(model, pick_device(device))
    rows = likeness.labels(codes, seed, label)
    told = None if rows is None else torch.from_numpy(rows).to(likeness.device)
    within = space(likeness.scene, natural(likeness, where), told)
    with progress("looking for directions"):
        seen = find(likeness, within, Search(how, data, by, k, apart, seed), told)
        found, judge = seen.directions, seen.judge
        order = torch.randperm(len(seen.points), generator=random_of(seed, 0, "shown"))
        if judge is not None:
            found = dataclasses.replace(found, purity=purity(within, found, judge, seen.points[order[:JUDGED]]))
    with writing(out):
        points = seen.points[order[:codes] if told is None else slice(codes)]
        picture = sheet(within, found, points, STRENGTHS, told)
        judged = None if judge is None else judge.said
        file = save(found, Path(out) / "directions.safetensors", judge=judged, strengths=STRENGTHS)
        written = [file, save_png(picture, Path(out) / "sheet.png")]
    _report(found, judge, written, as_json)


def _report(found: Directions, judge: Judge | None, written: list[Path], as_json: bool) -> None:
    moves: list[Any] = list(found.purity) or [None] * len(found.names)
    if as_json:
        rows = [
            {"name": name} | ({} if each is None else {"moves": each[0], "others": each[1]})
            for name, each in zip(found.names, moves, strict=True)
        ]
        said = None if judge is None else judge.said
        emit({"out": written, "how": found.how, "space": found.space, "judge": said, "directions": rows})
        return
    if judge is not None:
        body = [(name, f"{own:+.2f}", f"{other:.2f}") for name, (own, other) in zip(found.names, moves, strict=True)]
        table(body, ("direction", "its label", "another, at most"))
        line(f"change of the label's probability from strength -4 to 4, seen by {judge.said}")
    else:
        line(f"{len(found.names)} directions in {found.space} by {found.how}: {', '.join(found.names)}")
    for path in written:
        line(f"{path}")
