"""digits: 10,000 training and 2,000 test images of MNIST that come with the package.

One PNG mosaic a split, 100 digits a row, and their labels as a text of numerals (`mnist/CREDITS.md`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from limner.data.items import Collection, Stack
from limner.data.levels import Levels

FOLDER = Path(__file__).parent / "mnist"
SIDE = 28


class Digits:
    """The built-in data."""

    splits = ("test", "train")

    def read(self, split: str) -> Collection:
        """uint8 28×28 grey with labels 0 to 9."""
        with Image.open(FOLDER / f"{split}.png") as picture:
            mosaic = np.asarray(picture)
        rows, columns = mosaic.shape[0] // SIDE, mosaic.shape[1] // SIDE
        pixels = mosaic.reshape(rows, SIDE, columns, SIDE).swapaxes(1, 2).reshape(-1, SIDE, SIDE, 1)
        labels = np.array([int(numeral) for numeral in (FOLDER / f"{split}.txt").read_text("utf-8").strip()], np.int64)
        return Collection(Stack(pixels, Levels()), labels, tuple("0123456789"))
