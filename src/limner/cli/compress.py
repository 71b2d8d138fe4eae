"""`limner compress`: pictures into one small file through a model's codes; `limner decompress`: and out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from limner.cli.flags import device_flag, examples, json_flag, load_files, pick_device, with_flag
from limner.cli.show import check_places, emit, line, progress, remark, table, writing
from limner.cli.values import amount
from limner.core.errors import UserError

if TYPE_CHECKING:
    from limner.codec.compress import Compressed, Restored
    from limner.data.whole import Whole


@click.command(
    epilog=examples(
        "limner train flowers/ --recipe codec --size 64 --out runs/codec",
        "limner compress runs/codec photos/ --out photos.limn",
        "limner compress runs/codec photos/ --step 2 --out smaller.limn  # fewer bytes, poorer pictures",
        "limner compress runs/vae digits --no-names --json --out digits.limn",
    )
)
@click.argument("model", metavar="MODEL")
@click.argument("pictures", metavar="IMAGES")
@click.option("--out", required=True, metavar="X.limn", help="One file for all of them.")
@click.option("--step", type=click.FloatRange(0.02, 100), default=1.0, show_default=True, help="2 is coarser than 1.")
@click.option("--names/--no-names", default=True, help="Whether files' names are kept. Default: they are.")
@click.option("--split", default="test", show_default=True, metavar="NAME", help="Which part of the pictures.")
@click.option("--most", type=click.IntRange(1), metavar="N", help="The first N pictures only.")
@with_flag
@device_flag
@json_flag
def compress(
    model: str, pictures: str, out: str, step: float, names: bool, split: str, most: int | None,
    files: tuple[str, ...], device: str, as_json: bool,
) -> None:  # fmt: skip
    """Compress IMAGES into one file, through the codes of MODEL, which has an encoder and a generator.

    Sizes stay as they are: pictures of another size than the model's are cut into tiles. The same model, and only
    that, gets them out again. What is written is read back, and how like the pictures are is told.
    """
    if Path(out).suffix != ".limn":
        raise UserError(f"--out {out}: one file is written; type --out {Path(out).with_suffix('.limn')}")
    check_places(out)
    load_files(files)
    from limner.codec import compress as codec
    from limner.core import store
    from limner.data.whole import how_many, wholes
    from limner.likeness import load

    likeness = load(model, pick_device(device, same_bits=True))
    codec.players(likeness.nets)
    count = min(how_many(pictures, split), most or how_many(pictures, split))
    with progress("compressing") as tick:
        given = _noted(islice(wholes(pictures, split), most), likeness.image.channels)
        made = codec.compress(likeness.nets, given, step, names, lambda n: tick(n / count, n))
    # Read anew and one by one: all pictures at once may be more than fits in memory.
    with progress("comparing") as tick:
        pairs = zip(islice(wholes(pictures, split), most), codec.decompress(likeness.nets, made.content), strict=True)
        ratios = _compared(pairs, lambda n: tick(n / count, n))
    with writing(out):
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        with store.replacing(Path(out)) as temporary:
            temporary.write_bytes(made.content)
    _say(made, ratios, out, as_json)


@click.command(epilog=examples("limner decompress runs/codec photos.limn --out photos/"))
@click.argument("model", metavar="MODEL")
@click.argument("file", metavar="X.limn")
@click.option("--out", required=True, metavar="FOLDER/", help="A PNG for each picture.")
@with_flag
@device_flag
@json_flag
def decompress(model: str, file: str, out: str, files: tuple[str, ...], device: str, as_json: bool) -> None:
    """Get the pictures out of X.limn, with the MODEL that it was made with."""
    if Path(out).suffix:
        raise UserError(f"--out {out}: a PNG for each picture is written; give a folder, for example --out pictures/")
    check_places(out)
    load_files(files)
    from limner.codec.compress import decompress
    from limner.core.pixels import save_png
    from limner.likeness import load

    if not Path(file).is_file():
        raise UserError(f"{file}: there is no such file; give one that limner compress made")
    likeness = load(model, pick_device(device, same_bits=True))
    try:
        restored = decompress(likeness.nets, Path(file).read_bytes())
        places = _places(restored.names, Path(out))
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    with writing(out), progress("writing") as tick:
        for number, (picture, place) in enumerate(zip(restored, places, strict=True), 1):
            save_png(picture.pixels, place)
            tick(number / len(restored), number)
    if as_json:
        emit({"out": out, "n": len(restored), "pictures": places})
        return
    line(out)


def _noted(pictures: Iterator[Whole], channels: int) -> Iterator[Whole]:
    """The same pictures; says once that transparency is lost."""
    told = False
    for whole in pictures:
        if whole.alpha is not None and channels % 2 and not told:
            remark(f"note: {whole.name}: this model knows no transparency, which is not kept")
            told = True
        yield whole


def _compared(pairs: Iterable[tuple[Whole, Restored]], tick: Callable[[int], None]) -> list[float]:
    """PSNR of each pair."""
    ratios: list[float] = []
    for whole, restored in pairs:
        ratios.append(_psnr(whole, restored))
        tick(len(ratios))
    return ratios


def _psnr(whole: Whole, restored: Restored) -> float:
    """Peak signal-to-noise ratio of the colours in dB, 100 for equal ones."""
    import numpy as np

    channels = restored.pixels.shape[2]
    colours = restored.pixels[:, :, : channels - (channels % 2 == 0)].astype(np.float64)
    error = float(np.square(colours - whole.colours).mean())
    return 100.0 if error == 0 else min(100.0, 10 * float(np.log10(255**2 / error)))


def _places(names: Iterable[str], folder: Path) -> list[Path]:
    """Where each picture goes: under its name, inside the folder, and no two in one place."""
    taken: dict[Path, None] = {}
    for told in names:
        name = PurePosixPath(told.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or ":" in told:
            raise UserError(f"it names a place outside the folder, {told}; nothing was written")
        place, number = folder / name.with_suffix(".png"), 2
        while place in taken:
            place, number = folder / name.with_name(f"{name.stem}-{number}.png"), number + 1
        taken[place] = None
    return list(taken)


def _say(made: Compressed, ratios: list[float], out: str, as_json: bool) -> None:
    count, size, pixels = len(ratios), len(made.content), sum(h * w for h, w, _ in made.shapes)
    mean = sum(ratios) / count
    told: dict[str, Any] = {
        "out": out, "n": count, "bytes": size, "payload": made.payload, "ideal": round(made.ideal, 1),
        "bits_per_pixel": 8 * size / pixels, "psnr": mean,
    }  # fmt: skip
    if as_json:
        emit(told)
        return
    table(
        [
            ("pictures", amount(count), ""),
            ("bytes", f"{size:,}", f"{size / count:.1f} a picture, {8 * size / pixels:.3f} bits a pixel"),
            ("of them codes", f"{made.payload:,}", f"the ideal is {made.ideal:,.0f}"),
            ("PSNR", f"{mean:.2f} dB", f"{min(ratios):.2f} to {max(ratios):.2f}"),
        ]
    )
    line(out)
