"""Pictures at their own size, with what belongs to them: transparency, EXIF, colour profile; and written back so."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from limner.core.errors import UserError
from limner.core.pixels import instead_of, picture
from limner.data.decode import MEGAPIXELS, Header, peek
from limner.data.images import Trouble
from limner.data.items import Collection, Entry, Stack
from limner.data.sources import choose, locate

GREY, COLOUR = ("1", "L", "LA", "La"), ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")
KEPT = ("exif", "icc_profile", "dpi")


@dataclass(frozen=True, eq=False)
class Whole:
    """One picture.

    name: its path inside the source
    colours: grey or colour
    alpha: how opaque each pixel is, where the picture says
    info: EXIF and colour profile, as Pillow takes them
    """

    name: str
    colours: UInt8[np.ndarray, "h w c"]
    alpha: UInt8[np.ndarray, "h w"] | None = None
    info: dict[str, Any] = field(default_factory=dict[str, Any])


def wholes(source: str, split: str = "train") -> Iterator[Whole]:
    """The pictures of a source, each at its own size and upright.

    Raises UserError for one that cannot be read.
    """
    pictures = _collection(source, split).pictures
    if isinstance(pictures, Stack):
        for number in range(len(pictures.values)):
            pixels = pictures.rows(number, number + 1)[0]
            yield _split(f"{number:06d}.png", pixels, {})
        return
    for entry in pictures:
        yield read(entry)


def how_many(source: str, split: str = "train") -> int:
    """Pictures that `wholes` gives."""
    return len(_collection(source, split))


def labels_of(source: str, split: str = "train") -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """What the pictures that `wholes` gives are labelled, -1 for nothing, and the names of the classes."""
    found = _collection(source, split)
    return found.labels, found.names


def sizes(source: str, split: str = "train", most: int | None = None) -> list[tuple[int, int]]:
    """Height and width of the first pictures that can be read, from their headers."""
    pictures = _collection(source, split).pictures
    if isinstance(pictures, Stack):
        return [pictures.values.shape[1:3]] * min(len(pictures.values), most or len(pictures.values))
    headers = map(peek, pictures[:most])
    return [(header.height, header.width) for header in headers if isinstance(header, Header)]


def shapes(source: str, split: str = "train", most: int | None = None) -> Iterator[tuple[str, tuple[int, int, int]]]:
    """Name, and height, width and colours as `wholes` gives them, of each picture, without decoding it.

    Raises UserError for one that cannot be read, as far as its header tells.
    """
    pictures = _collection(source, split).pictures
    if isinstance(pictures, Stack):
        channels = pictures.values.shape[3]
        size = *pictures.values.shape[1:3], channels - (channels % 2 == 0)
        yield from ((f"{number:06d}.png", size) for number in range(min(len(pictures.values), most or sys.maxsize)))
        return
    for entry in pictures[:most]:
        header = peek(entry)
        if isinstance(header, Trouble):
            raise UserError(f"{entry.path}: {header.reason}; repair it or take it away")
        _check(entry, header.mode, header.width * header.height)
        yield entry.path, (header.height, header.width, 1 if header.mode in GREY else 3)


def _check(entry: Entry, mode: str, size: int) -> None:
    if mode not in GREY + COLOUR:
        raise UserError(f"{entry.path}: {mode} pictures have more than 8 bits a channel; save it as PNG of 8")
    if size > MEGAPIXELS * 1_000_000:
        raise UserError(f"{entry.path}: it has more than {MEGAPIXELS} megapixels; cut it up")


def _collection(source: str, split: str) -> Collection:
    """One split, or all there is."""
    found = locate(source)
    opened = found.open()
    return choose(found, opened, split if opened.splits else "train")


def read(entry: Entry) -> Whole:
    """One encoded picture, turned upright."""
    try:
        with entry.open() as file, Image.open(file) as seen:
            _check(entry, seen.mode, seen.width * seen.height)
            upright = ImageOps.exif_transpose(seen)
            info = {name: upright.info[name] for name in KEPT if name in upright.info}
            mode = "L" if seen.mode in GREY else "RGB"
            pixels = np.asarray(upright.convert(mode + "A" * upright.has_transparency_data))
    except UnidentifiedImageError:
        raise UserError(f"{entry.path}: not a picture that can be read; save it as PNG or JPEG") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{entry.path}: damaged: {str(error).partition(chr(10))[0]}") from None
    return _split(entry.path, pixels.reshape(*pixels.shape[:2], -1), info)


def write(whole: Whole, colours: UInt8[np.ndarray, "h w c"], path: Path) -> Path:
    """New colours with the old one's transparency and EXIF, as PNG; transparency grows with the picture."""
    pixels = colours
    if whole.alpha is not None:
        size = (colours.shape[1], colours.shape[0])
        alpha = Image.fromarray(whole.alpha).resize(size, Image.Resampling.BICUBIC)
        pixels = np.concatenate([colours, np.asarray(alpha)[:, :, None]], 2)
    info = {k: v for k, v in whole.info.items() if k != "icc_profile" or colours.shape[2] == whole.colours.shape[2]}
    with instead_of(path) as temporary:
        picture(pixels).save(temporary, "PNG", **info)
    return path


def named(whole: Whole, folder: Path) -> Path:
    """Where its PNG goes in a folder."""
    return folder / PurePosixPath(whole.name).with_suffix(".png")


def _split(name: str, pixels: UInt8[np.ndarray, "h w c"], info: dict[str, Any]) -> Whole:
    """Colours and transparency apart."""
    channels = pixels.shape[2]
    if channels % 2:
        return Whole(name, np.ascontiguousarray(pixels), None, info)
    return Whole(name, np.ascontiguousarray(pixels[:, :, :-1]), np.ascontiguousarray(pixels[:, :, -1]), info)
