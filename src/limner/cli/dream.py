"""`limner dream`: pictures that a goal likes, found by climbing from many starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.climbing import optimizer_flags, rule_of, stop_of, watched
from limner.cli.flags import device_flag, examples, json_flag, load_files, pick_device, seed_flag, with_flag
from limner.cli.show import check_places, emit, line, table, writing
from limner.core.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from limner.explore.climb import Precision, Standing
    from limner.goals.base import Goal
    from limner.likeness import Likeness
    from limner.models.base import Labels

GRID_SIDE = 512
"""A grid smaller than this is enlarged by a whole factor."""
FRAME_MILLISECONDS, HELD_MILLISECONDS = 80, 1500


@click.command(
    epilog=examples(
        "limner dream runs/demo --goal Plausible --out grid.png",
        "limner dream runs/digits --goal \"Class('7') + 0.1*Plausible()\" --out sevens.png --film climb.gif",
        "limner dream runs/digits --goal \"Class('7', of='runs/other')\" --chart values.png --out sevens.png",
        "limner dream runs/digits --goal \"Class('3') + 0.2*Diverse()\" --starts 16 --optimizer LBFGS --out threes.png",
        "limner dream runs/logistic --space pixels --goal \"Class('7') + 3*Smooth()\" --out painted.png",
        "limner dream runs/demo --with my_goal.py --goal MyGoal --out mine.png",
        "limner list Goal",
    )
)
@click.argument("model", metavar="MODEL")
@click.option("--goal", required=True, metavar="GOAL", help="What is wanted: names of limner list Goal, with + - *.")
@click.option("--out", required=True, metavar="X.png", help="A grid, the best first.")
@click.option("--starts", type=click.IntRange(1), default=64, show_default=True, metavar="N", help="Climbs at once.")
@click.option("--space", "where", default="z", show_default=True, metavar="z|w|pixels", help="What is climbed in.")
@click.option("--start", "how", type=click.Choice(["prior", "mean"]), default="prior", show_default=True)
@click.option(
    "--hold",
    type=click.Choice(["free", "allowed", "typical"]),
    default="typical",
    show_default=True,
    help="Keep points where the prior typically has them, has them at all, or nowhere.",
)
@click.option("--label", metavar="NAME", help="What a generator that takes labels is told; without it, draws.")
@optimizer_flags(200)
@click.option("--film", metavar="X.gif", help="The climb as a film of all starts.")
@click.option("--chart", metavar="X.png", help="The goal over steps, a line a start.")
@click.option("--codes", metavar="X.safetensors", help="The points that were reached, in the order of the grid.")
@with_flag
@seed_flag
@device_flag
@json_flag
def dream(
    model: str, goal: str, out: str, starts: int, where: str, how: Any, hold: Any, label: str | None, steps: int,
    optimizer: str, rate: float | None, until: float | None, patience: int, span: float | None, film: str | None,
    chart: str | None, codes: str | None, precision: Precision, files: tuple[str, ...], seed: int, device: str,
    as_json: bool,
) -> None:  # fmt: skip
    """Climb from many starts to pictures that a GOAL likes, in the codes of MODEL or in pixels.

    In pixels any network that judges pictures will do, such as that of --recipe logistic: it shows what a network has
    learned, where a generator shows what the data have.
    """
    _check_endings(out, film, chart, codes)
    check_places(out, film, chart, codes)
    load_files(files)
    from limner.core.spec import build
    from limner.explore import spaces
    from limner.explore.climb import climb
    from limner.explore.drawing import Film
    from limner.goals.base import Goal
    from limner.likeness import load

    likeness = load(model, pick_device(device))
    if where != "pixels" and "generator" not in likeness.nets:
        raise UserError(f"{model} has no generator (it has {', '.join(likeness.nets)}); climb in --space pixels")
    wish, rule = build(goal, Goal), rule_of(optimizer, rate)
    told = _told(likeness, label, starts, seed, where)
    within = spaces.space(likeness.scene, where, told)
    begin = spaces.starts(within, how, [0], starts, seed=seed, label=told)
    stop = stop_of(until, patience, span)
    recording, values, standing = Film(steps), [], None
    going = climb(within, wish, begin, steps=steps, optimizer=rule, stop=stop, hold=hold, label=told, seed=seed,
                  precision=precision)  # fmt: skip
    for standing in watched(going, steps):
        values.append(standing.values[0].cpu().double().numpy())
        if film is not None:
            recording.watch(standing, last=standing.step == steps)
    assert standing is not None
    written = _write(standing, out, codes)
    if film is not None:
        with writing(film):
            from limner.core.pixels import save_gif

            written.append(save_gif(recording.frames, film, FRAME_MILLISECONDS, HELD_MILLISECONDS))
    _report(standing, wish, goal, values, chart, written, as_json)


def _check_endings(out: str, film: str | None, chart: str | None, codes: str | None) -> None:
    pictures = ("--out", out, ".png"), ("--film", film, ".gif"), ("--chart", chart, ".png")
    for option, path, ending in (*pictures, ("--codes", codes, ".safetensors")):
        if path is not None and Path(path).suffix.lower() != ending:
            raise UserError(f"{option} {path}: write {option} {Path(path).stem or 'picture'}{ending}")


def _told(likeness: Likeness, label: str | None, starts: int, seed: int, where: str) -> Labels | None:
    """What each start is told, where the generator takes labels: the one that is given, or a draw."""
    import torch

    if where == "pixels" or not (likeness.scene.generator.classes or label):
        return None
    told = likeness.labels(starts, seed, label)
    return None if told is None else torch.from_numpy(told).to(likeness.device)


def _write(standing: Standing, out: str, codes: str | None) -> list[Path]:
    from limner.core.pixels import enlarge, grid, save_png, to_bytes

    order = standing.best[0].argsort(descending=True)
    with writing(out):
        sheet = grid(to_bytes(standing.pictures()[0, order]))
        written = [save_png(enlarge(sheet, max(1, GRID_SIDE // max(sheet.shape[:2]))), out)]
    if codes is not None:
        from safetensors.torch import save_file

        with writing(codes):
            Path(codes).parent.mkdir(parents=True, exist_ok=True)
            tensors = {"codes": standing.codes[0, order], "values": standing.best[0, order]}
            save_file({name: t.cpu().contiguous() for name, t in tensors.items()}, codes)
            written.append(Path(codes))
    return written


def _report(
    standing: Standing, wish: Goal, said: str, values: list[NDArray[np.float64]], chart: str | None,
    written: list[Path], as_json: bool,
) -> None:  # fmt: skip
    import numpy as np

    from limner.explore.climb import terms

    history = np.stack(values)
    if chart is not None:
        from limner.explore.drawing import draw_climb

        with writing(chart):
            written.append(draw_climb(history, said, Path(chart)))
    best, winner = standing.best[0], int(standing.winner[0])
    parts = {name: float(each[winner]) for name, each in terms(standing, wish).items()}
    if as_json:
        emit(
            {"out": written, "best": best.tolist(), "winner": winner, "start": history[0].tolist(), "parts": parts}
            | {"steps": standing.step, "looks": standing.looks, "seconds": round(standing.seconds, 2)}
        )
        return
    rows = [("at the start", f"{np.nanmedian(history[0]):.4g}", f"{np.nanmax(history[0]):.4g}")]
    rows += [(f"after {standing.step} steps", f"{best.median():.4g}", f"{best.max():.4g}")]
    table(rows, ("goal", "median start", "best start"))
    line(f"start {winner} won in {standing.seconds:.1f} s" + (": " if len(parts) > 1 else "")
         + (", ".join(f"{name} {value:.4g}" for name, value in parts.items()) if len(parts) > 1 else ""))  # fmt: skip
    for path in written:
        line(f"{path}")
