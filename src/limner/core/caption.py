"""A line of words under a picture, so that it says by itself what it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from limner.core.pixels import Bytes

SIZE, MARGIN = 12, 4
"""Height of the letters and room around them, in pixels."""
GAP = "   "
PAPER, INK = 255, 40


def captioned(sheet: Bytes, words: Sequence[str]) -> Bytes:
    """A picture (h, w, c) with a strip below it, as high as the words need; they are broken between, never within."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(SIZE)
    lines = _lines(words, lambda line: font.getlength(line) <= sheet.shape[1] - 2 * MARGIN)
    high = round(SIZE * 1.3)
    strip = Image.new("L", (sheet.shape[1], len(lines) * high + 2 * MARGIN), PAPER)
    for row, line in enumerate(lines):
        ImageDraw.Draw(strip).text((MARGIN, MARGIN + row * high), line, INK, font)
    below = np.repeat(np.asarray(strip)[:, :, None], sheet.shape[2], 2)
    if sheet.shape[2] in (2, 4):
        below[:, :, -1] = 255  # opaque
    return np.concatenate([sheet, below])


def _lines(words: Sequence[str], fits: Callable[[str], bool]) -> list[str]:
    """As many words in each line as fit, and at least one."""
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]}{GAP}{word}" if lines else word
        lines[-1:] = [longer] if lines and fits(longer) else [*lines[-1:], word]
    return lines
