"""How the built-in digits were made: the first 10,000 and 2,000 images of MNIST as PNG mosaics.

python benchmarks/make_digits.py FOLDER_OF_MNIST_IDX_FILES
"""

from __future__ import annotations

import sys

from PIL import Image

from limner.data.digits import FOLDER, SIDE
from limner.data.gather import gather

COLUMNS = 100


def main(folder: str) -> None:
    """Write train.png, train.txt, test.png and test.txt into the package."""
    FOLDER.mkdir(exist_ok=True)
    for split, count in (("train", 10_000), ("test", 2_000)):
        images = gather(folder, split=split)
        assert images.labels is not None
        tiles = images.pixels[:count, :, :, 0].reshape(-1, COLUMNS, SIDE, SIDE)
        mosaic = tiles.swapaxes(1, 2).reshape(-1, COLUMNS * SIDE)
        Image.fromarray(mosaic).save(FOLDER / f"{split}.png", optimize=True)
        (FOLDER / f"{split}.txt").write_text("".join(map(str, images.labels[:count])) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
