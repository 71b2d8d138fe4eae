"""A search as a picture: scores over trials and over each knob."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from limner.core import store
from limner.tuning.knobs import Knob
from limner.tuning.study import Tried


def draw_search(found: Sequence[Tried], turned: Sequence[Knob], path: Path) -> Path:
    """Scores over trials, the best so far, and the scores over each knob."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    done = [one for one in found if one.score is not None]
    scores = [one.score or 0.0 for one in done]
    figure = Figure(figsize=(10, 2.6 + 2.4 * math.ceil(len(turned) / 3)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(1 + math.ceil(len(turned) / 3), 3)
    first = figure.add_subplot(grid[0, :])
    first.scatter([one.number for one in done], scores, s=18, color="tab:blue", label="held-out score")
    best = [min(scores[: k + 1]) for k in range(len(scores))]
    first.step([one.number for one in done], best, where="post", color="black", linewidth=1, label="best so far")
    for one in found:
        if one.score is None:
            first.axvline(one.number, color="grey", alpha=0.25, linewidth=1)
    first.set_xlabel("trial (grey: broken off)")
    first.legend(fontsize=8, frameon=False)
    for k, knob in enumerate(turned):
        axis = figure.add_subplot(grid[1 + k // 3, k % 3])
        shown = [str(one.values[knob.name]) if knob.choices else one.values[knob.name] for one in done]
        axis.scatter(shown, scores, s=14, c=[one.number for one in done], cmap="viridis")
        axis.set_xlabel(knob.name + ("" if knob.choices else ", times the recipe's"), fontsize=8)
        axis.set_xscale("linear" if knob.choices else "log")
    for axis in figure.axes:
        axis.spines[["top", "right"]].set_visible(False)
        if scores and min(scores) > 0:
            axis.set_yscale("log")
    with store.replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=90)
    return path
