"""A picture of the fakes that fooled most people, and of those that fooled the fewest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limner.core.errors import UserError
from limner.core.pixels import Bytes
from limner.judging.results import ByPicture, Results
from limner.judging.store import Judgements

ACROSS, DOWN = 8, 2
INCHES = 1.25
"""Side of one picture."""


def draw_sheet(found: Results, judgements: Judgements, path: Path) -> Path:
    """Draw it as PNG, whole or not at all. Raises UserError when no fake was judged."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    best = found.best
    if not best:
        raise UserError(f"{judgements.path}: no fake has been judged yet, so there is nothing to draw")
    half = min(ACROSS * DOWN, len(best) // 2) or 1
    parts = [("fooled most", best[:half]), ("fooled least", best[::-1][: min(half, len(best) - half)])]
    parts = [(title, some) for title, some in parts if some]
    pixels = [p for _, _, p in judgements.pictures()]
    lines = [-(-len(some) // ACROSS) for _, some in parts]
    figure = Figure(figsize=(ACROSS * INCHES, sum(lines) * INCHES * 1.2 + 0.45 * len(parts)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subfigures(len(parts), 1, height_ratios=lines, squeeze=False)[:, 0]
    for panel, (title, some), count in zip(panels, parts, lines, strict=True):
        panel.suptitle(title, fontsize=11, x=0.01, ha="left")
        axes = panel.subplots(count, ACROSS, squeeze=False).ravel()
        for axis in axes:
            axis.set_axis_off()
        for axis, one in zip(axes, some, strict=False):
            _draw(axis, pixels[one.number], one)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    figure.savefig(temporary, format="png", dpi=110)
    temporary.replace(path)
    return path


def _draw(axis: Any, pixels: Bytes, one: ByPicture) -> None:
    grey = pixels.shape[2] < 3
    axis.imshow(pixels[:, :, 0] if grey else pixels, cmap="gray" if grey else None, vmin=0, vmax=255,
                interpolation="nearest" if max(pixels.shape) <= 128 else "antialiased")  # fmt: skip
    axis.set_title(f"{one.taken} of {one.judged}", fontsize=8, y=-0.22)
