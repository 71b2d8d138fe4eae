"""`limner restore`: damaged pictures made good, by a restorer, by climbing in a generator's codes, or untrained."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from limner.cli.climbing import halving_flag, halving_of, optimizer_flag, precision_flag
from limner.cli.flags import device_flag, examples, json_flag, load_files, pick_device, seed_flag, with_flag
from limner.cli.show import check_places, emit, line, progress, remark, table, writing
from limner.core.errors import UserError

if TYPE_CHECKING:
    from limner.core.pixels import Image
    from limner.data.fit import Fit
    from limner.data.whole import Whole
    from limner.explore.climb import Precision
    from limner.operators.base import Operator
    from limner.restoring.cases import Answer, Case, Solver, Tick
    from limner.restoring.pieces import Pieces

UNTRAINED = "untrained"
MOST_PIECES = 100_000
"""Of a picture, so that each has a number of its own."""


@click.command(
    epilog=examples(
        "limner restore runs/restorer noisy/ --out clean/",
        "limner restore runs/filler photos/ --damage 'Mask(\"holes.png\")' --out whole/",
        "limner restore untrained photo.png --damage 'Mask(\"holes.png\")' --out whole/",
        "limner restore runs/digits digits --damage 'Mask(half=left)' --simulate --most 8 --out sheet.png",
        "limner restore runs/digits numbers/ --damage 'Noise(0.3)' --fit tile --out clean/",
        "limner restore runs/restorer photos/ --simulate --json --out tried/  # damaged first, then compared",
    )
)
@click.argument("model", metavar="MODEL")
@click.argument("pictures", metavar="PICTURES")
@click.option(
    "--out", required=True, metavar="FOLDER/|X.png", help="A PNG each, or one sheet of what was seen and made."
)
@click.option("--damage", metavar="OPERATOR", help="What happened to them, as 'Downsample(4) @ Blur(1.5)'.")
@click.option("--simulate", is_flag=True, help="PICTURES are whole: damage them first, and compare.")
@click.option("--truth", metavar="PICTURES", help="The whole pictures, of the same names or in the same order.")
@click.option("--keep", is_flag=True, help="Leave measured pixels as they are, where the damage leaves any.")
@click.option("--samples", type=click.IntRange(1), default=4, show_default=True, help="Answers of a generator.")
@click.option("--starts", type=click.IntRange(1), default=8, show_default=True, help="Climbs for each answer.")
@click.option(
    "--estimate",
    type=click.Choice(["likeliest", "mean"]),
    default="likeliest",
    show_default=True,
    help="Of a generator's climbs: the likeliest end, or the mean of all, nearer on average and less sharp.",
)
@halving_flag
@optimizer_flag("LBFGS")
@precision_flag
@click.option(
    "--steps", type=click.IntRange(1), metavar="N", help="Of a climb, at most (100), or of the untrained (1500)."
)
@click.option("--tile", type=click.IntRange(32), default=512, show_default=True, help="Large pictures are cut so.")
@click.option(
    "--views",
    type=click.Choice(["1", "2", "4", "8"]),
    default="1",
    show_default=True,
    help="A restorer's mean answer to pictures turned and mirrored so often: nearer by .05 dB or so, and slower.",
)
@click.option(
    "--beyond", is_flag=True, help="A generator's answers may leave what it can make where the measurement says so."
)
@click.option(
    "--fit",
    type=click.Choice(["crop", "pad", "tile"]),
    help="For a generator, which has one size: the middle, all on a larger ground, or piece by piece.",
)
@click.option("--split", default="test", show_default=True, metavar="NAME", help="Which part of the pictures.")
@click.option("--most", type=click.IntRange(1), metavar="N", help="The first N pictures only.")
@seed_flag
@with_flag
@device_flag
@json_flag
def restore(
    model: str,
    pictures: str,
    out: str,
    damage: str | None,
    simulate: bool,
    truth: str | None,
    keep: bool,
    samples: int,
    starts: int,
    estimate: Literal["likeliest", "mean"],
    halving: int | None,
    optimizer: str,
    precision: Precision,
    steps: int | None,
    tile: int,
    views: str,
    beyond: bool,
    fit: Fit | None,
    split: str,
    most: int | None,
    seed: int,
    files: tuple[str, ...],
    device: str,
    as_json: bool,
) -> None:
    """Make good what happened to PICTURES, with MODEL.

    MODEL is a restorer that was trained on that damage; or a generator, in whose codes is climbed to pictures that
    would have been measured like these: several answers, and a picture of where they differ; or the word untrained,
    for one network fitted to each picture by itself. Sizes stay as they are, large pictures are treated tile by
    tile, transparency and EXIF are kept.
    """
    if Path(out).suffix.lower() not in ("", ".png"):
        raise UserError(f"--out {out}: write FOLDER/ for single files, or X.png for a sheet")
    if fit and truth:
        raise UserError(f"--truth {truth}: pictures that --fit changes cannot be compared with it; use --simulate")
    if simulate and truth:
        raise UserError(f"--truth {truth}: with --simulate the PICTURES are the truth; leave one of them out")
    check_places(out)
    load_files(files)
    from limner.data.whole import how_many
    from limner.restoring.cases import part

    effort: dict[str, Any] = {"samples": samples, "starts": starts, "estimate": estimate, "precision": precision}
    effort |= {"halving": halving_of(halving), "optimizer": optimizer} | ({"stop": None} if halving is None else {})
    effort |= {} if steps is None else {"steps": steps}
    solver, operator = _solver(model, damage, tile, int(views), effort, pick_device(device))
    cut = None if fit is None else (_image(model, solver, fit), fit)
    solver = _beyond(solver, model) if beyond else solver
    total = min(how_many(pictures, split), most or sys.maxsize)
    if truth and how_many(truth, split) < total:
        raise UserError(f"--truth {truth} has fewer pictures than {pictures}; give as many")
    _check_all(pictures, solver, operator, simulate, split, most, cut)
    cases = _cases(pictures, truth, operator, simulate, seed, split, most, solver.channels, cut)
    rows: list[dict[str, Any]] = []
    sheet: list[Any] = []
    with writing(out), progress("restoring") as tick:
        for block in _blocks(cases, solver.at_once):
            done = part(lambda share: tick(share, int(share * total)), len(rows), len(block), total)
            for pieces, answers in _solved(solver, block, keep, done):
                case, answer = pieces.joined(answers)
                made = Path(out) if Path(out).suffix else _written(pieces.whole, case, answer, Path(out))
                sheet += [answer.row(case)] if Path(out).suffix else []
                rows.append({"picture": pieces.whole.name, "out": made} | answer.scores(case))
            tick(len(rows) / total, len(rows))
        if sheet:
            _write_sheet(sheet, Path(out))
    _say(rows, out, as_json)


def _solver(
    model: str, damage: str | None, tile: int, views: int, effort: dict[str, Any], device: str
) -> tuple[Solver, Operator]:
    """Who restores, and what from: the damage that was asked for, or what the restorer was trained on."""
    from limner.likeness import load
    from limner.operators.base import as_operator
    from limner.restoring.climbing import ByClimbing
    from limner.restoring.trained import ByTranslator
    from limner.restoring.untrained import Untrained

    if model == UNTRAINED:
        if damage is None:
            raise UserError("untrained: say what happened to the pictures: --damage 'Mask(\"holes.png\")'")
        return Untrained(effort.get("steps", Untrained.steps), device=device), as_operator(damage)
    likeness = load(model, device)
    trained = dict(likeness.header.get("objective") or {}).get("damage")
    chosen = damage if damage is not None else trained
    if chosen is None:
        raise UserError(f"{model} was not trained to restore; say what happened: --damage 'Mask(half=left)'")
    if "translator" in likeness.nets:
        return ByTranslator(likeness.translator(), tile, views), as_operator(chosen)
    if "generator" not in likeness.nets:
        has = ", ".join(likeness.nets)
        raise UserError(f"{model} has no generator to restore with, only {has}; give a restorer, or type {UNTRAINED}")
    return ByClimbing(likeness.scene, **effort), as_operator(chosen)


def _beyond(solver: Solver, model: str) -> Solver:
    """The solver's answers and what they miss of the measurement."""
    from limner.restoring.beyond import Beyond
    from limner.restoring.climbing import ByClimbing

    if not isinstance(solver, ByClimbing):
        raise UserError(f"--beyond: {model} is no generator that an answer could leave; leave --beyond out")
    return Beyond(solver)


