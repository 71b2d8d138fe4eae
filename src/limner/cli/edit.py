"""`limner edit`: a picture's code is found, moved, and painted again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.editing import Effort, Pictured, Subject, climbed, fitted_to, given, reached, told
from limner.cli.finding import Search, find, natural, search_flags
from limner.cli.fitting import fit_flag, pieces_of, write_joined
from limner.cli.flags import device_flag, examples, json_flag, load_files, pick_device, seed_flag, with_flag
from limner.cli.show import check_places, emit, line, progress, writing
from limner.cli.values import COUNT
from limner.cli.wishes import Wish, patch, wished
from limner.core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from limner.data.fit import Fit
    from limner.explore.directions import Directions
    from limner.explore.spaces import Space
    from limner.likeness import Likeness

FRAMES = {"move": 3, "to": 9, "blend": 1, "mix": 1, "as": 1}
FILMED = 25
"""Frames where none are asked for; those of a film."""
FRAME_MILLISECONDS, HELD_MILLISECONDS = 80, 800
STRIP_SIDE, FILM_SIDE = 1024, 256
"""Smaller ones are enlarged by a whole factor."""


@click.command(
    epilog=examples(
        "limner edit runs/vae four.png --data digits --move 9=4 --out nine.png",
        "limner edit runs/style photo.png --directions found/ --move sefa1=3 --layers 0-2 --keep --out edited/",
        "limner edit runs/vae digits -n 4 --to other.png --frames 9 --out between.gif",
        "limner edit runs/faces me.jpg --blend you.jpg --region 16,30,32,20 --tune 200 --out patched/",
        "limner edit runs/style a.png --mix b.png --layers 2- --out mixed.png",
        "limner edit runs/digits digits -n 8 --as 7 --out sevens.png  # the hand of each, writing a 7",
        "limner edit runs/style --code-seed 3 --move sefa1=-4 --out film.gif",
    )
)
@click.argument("model", metavar="MODEL")
@click.argument("pictures", metavar="[IMAGES]", required=False)
@click.option("--out", required=True, metavar="X.png|X.gif|FOLDER/", help="A strip, a film, or a PNG each.")
@click.option("--move", "moves", multiple=True, metavar="NAME=X", help="Along a direction, in standard deviations.")
@click.option("--to", metavar="IMAGE", help="All the way to another picture.")
@click.option("--blend", metavar="IMAGE", help="The --region of another picture put into this one.")
@click.option("--region", metavar="X,Y,W,H|MASK.png", help="In the model's pixels; a mask is white inside.")
@click.option("--mix", metavar="IMAGE", help="The styles of another picture in some --layers.")
@click.option("--layers", metavar="4-|0-2|3", help="Which layers a --mix or a --move in styles is for; 0 is coarsest.")
@click.option("--as", "other", metavar="LABEL", help="What a generator that takes labels is told instead.")
@click.option("--directions", "file", metavar="FOLDER/", help="Of limner directions; without it they are looked for.")
@search_flags
@click.option("--frames", type=click.IntRange(1), help="Of the way: default 3 of a --move, 9 of --to, 25 of a film.")
@click.option("--keep", is_flag=True, help="What the model cannot show of the picture stays: only the change is made.")
@click.option("--tune", type=click.IntRange(0), default=0, metavar="N", help="First fit the weights to it: N steps.")
@click.option("--code-seed", type=int, metavar="N", help="Edit what the model draws, instead of IMAGES.")
@click.option("-n", "count", type=COUNT, default="8", show_default=True, metavar="N", help="How many at most.")
@click.option("--split", metavar="NAME", help="Which part. Default: test, or train where there is no test.")
@click.option("--label", metavar="NAME", help="What IMAGES show, for a generator that takes labels.")
@click.option("--space", "where", metavar="z|w", help="Default: that of the directions; w where there are styles.")
@click.option("--starts", type=click.IntRange(1), default=4, show_default=True, metavar="N", help="Climbs a picture.")
@click.option("--steps", type=click.IntRange(1), default=100, show_default=True, metavar="N", help="Most of a climb.")
@click.option("--goal", metavar="GOAL", help='What else is wanted of a code: "0.001*Prior()", to be easier to edit.')
@fit_flag
@with_flag
@seed_flag
@device_flag
@json_flag
def edit(
    model: str, pictures: str | None, out: str, moves: tuple[str, ...], to: str | None, blend: str | None,
    region: str | None, mix: str | None, layers: str | None, other: str | None, file: str | None, how: str | None,
    data: tuple[str, ...], by: str | None, k: int, apart: bool | None, frames: int | None, keep: bool, tune: int,
    code_seed: int | None, count: int, split: str | None, label: str | None, where: str | None, starts: int,
    steps: int, goal: str | None, fit: Fit, files: tuple[str, ...], seed: int, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Change IMAGES by way of their codes in MODEL: --move, --to, --blend, --mix or --as.

    IMAGES are pictures, or the codes.safetensors of limner invert. A strip shows each picture, what the model makes of
    its code, and the edit.
    """
    if Path(out).suffix.lower() not in ("", ".png", ".gif"):
        raise UserError(f"--out {out}: write X.png for a strip, X.gif for a film, or FOLDER/ for a PNG each")
    check_places(out)
    wish = wished(moves, to, blend, region, mix, layers, other, keep, fit)
    if file and (wish.kind != "move" or how or data or by):
        raise UserError(f"--directions {file}: is for a --move, which then takes no --how, --data or --by")
    load_files(files)
    from limner.explore.directions import load as load_directions
    from limner.explore.spaces import space
    from limner.likeness import load

    likeness = load(model, pick_device(device))
    known = load_directions(Path(file)) if file and wish.kind == "move" else None
    chosen = "z" if wish.kind == "as" else where or (known.space if known else natural(likeness, None))
    effort = Effort(chosen, fit, count, starts, steps, label, split, seed, goal)
    wish.check(likeness, known, file, chosen)
    first = given(pictures, code_seed, likeness, effort)
    if tune and isinstance(first, Subject):
        raise UserError("--tune fits the model to pictures, and codes are exact already; leave it out")
    second = _second(wish, first, likeness, effort)
    if wish.kind == "move" and known is None:
        within = space(likeness.scene, chosen, first.label)
        with progress("looking for directions"):
            known = find(likeness, within, Search(how, data, by, k, apart, seed), first.label).directions
        wish.check_names(known)
    start = reached(first, likeness, effort)
    likeness = fitted_to(likeness, start, tune, effort) if tune else likeness
    within = space(likeness.scene, chosen, start.label)
    wanted = frames or (FILMED if Path(out).suffix.lower() == ".gif" and FRAMES[wish.kind] > 1 else FRAMES[wish.kind])
    made = _edited(wish, likeness, within, start, second, known, effort, wanted)
    with writing(out):
        written = made.write(Path(out))
    _report(wish, start, written, as_json)


