"""DATA on the command line: the pictures of a verb, gathered with a progress bar, and what to say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limner.cli.show import progress, remark

if TYPE_CHECKING:
    from limner.data.images import Images


def gathered(source: str, size: tuple[int, int] | None, channels: int | None, split: str) -> Images:
    """The pictures of one split."""
    from limner.data.gather import gather

    with progress(f"reading {source}") as tick:
        return gather(
            source,
            size=size,
            channels=channels,
            split=split,
            progress=lambda done, total: tick(done / max(total, 1), done),
        )


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