def _cases(
    pictures: str,
    truth: str | None,
    operator: Operator,
    simulate: bool,
    seed: int,
    split: str,
    most: int | None,
    channels: int,
    cut: tuple[Image, Fit] | None,
) -> Iterator[Pieces]:
    """Each picture with what is known of it, in pieces of an image's size where it is cut."""
    from limner.data.whole import wholes
    from limner.restoring.pieces import Pieces

    answers = wholes(truth, split) if truth else None
    for number, whole in enumerate(islice(wholes(pictures, split), most)):
        if cut is not None:
            yield _cut(whole, operator, simulate, seed, number, cut)
            continue
        answer = next(answers) if answers else None
        yield Pieces(whole, (_case(whole, answer, operator, simulate, seed, number, channels),))


def _case(
    whole: Whole, truth: Whole | None, operator: Operator, simulate: bool, seed: int, number: int, channels: int
) -> Case:
    from limner.restoring.cases import damaged, given

    try:
        if simulate:
            return damaged(whole.colours, operator, seed, number, whole.name)
        known = None if truth is None else truth.colours
        return given(whole.colours, operator, known, channels, seed, number, whole.name)
    except UserError as error:
        raise UserError(f"{whole.name}: {error}") from None


def _image(model: str, solver: Solver, fit: Fit) -> Image:
    """What a generator makes. Raises UserError where the solver takes any size."""
    from limner.restoring.climbing import ByClimbing

    if not isinstance(solver, ByClimbing):
        raise UserError(f"--fit {fit}: {model} restores pictures of any size; leave --fit out")
    return solver.scene.generator.image


