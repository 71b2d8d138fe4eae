"""Small data sets on disk, made from pictures whose pixels are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class Known:
    """Pixels (n, h, w, c), labels and names, in the order in which a folder of classes lists them."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    names: tuple[str, ...]

    def write(self, folder: Path) -> Path:
        """One folder a class, as PNG."""
        for i, (pixels, label) in enumerate(zip(self.pixels, self.labels, strict=True)):
            save(folder / self.names[label] / f"{i:03}.png", pixels)
        return folder


def save(path: Path, pixels: NDArray[np.uint8], **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path, **options)
    return path


@pytest.fixture
def known() -> Known:
    rng = np.random.default_rng(0)
    return Known(rng.integers(0, 256, (12, 10, 14, 3), np.uint8), np.repeat([0, 1, 2], 4), ("0", "1", "2"))


@pytest.fixture
def put() -> Callable[..., Path]:
    return save


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test starts with an empty cache."""
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "own-cache"))
    return tmp_path / "own-cache"
