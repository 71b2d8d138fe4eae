"""Pictures with the classes they belong to, for verbs that judge by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limner.cli.pictures import gathered, splits
from limner.core.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from limner.core.pixels import Image
    from limner.data.images import Images
    from limner.recognise.scores import Labelled


def part(source: str, wanted: str = "train") -> str:
    """The split that is wanted, or the one to take instead; data without splits call themselves train."""
    there = splits(source)
    return wanted if wanted in there else "train" if "train" in there or not there else there[0]


def with_classes(source: str, image: Image, wanted: str = "train") -> Images:
    """The pictures of one split, or of the only one, in a model's shape.

    Raises UserError when no class is known of them.
    """
    images = gathered(source, (image.height, image.width), image.channels, part(source, wanted))
    if images.numbers is not None:
        raise UserError(f"{source}: its labels are the numbers {', '.join(images.names)}, and classes are needed here")
    if images.labels is None or not (images.labels >= 0).any():
        raise UserError(f"{source} has no labels; put its pictures in a folder for each class, or add a metadata.csv")
    return images


def held_out(
    source: str, test: str | None, image: Image, seed: int
) -> tuple[Images, NDArray[np.int64], Images, NDArray[np.int64], str]:
    """Pictures to learn from and others to judge by, as rows of data, and where the latter come from.

    The others are those of `test`, or the test split, or one fifth of each class. Their classes are numbered as in
    `source`. Raises UserError for a class that is not known there.
    """
    import numpy as np

    train = with_classes(source, image)
    labels = _known(train)
    if test is None and "test" not in splits(source):
        learn, judge = _fifth(labels, seed, source)
        return train, learn, train, judge, f"one fifth of {source}, which was not learnt from"
    where = source if test is None else test
    other = with_classes(where, image, "test")
    rows, judged = (np.flatnonzero(known >= 0) for known in (labels, _known(other)))
    return train, rows, other, judged, f"the test pictures of {where}"


def labelled(images: Images, rows: NDArray[np.int64] | None, names: tuple[str, ...], source: str) -> Labelled:
    """Rows in memory, or all whose class is known; their classes are numbered as in `names`, those of `source`."""
    import numpy as np

    from limner.recognise.scores import Labelled

    rows = np.flatnonzero(_known(images) >= 0) if rows is None else rows
    mine = _known(images)[rows]
    there = [images.names[k] for k in np.unique(mine)]
    if strange := [name for name in there if name not in names]:
        raise UserError(
            f"{images.source}: no pictures of the class {strange[0]!r} are in {source}, which has {', '.join(names)}; "
            "name its classes alike"
        )
    number = np.array([names.index(name) if name in names else -1 for name in images.names], np.int64)
    return Labelled(np.ascontiguousarray(images.pixels[rows]), number[mine])


def _known(images: Images) -> NDArray[np.int64]:
    assert images.labels is not None
    return images.labels


def _fifth(labels: NDArray[np.int64], seed: int, source: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Four fifths and one fifth of each class's rows, drawn."""
    import numpy as np

    rng = np.random.default_rng(seed)
    judge: list[NDArray[np.int64]] = []
    for k in np.unique(labels[labels >= 0]):
        rows = rng.permutation(np.flatnonzero(labels == k))
        judge.append(rows[: len(rows) // 5])
    held = np.sort(np.concatenate(judge))
    if not len(held):
        raise UserError(f"{source} has fewer than five pictures of each class, too few to judge by; give TEST")
    return np.setdiff1d(np.flatnonzero(labels >= 0), held), held