def _cut(whole: Whole, operator: Operator, simulate: bool, seed: int, number: int, cut: tuple[Image, Fit]) -> Pieces:
    """A picture in pieces, each of which is a measurement of its own."""
    from limner.data.fit import fit
    from limner.restoring.cases import damaged, given
    from limner.restoring.pieces import Pieces

    image, how = cut
    fitted = fit(whole, (image.height, image.width), image.channels, how)
    first, name = number * MOST_PIECES, whole.name
    try:
        cases = [
            damaged(piece, operator, seed, first + k, name) if simulate
            else given(piece, operator, None, image.channels, seed, first + k, name)
            for k, piece in enumerate(fitted.pieces)
        ]  # fmt: skip
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    return Pieces(fitted.whole, tuple(cases), fitted)


def _check_all(
    pictures: str, solver: Solver, operator: Operator, simulate: bool, split: str, most: int | None,
    cut: tuple[Image, Fit] | None,
) -> None:  # fmt: skip
    """Raises UserError, before the first is restored, for a picture that cannot be read or is of a wrong size."""
    import numpy as np

    from limner.data.whole import Whole, shapes

    seen = {shape: name for name, shape in shapes(pictures, split, most)}
    for shape, name in seen.items() if cut is None else ():
        blank = Whole(name, np.zeros(shape, np.uint8))
        solver.check(_case(blank, None, operator, simulate, 0, 0, solver.channels))


def _blocks(cases: Iterator[Pieces], most: int) -> Iterator[list[Pieces]]:
    """Pictures whose pieces are enough to be restored at once."""
    block: list[Pieces] = []
    for pieces in cases:
        block.append(pieces)
        if sum(len(one.cases) for one in block) >= most:
            yield block
            block = []
    if block:
        yield block


def _solved(solver: Solver, block: list[Pieces], keep: bool, tick: Tick) -> Iterator[tuple[Pieces, list[Answer]]]:
    """Each picture with the answers to its pieces."""
    from limner.restoring.cases import part

    cases = [case for pieces in block for case in pieces.cases]
    found: list[Answer] = []
    for first in range(0, len(cases), solver.at_once):
        some = cases[first : first + solver.at_once]
        found += solver(some, part(tick, first, len(some), len(cases)))
    answers = iter(found)
    for pieces in block:
        found = list(islice(answers, len(pieces.cases)))
        kept = [answer.kept(case) for answer, case in zip(found, pieces.cases, strict=True)]
        yield pieces, kept if keep else found


def _written(whole: Whole, case: Case, answer: Any, folder: Path) -> Path:
    """Files of one picture: the answer under its name, and beside it what was seen where that was made up."""
    from limner.core.pixels import to_bytes
    from limner.data.whole import named, write

    path = named(whole, folder)
    for number, one in enumerate(to_bytes(answer.samples)):
        write(whole, one, path if number == 0 else path.with_name(f"{path.stem}-{number + 1}.png"))
    if len(answer.samples) > 1:
        write(whole, answer.uncertainty(), path.with_name(f"{path.stem}-uncertainty.png"))
    if case.simulated:
        write(whole, case.shown(), path.with_name(f"{path.stem}-seen.png"))
    return path


def _write_sheet(rows: list[Any], path: Path) -> None:
    """Each picture's row: what was seen, the answers, how sure they are, the truth."""
    import numpy as np

    from limner.core.pixels import enlarge, grid, save_png

    if len({row.shape for row in rows}) > 1:
        raise UserError(f"--out {path}: these pictures have several sizes; write FOLDER/ for single files")
    drawn = grid(np.concatenate(rows), len(rows[0]))
    save_png(enlarge(drawn, max(1, 512 // max(drawn.shape[:2]))), path)


def _say(rows: list[dict[str, Any]], out: str, as_json: bool) -> None:
    """The table, or JSON of it with the means."""
    names = [name for name in (rows[0] if rows else {}) if name not in ("picture", "out")]
    means = {name: sum(row[name] for row in rows) / len(rows) for name in names}
    if as_json:
        emit({"out": out, "n": len(rows), "mean": means, "pictures": rows})
        return
    if names:
        body = [[str(row["picture"]), *(f"{row[name]:.3f}" for name in names)] for row in rows]
        table([*body, ["mean", *(f"{mean:.3f}" for mean in means.values())]], head=("picture", *names))
    if not rows:
        remark("there was nothing to restore")
    line(out)
