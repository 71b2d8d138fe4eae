"""A sheet of what directions do: a row for each, a few codes side by side, each moved by several strengths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from limner.core.pixels import Bytes, enlarge, grid, to_bytes
from limner.explore.ascents import Points
from limner.explore.directions import Directions
from limner.explore.spaces import Space
from limner.models.base import Labels

SIDE = 40
"""Smaller pictures are enlarged by a whole factor."""
SIZE, MARGIN = 15, 8
"""Of the writing, and around it, in pixels."""


@torch.no_grad()
def sheet(within: Space, found: Directions, points: Points, strengths: Sequence[float], label: Labels | None) -> Bytes:
    """uint8 (h, w, 3): names on the left, strengths above."""
    rows: list[Bytes] = []
    for step in found.steps.to(points):
        moved = [within.decode(within.hold(points + s * step, "allowed"), label) for s in strengths]
        rows.append(_coloured(to_bytes(torch.stack(moved, 1).flatten(0, 1))))
    factor = max(1, -(-SIDE // min(rows[0].shape[1:3])))
    blocks = [
        np.concatenate([_spaced(enlarge(grid(part, len(strengths)), factor)) for part in np.split(row, len(points))], 1)
        for row in rows
    ]
    cell = factor * (rows[0].shape[2] + 2)
    return _captioned(blocks, found.names, [f"{s:+g}" if s else "0" for s in strengths], cell, len(points))


def _coloured(pixels: Bytes) -> Bytes:
    """Three channels; transparency is left out."""
    colours = pixels[..., :1] if pixels.shape[3] < 3 else pixels[..., :3]
    return np.broadcast_to(colours, (*pixels.shape[:3], 3)).copy()


def _spaced(block: Bytes) -> Bytes:
    return np.pad(block, ((0, 2), (MARGIN, 0), (0, 0)), constant_values=255)


def _captioned(
    blocks: list[Bytes], names: Sequence[str], strengths: Sequence[str], cell: int, codes: int
) -> NDArray[np.uint8]:
    font = ImageFont.load_default(SIZE)
    body = np.concatenate(blocks)
    left = int(max(font.getlength(name) for name in names)) + 2 * MARGIN
    top = SIZE + 2 * MARGIN
    page = Pillow.new("RGB", (left + body.shape[1] + MARGIN, top + body.shape[0] + MARGIN), "white")
    page.paste(Pillow.fromarray(body), (left, top))
    draw = ImageDraw.Draw(page)
    for k, name in enumerate(names):
        draw.text((MARGIN, top + int((k + 0.5) * blocks[0].shape[0])), name, fill="black", font=font, anchor="lm")
    for code in range(codes):
        for k, said in enumerate(strengths):
            at = left + code * (body.shape[1] // codes) + MARGIN + int((k + 0.5) * cell)
            draw.text((at, top - MARGIN), said, fill="black", font=font, anchor="ms")
    return np.asarray(page)
