"""DATA on the command line: the pictures of a verb, gathered with a progress bar, and what to say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limner.cli.show import progress, remark

if TYPE_CHECKING:
    from limner.data.decode import Fit
    from limner.data.images import Images


def gathered(source: str, size: tuple[int, int] | None, channels: int | None, split: str, fit: Fit = "crop") -> Images:
    """The pictures of one split."""
    from limner.data.gather import gather

    with progress(f"reading {source}") as tick:
        return gather(
            source,
            size=size,
            channels=channels,
            split=split,
            fit=fit,
            progress=lambda done, total: tick(done / max(total, 1), done),
        )


def gathered_alike(
    source: str, to: str, size: tuple[int, int] | None, channels: int | None, split: str
) -> tuple[Images, Images | None]:
    """The pictures of one split and those of a second source, in one shape that loses neither's colours."""
    images = gathered(source, size, channels, split)
    if not to:
        return images, None
    shape = images.image
    other = gathered(to, (shape.height, shape.width), channels, split)
    both = shape.channels, other.image.channels
    most = (3 if max(both) > 2 else 1) + any(c % 2 == 0 for c in both)
    if images.image.channels != most:
        images = gathered(source, (shape.height, shape.width), most, split)
    if other.image.channels != most:
        other = gathered(to, (shape.height, shape.width), most, split)
    return images, other


def splits(source: str) -> tuple[str, ...]:
    """The names of the splits that the data has."""
    from limner.data.sources import locate

    return tuple(locate(source).open().splits)


def say_notes(images: Images, most: int = 5) -> None:
    """What was decided and what could not be used, on stderr."""
    for note in images.notes:
        remark(f"note: {note}")
    for trouble in images.troubles[:most]:
        remark(f"not used: {trouble.file}: {trouble.reason}")
    if len(images.troubles) > most:
        remark(f"not used: {len(images.troubles) - most} more files; limner check {images.source} names them all")
