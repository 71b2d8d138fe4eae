"""Pictures for a model of one size: --fit, what is said of those that are not of it, and files of what was made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from limner.cli.pictures import splits
from limner.cli.show import remark

if TYPE_CHECKING:
    from torch import Tensor

    from limner.core.pixels import Image
    from limner.data.fit import Fit, Fitted
    from limner.data.images import Images
    from limner.likeness import Likeness

fit_flag = click.option(
    "--fit",
    type=click.Choice(["crop", "pad", "tile"]),
    default="crop",
    show_default=True,
    help="Pictures of another size: their middle, all of them on a larger ground, or piece by piece at their size.",
)


@dataclass(frozen=True)
class Shown:
    """Pictures as a model takes them.

    images: every piece
    fitted: every picture, with its pieces
    """

    images: Images
    fitted: list[Fitted]


def usual_split(source: str, split: str | None) -> str:
    """The part that is asked for, or the one that was not trained on, if there is one."""
    return split or ("test" if "test" in splits(source) else "train")


def say_cropped(source: str, split: str, image: Image, most: int) -> None:
    """A note of pictures that lose something to the model's size, and what else there is."""
    from limner.data.whole import sizes

    found = sizes(source, split, most)
    others = [size for size in found if size != (image.height, image.width)]
    if others:
        high, wide = others[0]
        which = f"{source} is {high}×{wide}"
        if len(found) > 1:
            which = f"{len(others)} of {len(found)} pictures are of another size, as {high}×{wide}"
        remark(
            f"note: {which}: the middle is taken and made {image.height}×{image.width}, as this model has it; "
            "--fit pad shows all of a picture, --fit tile all at its own size"
        )


def shown(source: str, likeness: Likeness, how: Fit, most: int, split: str | None = None) -> Shown:
    """The first pictures of a source, with their labels where there are such. Raises UserError for a damaged one."""
    import numpy as np

    from limner.data.fit import fit
    from limner.data.gather import of_arrays
    from limner.data.whole import labels_of, wholes

    image, chosen = likeness.image, usual_split(source, split)
    if how == "crop":
        say_cropped(source, chosen, image, most)
    size = image.height, image.width
    fitted = [fit(whole, size, image.channels, how) for whole in islice(wholes(source, chosen), most)]
    labels, names = labels_of(source, chosen)
    counts = [len(one.pieces) for one in fitted]
    told = None if labels is None else np.repeat(labels[: len(fitted)], counts)
    return Shown(of_arrays(np.concatenate([one.pieces for one in fitted]), told, names, source), fitted)


def pieces_of(fitted: list[Fitted], x: Tensor) -> Iterator[tuple[Fitted, Tensor]]:
    """Each picture with its rows of x."""
    counts = [len(one.pieces) for one in fitted]
    return zip(fitted, x[: sum(counts)].split(counts), strict=True) if fitted else iter(())


def write_joined(one: Fitted, x: Tensor, folder: Path, suffix: str = "") -> Path:
    """What became of a picture's pieces as one PNG of its name, with its transparency and EXIF."""
    from dataclasses import replace

    from limner.core.pixels import to_bytes
    from limner.data.whole import named, write

    made, whole = one.joined(to_bytes(x)), one.whole
    if made.shape[2] in (2, 4):
        whole, made = replace(whole, alpha=made[:, :, -1]), made[:, :, :-1]
    path = named(whole, folder)
    return write(whole, made, path.with_name(path.stem + suffix + path.suffix))


def saying(likeness: Likeness, where: str) -> dict[str, str]:
    """What a file of codes says of itself: their space, and a digest of the generator they are for."""
    from limner.explore.directions import mark

    return {"space": where, "model": mark(likeness.generator)}
