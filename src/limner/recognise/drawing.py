"""Accuracy over the number of labels as a picture: a panel a classifier, a line a kind of feature."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from limner.core.store import replacing
from limner.recognise.scores import Score

HEIGHT, WIDTH = 3.8, 4.6


def draw_curves(scores: Sequence[Score], path: Path) -> Path:
    """Means with their 95 % intervals as PNG, whole or not at all; a model's own features are drawn solid."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    kinds = list(dict.fromkeys(s.probe for s in scores))
    names = list(dict.fromkeys(s.features for s in scores))
    figure = Figure(figsize=(WIDTH * len(kinds), HEIGHT), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    for axis, kind in zip(panels, kinds, strict=True):
        for number, name in enumerate(names):
            line = sorted((s for s in scores if (s.probe, s.features) == (kind, name)), key=lambda s: s.labels)
            rival = name.startswith(("raw", "PCA"))
            # a little apart, or intervals hide each other
            at = [s.labels * 1.04 ** (number - (len(names) - 1) / 2) for s in line]
            reach = [[100 * abs(s.mean - s.interval[end]) for s in line] for end in (0, 1)]
            style = {"linestyle": "--" if rival else "-", "marker": "o", "markersize": 3.5, "capsize": 2.5}
            axis.errorbar(at, [100 * s.mean for s in line], reach, label=name, linewidth=1.4, **style)
        axis.set_xscale("log")
        axis.set_title(kind, fontsize=10)
        axis.set_xlabel("labels")
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("named right, %")
    panels[-1].legend(fontsize=8, frameon=False, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    return path
