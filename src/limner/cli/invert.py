"""`limner invert`: the codes of your pictures, what the model makes of them, and how far to believe it."""

from __future__ import annotations

import dataclasses
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.climbing import halving_flag, halving_of, inverted, optimizer_flags, rule_of, stop_of
from limner.cli.climbing import tuned as tuned_to
from limner.cli.fitting import fit_flag, pieces_of, say_cropped, saying, shown, usual_split, write_joined
from limner.cli.flags import device_flag, examples, json_flag, load_files, pick_device, seed_flag, with_flag
from limner.cli.pictures import gathered, say_notes
from limner.cli.show import check_places, emit, line, remark, table, writing
from limner.cli.values import COUNT
from limner.core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from limner.data.fit import Fit, Fitted
    from limner.data.images import Images
    from limner.explore.climb import Precision
    from limner.explore.invert import Inversion
    from limner.likeness import Likeness

ACROSS = 16
SHOWN = 64
"""Pictures of the sheet."""


@click.command(
    epilog=examples(
        "limner invert runs/demo photos/ --out codes/",
        "limner invert runs/vae digits -n 100 --starts 8 --steps 500 --out codes/",
        "limner invert runs/faces photos/ --space w --tune 200 --out codes/  # and a model tuned to them",
        'limner invert runs/demo photos/ --distance SSIM --goal "0.001*Prior()" --out codes/',
    )
)
@click.argument("model", metavar="MODEL")
@click.argument("pictures", metavar="IMAGES")
@click.option("--out", required=True, metavar="FOLDER/", help="codes.safetensors, sheet.png, errors.csv, made/.")
@click.option("-n", "count", type=COUNT, default="64", show_default=True, metavar="N", help="How many at most.")
@click.option("--split", metavar="NAME", help="Which part. Default: test, or train where there is no test.")
@click.option("--starts", type=click.IntRange(1), default=4, show_default=True, metavar="N", help="Climbs a picture.")
@click.option(
    "--start",
    "how",
    type=click.Choice(["encoder", "prior", "mean"]),
    help="Where climbs begin. Default: encoder, or prior where there is none.",
)
@click.option("--space", "where", default="z", show_default=True, metavar="z|w", help="What is climbed in.")
@click.option("--distance", default="Squared", show_default=True, metavar="NAME", help="One of limner list Distance.")
@click.option("--goal", metavar="GOAL", help='What else is wanted: "0.001*Prior()" for likely codes.')
@click.option("--controls", type=click.IntRange(0), default=16, show_default=True, help="Own pictures, to measure by.")
@halving_flag
@optimizer_flags(100, "LBFGS", patience=10)
@click.option("--tune", type=click.IntRange(0), default=0, metavar="N", help="Then tune the weights: N steps.")
@fit_flag
@with_flag
@seed_flag
@device_flag
@json_flag
def invert(
    model: str, pictures: str, out: str, count: int, split: str | None, starts: int, how: Any, where: str,
    distance: str, goal: str | None, controls: int, halving: int | None, steps: int, optimizer: str, rate: float | None,
    until: float | None, patience: int, span: float | None, precision: Precision, tune: int, fit: Fit,
    files: tuple[str, ...], seed: int, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Find codes that make MODEL paint IMAGES, and say what is the climb's fault and what the model's.

    Pictures of another size than the model's are treated as --fit says. --until is a value: minus the error that is
    enough.
    """
    if Path(out).suffix:
        raise UserError(f"--out {out}: several files are written; give a folder, for example --out {Path(out).stem}/")
    check_places(out)
    load_files(files)
    import torch

    from limner.core.pixels import to_float
    from limner.core.spec import build
    from limner.distances.base import Distance
    from limner.explore.spaces import space
    from limner.goals.base import Goal
    from limner.goals.picture import Match
    from limner.likeness import load

    likeness = load(model, pick_device(device))
    apart, also = build(distance, Distance), None if goal is None else build(goal, Goal)
    images, fitted = _images(pictures, likeness, count, split, fit)
    x = to_float(images.pixels, likeness.device)
    label = _labels(likeness, images)
    answer, whole = inverted(
        likeness, x, lambda wanted: Match(wanted, distance=apart), steps,
        each=starts, optimizer=rule_of(optimizer, rate), how=how, where=where, label=label, controls=controls,
        stop=stop_of(until, patience, span), halving=halving_of(halving, least=2), extra=also, seed=seed,
        precision=precision,
    )  # fmt: skip
    n = len(answer.codes)
    images, fitted, x, label = _first(images, n), _within(fitted, n), x[:n], None if label is None else label[:n]
    tuned = None
    if tune and whole:
        likeness = tuned_to(likeness, answer.codes, x, tune, where, label, seed)
        with torch.no_grad():
            tuned = likeness, space(likeness.scene, where, label).decode(answer.codes, label)
    with writing(out):
        written = _write(Path(out), images, x, answer, tuned, label, saying(likeness, where))
        made = answer.made if tuned is None else tuned[1]
        written += _write_made(images, fitted, made, Path(out) / "made")
    _report(answer, tuned, written, as_json)
    if not whole:
        raise KeyboardInterrupt


def _images(source: str, likeness: Likeness, count: int, split: str | None, how: Fit) -> tuple[Images, list[Fitted]]:
    """The first pictures, whole in memory, and what they are pieces of where they are not cropped."""
    image, chosen = likeness.image, usual_split(source, split)
    if how != "crop":
        seen = shown(source, likeness, how, count, chosen)
        return seen.images, seen.fitted
    say_cropped(source, chosen, image, count)
    images = gathered(source, (image.height, image.width), image.channels, chosen)
    say_notes(images)
    return _first(images, count), []


def _first(images: Images, n: int) -> Images:
    """The first n of them, in memory."""
    import numpy as np

    labels = None if images.labels is None else images.labels[:n]
    pixels = np.ascontiguousarray(images.pixels[:n])
    return dataclasses.replace(images, pixels=pixels, labels=labels, files=images.files[:n])


def _within(fitted: list[Fitted], n: int) -> list[Fitted]:
    """The pictures all of whose pieces are among the first n."""
    ends = accumulate(len(one.pieces) for one in fitted)
    return [one for one, end in zip(fitted, ends, strict=True) if end <= n]


def _labels(likeness: Likeness, images: Images) -> Tensor | None:
    """The pictures' own labels, where the generator takes such."""
    import torch

    if not likeness.generator.classes:
        return None
    if images.labels is None or images.names != likeness.names:
        remark("note: the generator takes labels and the pictures have none that it knows: it is told none")
        return None
    return torch.from_numpy(images.labels).to(likeness.device)


def _write(
    folder: Path, images: Images, x: Tensor, answer: Inversion, tuned: tuple[Likeness, Tensor] | None,
    label: Tensor | None, said: dict[str, str],
) -> list[Path]:  # fmt: skip
    """Codes, a sheet of pictures above what became of them, a table of errors, and the tuned model."""
    import csv

    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {"codes": answer.codes, "errors": answer.error} | ({} if label is None else {"labels": label})
    save_file({name: t.cpu().contiguous() for name, t in tensors.items()}, folder / "codes.safetensors", said)
    rows = [x, answer.made] + ([tuned[1]] if tuned else [])
    written = [folder / "codes.safetensors", _sheet([r[:SHOWN] for r in rows], folder / "sheet.png")]
    with (folder / "errors.csv").open("w", newline="", encoding="utf-8") as file:
        table_ = csv.writer(file)
        table_.writerow(["picture", "error", "floor", "median_of_starts", "worst_of_starts", "reached"])
        worst, middle = answer.others.amax(1), answer.others.median(1).values
        numbers = torch.stack([answer.error, answer.floor, middle, worst], 1).tolist()
        for k, (four, reached) in enumerate(zip(numbers, answer.reached.tolist(), strict=True)):
            name = images.files[k] if images.files else k
            table_.writerow([name, *(f"{v:.6g}" for v in four), "yes" if reached else "no"])
    written.append(folder / "errors.csv")
    if tuned is not None:
        written.append(tuned[0].save(folder / "model.safetensors"))
    return written


def _write_made(images: Images, fitted: list[Fitted], made: Tensor, folder: Path) -> list[Path]:
    """What the model makes of the codes, a PNG for each picture under its name, or its number."""
    from limner.core.pixels import save_png, to_bytes

    if fitted:
        return [write_joined(one, piece, folder) for one, piece in pieces_of(fitted, made)]
    names = images.files or [f"{k:06d}" for k in range(len(made))]
    pairs = zip(to_bytes(made), names, strict=True)
    return [save_png(picture, folder / Path(name).with_suffix(".png")) for picture, name in pairs]


def _sheet(rows: list[Tensor], path: Path) -> Path:
    """Rows of pictures, each above what was made of it."""
    import numpy as np

    from limner.core.pixels import enlarge, grid, save_png, to_bytes

    columns = min(ACROSS, len(rows[0]))
    lines: list[Any] = []
    for k in range(0, len(rows[0]), columns):
        for part in rows:
            some = to_bytes(part[k : k + columns])
            lines.append(np.concatenate([some, np.full((columns - len(some), *some.shape[1:]), 128, np.uint8)]))
    sheet = grid(np.concatenate(lines), columns)
    return save_png(enlarge(sheet, max(1, 512 // max(sheet.shape[:2]))), path)


def _report(answer: Inversion, tuned: tuple[Likeness, Tensor] | None, written: list[Path], as_json: bool) -> None:
    worst, best = answer.others.amax(1), answer.others.amin(1)
    gap = answer.gap.median().item() if len(answer.gap) else float("nan")
    missed = [k for k, yes in enumerate(answer.reached.tolist()) if not yes]
    result: dict[str, Any] = {
        "out": written, "n": len(answer.error), "error": answer.error.mean(), "floor": answer.floor.mean(),
        "gap": gap, "found": answer.found, "spread": (worst - best).mean(), "did_not_reach": missed,
    }  # fmt: skip
    if as_json:
        emit(result | {"errors": answer.error.tolist()})
        return
    rows = [
        ("error", f"{answer.error.mean():.4g}", f"mean squared, of {len(answer.error)} pictures"),
        ("representation floor", f"{answer.floor.mean():.4g}", "what the model cannot show"),
    ]
    if len(answer.gap):
        told = f"the climb's part, by {len(answer.gap)} of the model's own pictures, {answer.found:.0%} found again"
        rows.append(("optimisation gap", f"{gap:.4g}", told))
    rows.append(("spread over starts", f"{result['spread']:.4g}", "worst start less the best, mean"))
    rows.append(("did not reach", f"{len(missed)}", "pictures: still gaining at the end, or starts disagree"))
    table(rows)
    if len(missed) > len(answer.error) // 2:
        line("most climbs did not reach: try --starts 16, or more --steps")
    for path in written:
        line(f"{path}")
