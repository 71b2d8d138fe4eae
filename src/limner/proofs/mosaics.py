"""Data sets that lie as mosaics: sheets of equal pictures, row by row, with their labels as IDX."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limner.core.store import replacing


def unpacked(folder: Path, into: Path, side: int = 32) -> Path:
    """An .npz of every `SPLIT-….webp` in a folder, with `SPLIT-labels-idx1-ubyte.gz`; made once."""
    if into.exists():
        return into
    arrays: dict[str, NDArray[np.uint8]] = {}
    for split in sorted({path.name.partition("-")[0] for path in folder.glob("*.webp")}):
        sheets = [cut(path, side) for path in sorted(folder.glob(f"{split}-*.webp"))]
        arrays[f"x_{split}"] = np.concatenate(sheets)
        labels = gzip.decompress((folder / f"{split}-labels-idx1-ubyte.gz").read_bytes())
        arrays[f"y_{split}"] = np.frombuffer(labels, np.uint8, offset=8)
    into.parent.mkdir(parents=True, exist_ok=True)
    with replacing(into) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
    return into


def cut(path: Path, side: int) -> NDArray[np.uint8]:
    """The pictures of one sheet, (n, side, side, 3)."""
    from PIL import Image

    with Image.open(path) as opened:
        sheet = np.asarray(opened.convert("RGB"))
    rows, columns = sheet.shape[0] // side, sheet.shape[1] // side
    return sheet.reshape(rows, side, columns, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
