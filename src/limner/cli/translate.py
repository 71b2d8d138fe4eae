"""`limner translate`: your pictures, turned by a trained translator into those of the other domain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from limner.cli.flags import device_flag, examples, json_flag, load_files, pick_device, with_flag
from limner.cli.pictures import gathered, say_notes
from limner.cli.show import check_places, emit, line, progress, writing
from limner.core.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from limner.data.images import Images
    from limner.likeness import Likeness

PAIRS_SHOWN = 64
STEP = 256


@click.command(
    epilog=examples(
        "limner translate runs/zebras horses/ --out zebras/",
        "limner translate runs/zebras zebras/ --back --out horses/",
        "limner translate runs/zebras horses/ --out sheet.png  # each picture above its translation",
    )
)
@click.argument("model", metavar="MODEL")
@click.argument("pictures", metavar="PICTURES")
@click.option("--out", required=True, metavar="FOLDER/|X.png", help="Single files, or a grid of questions and answers.")
@click.option("--back", is_flag=True, help="From the second domain to the first.")
@click.option("--split", default="train", show_default=True, metavar="NAME", help="Which part of the pictures.")
@with_flag
@device_flag
@json_flag
def translate(
    model: str, pictures: str, out: str, back: bool, split: str, files: tuple[str, ...], device: str, as_json: bool
) -> None:
    """Translate PICTURES by MODEL, a run folder or model.safetensors of a recipe that translates.

    Pictures are cropped and reduced to the size that the model was trained at. Files keep their names.
    """
    if Path(out).suffix.lower() not in ("", ".png"):
        raise UserError(f"--out {out}: write FOLDER/ for single files, or X.png for a grid")
    check_places(out)
    load_files(files)
    from limner.likeness import load

    likeness = load(model, pick_device(device))
    shape = likeness.translator(back).image
    images = gathered(pictures, (shape.height, shape.width), shape.channels, split)
    say_notes(images)
    with writing(out):
        made = _translated(likeness, images, back)
        path = _write_grid(images, made, Path(out)) if Path(out).suffix else _write_files(images, made, Path(out))
    if as_json:
        emit({"out": path, "n": len(made), "back": back, "image": str(shape)})
        return
    line(f"{path}")


def _translated(likeness: Likeness, images: Images, back: bool) -> NDArray[np.uint8]:
    import numpy as np

    parts: list[NDArray[np.uint8]] = []
    with progress("translating") as tick:
        for start in range(0, len(images), STEP):
            parts.append(likeness.translate(np.asarray(images.pixels[start : start + STEP]), back))
            done = min(start + STEP, len(images))
            tick(done / len(images), done)
    return np.concatenate(parts)


def _write_grid(images: Images, made: NDArray[np.uint8], path: Path, columns: int = 8) -> Path:
    """Rows of pictures in turn with rows of what became of them; the first 64."""
    import numpy as np

    from limner.core.pixels import enlarge, grid, save_png

    asked = np.asarray(images.pixels[:PAIRS_SHOWN])
    columns = min(columns, len(asked))
    rows = [part[k : k + columns] for k in range(0, len(asked), columns) for part in (asked, made[: len(asked)])]
    # the last rows may be short: blanks keep each picture above its own
    rows = [np.concatenate([r, np.full((columns - len(r), *r.shape[1:]), 128, np.uint8)]) for r in rows]
    sheet = grid(np.concatenate(rows), columns)
    return save_png(enlarge(sheet, max(1, 512 // max(sheet.shape[:2]))), path)


def _write_files(images: Images, made: NDArray[np.uint8], folder: Path) -> Path:
    """One PNG each, under the name of the picture it was made from, or its number."""
    from limner.core.pixels import save_png

    for number, picture in enumerate(made):
        name = Path(images.files[number]).with_suffix(".png") if images.files else Path(f"{number:06d}.png")
        save_png(picture, folder / name)
    return folder
