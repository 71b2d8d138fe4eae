"""Pictures of a climb: the goal's values over steps, a line a start; and a film of what the starts turn into."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limner.core.pixels import Bytes, enlarge, grid, to_bytes
from limner.core.store import replacing
from limner.explore.climb import Standing

HEIGHT, WIDTH = 3.6, 6.4
FRAMES = 60
"""Most frames of a film."""
FILM_SIDE = 320
"""A film smaller than this is enlarged by a whole factor."""


def draw_climb(values: NDArray[np.float64], name: str, path: Path) -> Path:
    """Values (steps + 1, starts) as PNG: the start that reaches most in colour, the others grey."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    winner = int(np.nanmax(values, axis=0).argmax())
    best = np.fmax.accumulate(np.nanmax(values, axis=1))
    others = np.delete(values, winner, axis=1)
    if others.shape[1]:
        axis.plot(others, color="0.65", linewidth=0.7, alpha=0.7)
        axis.plot([], [], color="0.65", label=_others(others.shape[1]))
    axis.plot(best, color="black", linewidth=1, linestyle=":", label="best of all so far")
    axis.plot(values[:, winner], color="tab:orange", linewidth=1.8, label=f"start {winner}, which won")
    axis.set_xlabel("steps")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_ylabel(name if len(name) <= 40 else "goal")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    return path


def _others(n: int) -> str:
    return "the other start" if n == 1 else f"the other {n} starts"


class Film:
    """Frames of a climb, each a grid of all its rows, few enough for a small file."""

    def __init__(self, steps: int) -> None:
        self.every = max(1, -(-steps // FRAMES))
        self.frames: list[Bytes] = []

    def watch(self, standing: Standing, last: bool) -> None:
        """Take a frame of a step whose turn it is."""
        if standing.step % self.every == 0 or last:
            x = standing.x.flatten(0, 1)
            sheet = grid(to_bytes(x))
            self.frames.append(enlarge(sheet, max(1, FILM_SIDE // max(sheet.shape[:2]))))
