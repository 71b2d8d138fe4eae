"""`limner sample`: pictures from a trained model, as a grid, single files, an array or a walk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli import refine
from limner.cli.fitting import say_cropped, usual_split
from limner.cli.flags import device_flag, examples, json_flag, load_files, pick_device, seed_flag, with_flag
from limner.cli.pictures import gathered
from limner.cli.show import check_places, emit, line, progress, writing
from limner.cli.values import COUNT
from limner.core.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from limner.likeness import Likeness, Told

WALK_MILLISECONDS = 60
PAIRS_ACROSS = 8
"""Pictures in a row of a grid of reconstructions."""
GRID_SIDE = 512
"""A grid smaller than this is enlarged by a whole factor."""


@click.command(
    epilog=examples(
        "limner sample runs/demo --out grid.png",
        "limner sample runs/demo --label rose -n 16 --out roses.png",
        "limner sample runs/faces --label smile=1,age=0.3 --out smiling.png",
        "limner sample model.safetensors --label all -n 100 --out grid.png",
        "limner sample model.safetensors -n 10k --seed 1 --out samples.npz",
        "limner sample runs/demo -n 500 --truncation 0.7 --out folder/",
        "limner sample runs/demo --walk walk.gif",
        "limner sample runs/demo --refine 25 --against digits --out refined.png",
        "limner sample runs/vae --reconstruct photos/ --out pairs.png",
    )
)
@click.argument("model", metavar="MODEL")
@click.option("-n", "count", type=COUNT, default="64", show_default=True, metavar="N", help="How many pictures.")
@click.option("--label", metavar="NAME|all", help="Only this class, or NAME=0.3,NAME=1; `all`: in turn.")
@click.option(
    "--truncation",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="Below 1: closer to the typical picture, less varied.",
)
@click.option("--out", metavar="X.png|X.npz|FOLDER/", help="A grid, an array with its labels, or single files.")
@click.option("--walk", metavar="X.gif", help="A moving picture: from code to code and back to the first.")
@click.option(
    "--reconstruct", metavar="DATA", help="Instead: rows of its pictures, each above what the model makes of it."
)
@click.option("--refine", "steps", type=click.IntRange(1), metavar="N", help="N Langevin steps up the critic's logit.")
@click.option("--rate", type=float, default=0.01, show_default=True, metavar="X", help="Size of such a step.")
@click.option("--reject", is_flag=True, help="Instead: draw again what the critic finds unlikely.")
@click.option("--against", metavar="DATA", help="Real pictures, to measure whether --refine or --reject helped.")
@click.option("--features", default="in-domain", show_default=True, metavar="NAME|FILE", help="As of limner evaluate.")
@with_flag
@seed_flag
@device_flag
@json_flag
def sample(
    model: str,
    count: int,
    label: str | None,
    truncation: float,
    out: str | None,
    walk: str | None,
    reconstruct: str | None,
    steps: int | None,
    rate: float,
    reject: bool,
    against: str | None,
    features: str,
    files: tuple[str, ...],
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Draw pictures from MODEL, a model.safetensors or a run folder. The same seed draws the same pictures."""
    if out is None and walk is None:
        raise UserError("say where to: --out grid.png, --out images.npz, --out folder/ or --walk walk.gif")
    if walk is not None and Path(walk).suffix.lower() != ".gif":
        raise UserError(f"--walk {walk}: a walk is a GIF; write --walk {Path(walk).stem or 'walk'}.gif")
    if reconstruct is not None and (walk is not None or Path(out or "").suffix.lower() != ".png"):
        raise UserError("--reconstruct makes a grid of pairs: give it --out pairs.png, and no --walk")
    if Path(out or "").suffix.lower() not in ("", ".png", ".npz"):
        ending = Path(out or "").suffix
        raise UserError(f"--out {out}: there is no {ending} output; write X.png for a grid, X.npz, or FOLDER/")
    check_places(out, walk)
    asked = _asked(steps, rate, reject, against, out, reconstruct, truncation)
    from limner.likeness import load

    load_files(files)
    likeness = load(model, pick_device(device))
    told: dict[str, Any] = {}
    written: list[Path] = []
    if out is not None and reconstruct is not None:
        pairs = _reconstruct(likeness, reconstruct, count)
        with writing(out):
            written.append(_write_grid(pairs, Path(out), PAIRS_ACROSS))
    elif out is not None:
        labels = likeness.labels(count, seed, label)
        by = refine.judges(likeness, against, features) if asked else None
        images = _draw(likeness, count, seed, labels, truncation)
        if asked:
            images, labels, told = _better(likeness, images, labels, seed, label, steps, rate, by)
        with writing(out):
            written.append(_write(images, labels, likeness.names, out, in_columns=label == "all"))
    if walk is not None:
        with writing(walk):
            written.append(_write_walk(likeness, Path(walk), seed, label, truncation))
    result: dict[str, Any] = {"out": written, "n": count, "seed": seed, "label": label, "image": str(likeness.image)}
    if as_json:
        emit(result | ({"refined": told} if told else {}))
        return
    if told:
        refine.say(told)
    for path in written:
        line(f"{path}")


