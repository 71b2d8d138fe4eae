"""One encoded picture → uint8 (h, w, c): whatever its mode, size, orientation or damage.

Crop to the aspect in the centre, then reduce with Lanczos, or keep all of it and pad; JPEGs are decoded at a fraction
of their size where that is enough. Large pictures are refused from their header, before anything is decoded.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from limner.data.images import Trouble
from limner.data.items import Entry
from limner.data.levels import Levels, levels_of

MEGAPIXELS = 100
GIGABYTES = 1
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
# no EPS (it starts Ghostscript) and no format without a signature (text would pass for TGA)
FORMATS = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "QOI", "SGI", "TIFF", "WEBP")
DEEP = ("I", "F")
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
Size = tuple[int, int]
"""(height, width)"""
Fit = Literal["crop", "pad"]
"""How a picture of another shape is made to fit: its centre, or all of it on a ground."""


@dataclass(frozen=True)
class Header:
    """What a picture says of itself before it is decoded; height and width as it is to be seen."""

    height: int
    width: int
    mode: str
    grey: bool
    alpha: bool
    animated: bool


def peek(entry: Entry) -> Header | Trouble:
    """A picture's header."""
    try:
        with _opened(entry) as picture:
            return _header(picture)
    except Exception as error:  # codecs raise anything on damaged files
        return Trouble(entry.path, _reason(error, entry))


def decode(entry: Entry, size: Size, channels: int, fit: Fit = "crop") -> tuple[NDArray[np.uint8], Header] | Trouble:
    """uint8 (h, w, c) of the given size (height, width) and channels, and the header."""
    try:
        with _opened(entry) as picture:
            header = _header(picture)
            _draft(picture, header, size)
            return fitted(_upright(picture), size, channels, fit), header
    except Exception as error:
        return Trouble(entry.path, _reason(error, entry))


def transparent(entry: Entry) -> bool:
    """Whether any pixel is not fully opaque; False where the picture cannot be decoded."""
    try:
        with _opened(entry) as picture:
            return picture.convert("RGBA").getchannel("A").getextrema() != (255, 255)
    except Exception:
        return False


def fitted(picture: Image.Image, size: Size, channels: int, fit: Fit = "crop") -> NDArray[np.uint8]:
    """A picture as uint8 (h, w, c) of this size.

    crop: the largest centred part of the right aspect, reduced (or enlarged)
    pad: all of it, reduced where it is too large, in the middle of its border's median colour
    """
    height, width = size
    picture = _in_mode(picture, MODES[channels])
    if fit == "pad" and picture.size != (width, height):
        return _padded(picture, size, channels)
    if picture.size != (width, height):
        part = centre(picture.height, picture.width, size)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS, part, reducing_gap=3.0)
    return np.asarray(picture).reshape(height, width, channels)


def refitted(pixels: NDArray[np.uint8], size: Size, channels: int, fit: Fit = "crop") -> NDArray[np.uint8]:
    """`fitted` of a decoded picture, uint8 (h, w, c)."""
    plain = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    return fitted(Image.fromarray(np.ascontiguousarray(plain)), size, channels, fit)


def _padded(picture: Image.Image, size: Size, channels: int) -> NDArray[np.uint8]:
    scale = min(1.0, size[0] / picture.height, size[1] / picture.width)
    height, width = (max(1, round(side * scale)) for side in (picture.height, picture.width))
    if (width, height) != picture.size:
        picture = picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    pixels = np.asarray(picture).reshape(height, width, channels)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    whole = np.empty((*size, channels), np.uint8)
    whole[:] = np.median(border, 0)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    whole[top : top + height, left : left + width] = pixels
    return whole


def centre(height: int, width: int, size: Size) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of the largest centred part with the aspect of `size`."""
    scale = min(height / size[0], width / size[1])
    left, top = max(0.0, (width - size[1] * scale) / 2), max(0.0, (height - size[0] * scale) / 2)
    return left, top, width - left, height - top


@contextmanager
def quiet() -> Generator[None]:
    """Pillow's warnings are silenced: what matters in them becomes a Trouble or a note."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def _formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


@contextmanager
def _opened(entry: Entry) -> Generator[Image.Image]:
    if entry.size == 0:
        raise ValueError("it is empty (0 bytes)")
    if entry.size > GIGABYTES << 30:
        raise ValueError(f"it is larger than {GIGABYTES} GB")
    with entry.open() as file, Image.open(file, formats=_formats()) as picture:
        if picture.width * picture.height > MEGAPIXELS * 1_000_000:
            raise ValueError(f"{picture.width}×{picture.height} is more than {MEGAPIXELS} megapixels; reduce it")
        yield picture


def _header(picture: Image.Image) -> Header:
    height, width = picture.height, picture.width
    if _orientation(picture) >= 5:
        height, width = width, height
    alpha = picture.has_transparency_data
    # an MPO is a JPEG with a second view, not an animation
    animated = bool(getattr(picture, "is_animated", False)) and picture.format != "MPO"
    return Header(height, width, picture.mode, _is_grey(picture), alpha, animated)


def _is_grey(picture: Image.Image) -> bool:
    if picture.mode in ("P", "PA"):
        palette = np.array(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        return bool((palette == palette[:, :1]).all())
    return picture.mode in ("1", "L", "LA", "La") or picture.mode.startswith(DEEP)


def _orientation(picture: Image.Image) -> int:
    # asking a PNG without an exif chunk for one would decode all of it; TIFFs are turned by Pillow itself
    if "exif" not in picture.info or picture.format == "TIFF":
        return 1
    return int(picture.getexif().get(0x0112, 1))


def _draft(picture: Image.Image, header: Header, size: Size) -> None:
    """Let a JPEG decode to 1/2, 1/4 or 1/8, still at least twice the wanted size."""
    scale = 2 * max(size[0] / header.height, size[1] / header.width)
    if scale < 1:
        picture.draft(None, (round(picture.width * scale), round(picture.height * scale)))


def _upright(picture: Image.Image) -> Image.Image:
    picture.load()
    turn = TURNS.get(_orientation(picture))
    if picture.mode.startswith(DEEP):
        values = np.asarray(picture)
        levels = Levels(0, 65535) if picture.mode.startswith("I;16") else levels_of(values)
        picture = Image.fromarray(levels.to_bytes(values))
    return picture if turn is None else picture.transpose(turn)


def _in_mode(picture: Image.Image, mode: str) -> Image.Image:
    if picture.has_transparency_data and not mode.endswith("A"):
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    elif picture.has_transparency_data and picture.mode != mode:
        picture = picture.convert("RGBA")
    return picture if picture.mode == mode else picture.convert(mode)


def _reason(error: Exception, entry: Entry) -> str:
    match error:
        case UnidentifiedImageError():
            heic = entry.path.lower().endswith((".heic", ".heif"))
            return "not a picture that can be read" + ("; save it as JPEG or PNG" if heic else "")
        case Image.DecompressionBombError():
            return f"more than {MEGAPIXELS} megapixels; reduce it"
        case PermissionError():
            return "no permission to read it"
        case EOFError():
            return "truncated"
        case SyntaxError() | OSError():
            text = str(error).partition("\n")[0]
            return text if "truncated" in text else f"damaged: {text}"
        case _:
            return str(error).partition("\n")[0] or type(error).__name__
