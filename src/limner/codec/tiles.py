"""Pictures of any size ↔ pictures of a model's shape: cut into tiles, edges repeated to fill the last ones."""

from __future__ import annotations

import math

import numpy as np

from limner.codec.container import Shape
from limner.core.errors import UserError
from limner.core.pixels import Bytes, Image
from limner.data.whole import Whole


def cut(whole: Whole, image: Image) -> tuple[Shape, Bytes]:
    """The shape of a picture, and its tiles (n, h, w, c), row by row.

    Raises UserError for colours where the model has none.
    """
    pixels = _coloured(whole, image.channels)
    height, width = pixels.shape[:2]
    rows, columns = tiled((height, width, 0), image)
    below, right = rows * image.height - height, columns * image.width - width
    pixels = np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="edge")
    tiles = pixels.reshape(rows, image.height, columns, image.width, -1).swapaxes(1, 2)
    kept = whole.colours.shape[2] if image.channels > 2 else 1
    alpha = whole.alpha is not None and image.channels % 2 == 0
    return (height, width, kept + alpha), tiles.reshape(-1, *tiles.shape[2:])


def joined(tiles: Bytes, shape: Shape, image: Image) -> Bytes:
    """Tiles (n, h, w, c) → the picture of this shape."""
    height, width, channels = shape
    rows, columns = tiled(shape, image)
    pixels = tiles.reshape(rows, columns, *tiles.shape[1:]).swapaxes(1, 2)
    pixels = pixels.reshape(rows * image.height, columns * image.width, -1)[:height, :width]
    colours = pixels[:, :, : image.channels - (image.channels % 2 == 0)]
    if channels < 3 and colours.shape[2] == 3:
        colours = np.rint(colours.mean(2, keepdims=True)).astype(np.uint8)
    return colours if channels % 2 else np.concatenate([colours, pixels[:, :, -1:]], 2)


def tiled(shape: Shape, image: Image) -> tuple[int, int]:
    """Rows and columns of tiles that a picture needs."""
    return math.ceil(shape[0] / image.height), math.ceil(shape[1] / image.width)


def _coloured(whole: Whole, channels: int) -> Bytes:
    """A picture with as many channels as the model has."""
    colours = whole.colours
    if channels < 3 and colours.shape[2] == 3:
        if (colours != colours[:, :, :1]).any():
            raise UserError(f"{whole.name} has colours and the model is grey; train one in colour: --channels 3")
        colours = colours[:, :, :1]
    if channels > 2:
        colours = np.broadcast_to(colours, (*colours.shape[:2], 3))
    if channels % 2:
        return colours
    alpha = np.full(colours.shape[:2], 255, np.uint8) if whole.alpha is None else whole.alpha
    return np.concatenate([colours, alpha[:, :, None]], 2)