def _asked(
    steps: int | None, rate: float, reject: bool, against: str | None, out: str | None, pairs: str | None, psi: float
) -> bool:
    """Whether the critic is asked. Raises UserError for what does not go together."""
    if steps is not None and reject:
        raise UserError("--refine and --reject are two ways to the same end; choose one")
    if steps is None and not reject:
        if against is not None:
            raise UserError("--against measures --refine or --reject; to measure plain samples: limner evaluate")
        return False
    if rate <= 0:
        raise UserError(f"--rate {rate:g}: give a number above 0, such as 0.01")
    if out is None or pairs is not None or psi != 1:
        raise UserError("--refine and --reject make samples: give --out, and neither --reconstruct nor --truncation")
    return True


def _better(
    likeness: Likeness, images: NDArray[np.uint8], labels: Told | None, seed: int, label: str | None,
    steps: int | None, rate: float, by: refine.Judges | None,
) -> tuple[NDArray[np.uint8], Told | None, dict[str, Any]]:  # fmt: skip
    """What the critic makes of the samples, and what that changed."""
    share = None
    if steps is not None:
        made, own = refine.refined(likeness, len(images), seed, labels, steps, rate), labels
    else:
        made, own, share = refine.accepted(likeness, len(images), seed, label)
    told = refine.compare(likeness, images, made, (labels, own), by, seed)
    return made, own, told | {"kept": share}


def _draw(likeness: Likeness, count: int, seed: int, labels: Told | None, truncation: float) -> NDArray[np.uint8]:
    """uint8 (n, h, w, c), block by block under a progress bar."""
    import numpy as np

    z = likeness.codes(count, seed)
    parts: list[NDArray[np.uint8]] = []
    with progress("drawing") as tick:
        for start in range(0, count, 256):
            rows = slice(start, start + 256)
            parts.append(likeness.decode(z[rows], None if labels is None else labels[rows], truncation))
            tick(min(start + 256, count) / count, min(start + 256, count))
    return np.concatenate(parts)


def _reconstruct(likeness: Likeness, source: str, count: int) -> NDArray[np.uint8]:
    """Rows of pictures that were not trained on, if there are such, in turn with rows of their reconstructions."""
    import numpy as np

    chosen, image = usual_split(source, None), likeness.image
    say_cropped(source, chosen, image, count)
    images = gathered(source, (image.height, image.width), image.channels, chosen)
    n = min(count, len(images))
    rows = np.linspace(0, len(images) - 1, n).astype(np.int64)
    known = images.labels is not None and images.names == likeness.names
    x = np.ascontiguousarray(images.pixels[rows])
    made = likeness.reconstruct(x, images.labels[rows] if known and images.labels is not None else None)
    steps = range(0, n, PAIRS_ACROSS)
    return np.concatenate([part[i : i + PAIRS_ACROSS] for i in steps for part in (_filled(x), _filled(made))])


def _filled(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey pictures added until the last row is full, so that pairs stay above each other."""
    import numpy as np

    missing = -len(images) % PAIRS_ACROSS
    return np.concatenate([images, np.full((missing, *images.shape[1:]), 128, np.uint8)])


def _write(
    images: NDArray[np.uint8],
    labels: Told | None,
    names: tuple[str, ...],
    out: str,
    *,
    in_columns: bool,
) -> Path:
    """What the ending of `out` asks for."""
    path = Path(out)
    match path.suffix.lower():
        case ".png":
            return _write_grid(images, path, len(names) if in_columns else None)
        case ".npz":
            return write_array(images, labels, names, path)
        case _:
            return _write_folder(images, labels, names, path)


def _write_grid(images: NDArray[np.uint8], path: Path, columns: int | None) -> Path:
    from limner.core.pixels import enlarge, grid, save_png

    sheet = grid(images, columns if columns and columns <= 32 else None)
    return save_png(enlarge(sheet, max(1, GRID_SIDE // max(sheet.shape[:2]))), path)


def write_array(images: NDArray[np.uint8], labels: Told | None, names: tuple[str, ...], path: Path) -> Path:
    """`images` uint8 (n, h, w, c), and `labels` and `names` where the model knows classes: DATA for every verb."""
    import numpy as np

    key = "numbers" if labels is not None and labels.ndim > 1 else "labels"
    said: dict[str, Any] = {} if labels is None else {key: labels, "names": np.array(names)}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(file, images=images, **said)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _write_folder(images: NDArray[np.uint8], labels: Told | None, names: tuple[str, ...], folder: Path) -> Path:
    """One PNG each, in a sub-folder a class where the model knows classes."""
    from limner.core.pixels import save_png

    for number, image in enumerate(images):
        inside = folder if labels is None or labels.ndim > 1 else folder / folder_name(names, int(labels[number]))
        save_png(image, inside / f"{number:06d}.png")
    return folder


def folder_name(names: tuple[str, ...], label: int) -> str:
    name = names[label] if label < len(names) else str(label)
    return name.replace("/", "_").replace("\\", "_").lstrip(".") or str(label)


def _write_walk(likeness: Likeness, path: Path, seed: int, label: str | None, truncation: float) -> Path:
    from limner.core.pixels import enlarge, save_gif

    frames: list[NDArray[np.uint8]] = []
    with progress("walking") as tick:
        for image in likeness.walk(seed=seed, label=label, truncation=truncation):
            frames.append(enlarge(image, max(1, 256 // max(image.shape[:2]))))
            tick(min(len(frames) / 120, 1.0), len(frames))
    return save_gif(frames, path, WALK_MILLISECONDS)
