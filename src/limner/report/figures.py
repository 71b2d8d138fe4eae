"""Pictures inside a page: PNGs as data URIs, each pixel a whole number of pixels of the screen.

Every picture is an element of its own and rows of them wrap, so that a sheet fits a phone without being resampled.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

from limner.core.pixels import Bytes, picture
from limner.report.markup import Inside, Markup, tag

SIDE = 64
"""Pixels of the screen that the longer side of a small picture is enlarged to, at most."""


def uri(png: bytes) -> str:
    """A PNG file as an address that needs no file."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def png(pixels: Bytes) -> bytes:
    """uint8 (h, w, c) → a PNG file, as small as it gets."""
    file = io.BytesIO()
    picture(pixels).save(file, "PNG", optimize=True)
    return file.getvalue()


def zoom(height: int, width: int, side: int = SIDE) -> int:
    """How many times pictures of this size are enlarged: a whole number."""
    return max(1, side // max(height, width))


def img(pixels: Bytes, alt: str = "", side: int = SIDE) -> Markup:
    """One picture, uint8 (h, w, c); without `alt` it is silent, because what it lies in speaks for it."""
    h, w = pixels.shape[:2]
    times = zoom(h, w, side)
    return tag("img", src=uri(png(pixels)), width=w * times, height=h * times, alt=alt)


def tiles(pixels: Bytes | Sequence[Bytes], alt: str, *, columns: int = 0, side: int = SIDE) -> Markup:
    """Pictures (n, h, w, c) side by side; `columns` a row at most where the screen is wide enough, 0 for all in one
    row, which may be scrolled.
    """
    shown = [img(one, side=side) for one in pixels]
    h, w = pixels[0].shape[:2] if len(pixels) else (1, 1)
    room = None if not columns else f"max-width:{columns * (w * zoom(h, w, side) + 2)}px"
    # what scrolls must be reachable by keyboard
    kind, focus = ("tiles", None) if columns else ("tiles strip", "0")
    return tag("div", shown, class_=kind, role="img", aria_label=alt, style=room, tabindex=focus)


def figure(caption: Inside, *inside: Inside) -> Markup:
    """Something to look at under its name."""
    return tag("figure", tag("figcaption", caption), *inside)