@dataclass(frozen=True, eq=False)
class Made:
    """Columns of a strip, pictures (n, c, h, w) each, and the frames of the way."""

    start: Subject
    before: tuple[Tensor, ...]
    frames: Tensor
    after: tuple[Tensor, ...] = ()

    def write(self, path: Path) -> list[Path]:
        """A strip, a film, or a folder with a PNG of each result and the strip."""
        if path.suffix.lower() == ".gif":
            return [self._film(path)]
        if path.suffix:
            return [self._strip(path)]
        written = [self._strip(path / "strip.png")]
        if self.start.fitted:
            return written + [write_joined(one, x, path) for one, x in pieces_of(self.start.fitted, self.frames[-1])]
        from limner.core.pixels import save_png, to_bytes

        return written + [save_png(x, path / f"{k:06d}.png") for k, x in enumerate(to_bytes(self.frames[-1]))]

    def _strip(self, path: Path) -> Path:
        import torch

        from limner.core.pixels import enlarge, grid, save_png, to_bytes

        columns = torch.stack([*self.before, *self.frames, *self.after], 1)
        sheet = grid(to_bytes(columns.flatten(0, 1)), columns.shape[1])
        return save_png(enlarge(sheet, max(1, STRIP_SIDE // max(sheet.shape[:2]))), path)

    def _film(self, path: Path) -> Path:
        from limner.core.pixels import enlarge, grid, save_gif, to_bytes

        sheets = [grid(to_bytes(frame)) for frame in self.frames]
        factor = max(1, FILM_SIDE // max(sheets[0].shape[:2]))
        return save_gif([enlarge(s, factor) for s in sheets], path, FRAME_MILLISECONDS, HELD_MILLISECONDS)


def _edited(
    wish: Wish, likeness: Likeness, within: Space, start: Subject, second: Pictured | Subject | None,
    known: Directions | None, effort: Effort, n: int,
) -> Made:  # fmt: skip
    """The frames of an edit, and what stands beside them."""
    import torch

    from limner.explore import edit as edits

    with torch.no_grad():
        again = within.decode(start.points, start.label)
    before, after, label = (start.x, again) if start.error is not None else (again,), (), start.label
    if wish.kind == "blend" and second is not None:
        return _blended(wish, likeness, start, second.x, before, effort)
    if known is not None:
        points = edits.moved(within, start.points, known, wish.moves, n)
    elif wish.kind == "as":
        label, points = told(likeness, wish.other, len(start.points)), start.points[None]
    else:
        assert second is not None
        others = reached(second, likeness, effort)
        seen = others.x.expand_as(start.x)
        if wish.kind == "to":
            points, before, after = edits.between(within, start.points, others.points, n), before[:1], (seen,)
        else:
            points, before = others.points.expand_as(start.points)[None], (*before, seen)
    if wish.layers:
        count = edits.layers_of(likeness.generator)
        points = edits.in_layers(likeness.generator, start.points, points, edits.chosen(wish.layers, count))
    frames = edits.decoded(within, points, label)
    if wish.keep:
        frames = torch.stack([edits.carried(start.x, again, frame) for frame in frames])
    return Made(start, before, frames, after)


def _second(wish: Wish, first: Pictured | Subject, likeness: Likeness, effort: Effort) -> Pictured | Subject | None:
    """The other picture of an edit, or one for each. Raises UserError for another number of them."""
    if wish.kind not in ("to", "mix", "blend"):
        return None
    second = given(wish.other, None, likeness, effort)
    if len(second.x) not in (1, len(first.x)):
        said = f"{len(second.x)} pictures for {len(first.x)}"
        raise UserError(f"--{wish.kind} {wish.other}: has {said}; give one, or one for each (-n limits both)")
    return second


def _blended(
    wish: Wish, likeness: Likeness, start: Subject, other: Tensor, before: tuple[Tensor, ...], effort: Effort
) -> Made:
    """A composite of two pictures, and the picture of the model that explains it, its seam left to the model."""
    import torch

    from limner.explore import edit as edits
    from limner.explore.spaces import space

    region = patch(wish.region or "", likeness)
    wanted = edits.composite(start.x, other, region)
    found = climbed(wanted, start.label, likeness, effort, edits.OffSeam(region))
    with torch.no_grad():
        made = space(likeness.scene, effort.where, start.label).decode(found.points, start.label)
    made = edits.composite(start.x, made, region) if wish.keep else made
    return Made(start, (*before, other.expand_as(start.x), wanted), made[None])


def _report(wish: Wish, start: Subject, written: list[Path], as_json: bool) -> None:
    if as_json:
        errors: Any = None if start.error is None else start.error.tolist()
        mean = None if start.error is None else start.error.mean()
        told = {"edit": wish.kind, "moves": wish.moves} if wish.moves else {"edit": wish.kind, "with": wish.other}
        emit({"out": written, "n": len(start.points), **told, "error": mean, "errors": errors, "missed": start.missed})
        return
    for path in written:
        line(f"{path}")
