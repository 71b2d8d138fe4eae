"""Images: their shape, uint8 ↔ [-1, 1], grids and PNG files.

Inside Limner an image is float (n, c, h, w) in [-1, 1]; on disk and in `data/` it is uint8 (n, h, w, c).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from limner.core.errors import UserError
from limner.core.spec import register

Bytes = NDArray[np.uint8]
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


@register
@dataclass(frozen=True)
class Image:
    """The shape of one image.

    channels: 1 grey, 2 grey + alpha, 3 colour, 4 colour + alpha
    height: in pixels
    width: in pixels
    """

    channels: int
    height: int
    width: int

    @property
    def size(self) -> int:
        """Numbers in one image."""
        return self.channels * self.height * self.width

    def __str__(self) -> str:
        kind = {1: "grey", 2: "grey + alpha", 3: "colour", 4: "colour + alpha"}
        return f"{self.height}×{self.width} {kind.get(self.channels, f'{self.channels} channels')}"


def to_float(images: Bytes, device: torch.device | str = "cpu") -> Float[Tensor, "n c h w"]:
    """uint8 (n, h, w, c) → float in [-1, 1], channels-last in memory."""
    # from_numpy warns of read-only memory maps; what is read here is copied by the arithmetic below
    tensor = torch.from_numpy(images if images.flags.writeable else images.copy())
    return tensor.to(device, non_blocking=True).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def to_bytes(x: Float[Tensor, "n c h w"]) -> Bytes:
    """[-1, 1] → uint8 (n, h, w, c), rounded; values outside are clipped."""
    scaled = x.detach().float().add(1).mul(127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def psnr(x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Peak signal-to-noise ratio in dB, of pictures in the [-1, 1] range; that of equal ones is 100."""
    squared = (x.float() - y.float()).square().flatten(1).mean(1)
    return 10 * (4 / squared.clamp_min(4e-10)).log10()


def grid(images: Bytes, columns: int | None = None, gap: int = 2) -> Bytes:
    """uint8 (n, h, w, c) → one picture (H, W, c), row by row, on a mid-grey ground."""
    n, h, w, c = images.shape
    columns = columns or max(1, math.ceil(math.sqrt(n)))
    rows = math.ceil(n / columns)
    sheet = np.full((rows * (h + gap) + gap, columns * (w + gap) + gap, c), 128, np.uint8)
    for i, image in enumerate(images):
        top, left = gap + (i // columns) * (h + gap), gap + (i % columns) * (w + gap)
        sheet[top : top + h, left : left + w] = image
    return sheet


def enlarge(picture: Bytes, factor: int) -> Bytes:
    """(h, w, c) → (h·factor, w·factor, c) by repeating pixels, so that small images can be looked at."""
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def picture(array: Bytes) -> Any:
    """uint8 (h, w, c) → a PIL image."""
    from PIL import Image as Pillow

    if array.shape[2] not in MODES:
        raise UserError(f"a picture has 1 to 4 channels, not {array.shape[2]}")
    return Pillow.fromarray(array[:, :, 0] if array.shape[2] == 1 else array, MODES[array.shape[2]])


def save_png(array: Bytes, path: str | Path) -> Path:
    """Write uint8 (h, w, c) as PNG, whole or not at all."""
    with instead_of(path) as temporary:
        picture(array).save(temporary, "PNG")
    return Path(path)


def save_gif(frames: Sequence[Bytes], path: str | Path, milliseconds: int = 60, hold: int = 0) -> Path:
    """Write uint8 pictures (h, w, c) as a film that begins again, whole or not at all; the last one may be held."""
    first, *more = (picture(frame) for frame in frames)
    spans = [milliseconds] * len(more) + [milliseconds + hold]
    with instead_of(path) as temporary:
        first.save(temporary, "GIF", save_all=True, append_images=more, duration=spans, loop=0, disposal=2)
    return Path(path)


@contextmanager
def instead_of(path: str | Path) -> Generator[Path]:
    """A file beside `path`, which takes its place once it is whole. Not synced: pictures come by the thousand."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
