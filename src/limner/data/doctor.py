"""The data doctor: everything worth knowing about a data set before training on it, and a sheet to look at."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from limner.data.decode import Size, fitted
from limner.data.gather import gather
from limner.data.images import Images, duplicates
from limner.data.survey import Survey, survey

FLAT = 2.0
"""Standard deviation in grey levels below which a picture is called near-empty."""
TILE = 72
GAP = 4
FONTS = ("NotoSansCJK-Regular.ttc", "msyh.ttc", "PingFang.ttc", "Hiragino Sans GB.ttc", "wqy-zenhei.ttc",
         "wqy-microhei.ttc", "simhei.ttf", "Arial Unicode.ttf", "DejaVuSans.ttf")  # fmt: skip
"""Fonts with Chinese on Linux, Windows and macOS, where Pillow looks for them by name."""


@dataclass(frozen=True, eq=False)
class Checkup:
    """A data set examined.

    duplicates: groups of indices of exactly equal pictures (after cropping and reducing)
    conflicts: those groups whose pictures have different labels
    empty: indices of near-empty pictures
    mean, std: of each channel, in 0..1
    """

    survey: Survey
    images: Images
    duplicates: tuple[tuple[int, ...], ...]
    conflicts: tuple[tuple[int, ...], ...]
    empty: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def name(self, index: int) -> str:
        """What to call a picture: its file, or its number."""
        return self.images.files[index] if self.images.files else f"picture {index}"


def examine(source: str, split: str = "train", size: Size | None = None) -> Checkup:
    """Survey, decode, and look for what spoils a training.

    Raises UserError as `gather` does.
    """
    seen = survey(source, split)
    images = gather(source, split=split, size=size)
    equal = tuple(duplicates(images))
    labels = images.labels
    conflicts = () if labels is None else tuple(group for group in equal if len(set(labels[list(group)].tolist())) > 1)
    mean, std, empty = _statistics(images.pixels)
    return Checkup(seen, images, equal, conflicts, empty, mean, std)


def contact_sheet(images: Images, rows: int = 10, columns: int = 12) -> NDArray[np.uint8]:
    """uint8 (H, W, c): one labelled row a class where there are classes, else pictures spread evenly over the data."""
    groups = _rows(images, rows, columns)
    tile = _tile(images)
    names = [name for name, _ in groups]
    font = _font("".join(names))
    margin = 2 * GAP + math.ceil(max(font.getlength(name) for name in names)) if any(names) else 0
    columns = max(len(members) for _, members in groups)
    height, width = tile
    sheet = Pillow.new("RGB", (margin + columns * (width + GAP) + GAP, len(groups) * (height + GAP) + GAP), (128,) * 3)
    draw = ImageDraw.Draw(sheet)
    for row, (name, members) in enumerate(groups):
        top = GAP + row * (height + GAP)
        draw.text((GAP, top + height // 2), name, fill="white", font=font, anchor="lm")
        for column, index in enumerate(members):
            sheet.paste(_thumbnail(images.pixels[index], tile), (margin + GAP + column * (width + GAP), top))
    return np.asarray(sheet)


def _rows(images: Images, rows: int, columns: int) -> list[tuple[str, NDArray[np.int64]]]:
    if images.labels is None:
        chosen = _spread(np.arange(len(images)), rows * columns)
        return [("", chosen[i : i + columns]) for i in range(0, len(chosen), columns)]
    shown = [(name, np.flatnonzero(images.labels == i)) for i, name in enumerate(images.names)]
    shown = [(name, members) for name, members in shown if len(members)]
    if (images.labels < 0).any():
        shown = [*shown[: rows - 1], ("(no label)", np.flatnonzero(images.labels < 0))]
    return [(name, _spread(members, columns)) for name, members in shown[:rows]]


def _spread(members: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most `count` of them, evenly spaced."""
    return members if len(members) <= count else members[np.arange(count) * len(members) // count]


def _tile(images: Images) -> Size:
    """Small pictures are enlarged by a whole factor, large ones reduced."""
    _, height, width, _ = images.pixels.shape
    largest = max(height, width)
    factor = max(1, TILE // largest) if largest <= 2 * TILE else 2 * TILE / largest
    return max(1, round(height * factor)), max(1, round(width * factor))


def _thumbnail(pixels: NDArray[np.uint8], tile: Size) -> Pillow.Image:
    picture = Pillow.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))
    if tile[0] >= picture.height:
        picture = picture.resize((tile[1], tile[0]), Pillow.Resampling.NEAREST)
    return Pillow.fromarray(fitted(picture, tile, 3))


def _font(text: str) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own, which has Latin, Greek and Cyrillic; for other scripts the first of FONTS that is installed."""
    for name in FONTS if max(text, default="") >= "\u0590" else ():
        try:
            return ImageFont.truetype(name, 14)
        except OSError:
            continue
    return ImageFont.load_default(14)


def _statistics(pixels: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...], tuple[int, ...]]:
    """Mean and deviation of each channel in 0..1, and the near-empty pictures."""
    totals, squares = np.zeros(pixels.shape[3]), np.zeros(pixels.shape[3])
    empty: list[int] = []
    area = pixels.shape[1] * pixels.shape[2]
    for start in range(0, len(pixels), 64):
        block = pixels[start : start + 64].astype(np.float64)
        sums, powers = np.einsum("nhwc->nc", block), np.einsum("nhwc,nhwc->nc", block, block)
        empty += (start + np.flatnonzero(_deviation(sums, powers, area).max(1) < FLAT)).tolist()
        totals += sums.sum(0)
        squares += powers.sum(0)
    count = len(pixels) * area
    std = _deviation(totals, squares, count)
    return tuple((totals / count / 255).tolist()), tuple((std / 255).tolist()), tuple(empty)


def _deviation(sums: NDArray[np.float64], powers: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    return np.sqrt(np.maximum(powers / count - (sums / count) ** 2, 0))
