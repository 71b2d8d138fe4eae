"""The learning curve as a picture: losses above, scores below, over images seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limner.metrics.visible import FAULTS

HEIGHT, WIDTH = 6.4, 9.0


def draw_curve(history: list[dict[str, Any]], path: Path, said: str = "", since: float | None = None) -> Path:
    """Draw the lines of a journal as PNG, whole or not at all; `said` of the score, from `since` images on."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True)
    for name, points in _series(history, "Progress", "losses").items():
        upper.plot(*_smooth(points), label=name, linewidth=1.2)
    upper.set_ylabel("loss (running mean)")
    scores = _series(history, "Scores", "values")
    for name in [n for n in scores if n not in ("kernel distance", "PSNR", *FAULTS)]:
        lower.plot(*zip(*scores[name], strict=True), label=name, linewidth=1.2, marker=".", alpha=0.8)
    lower.set_ylim(-0.1, 1.5)
    lower.set_ylabel("coverage, diversity, gap (standard deviations)")
    if "kernel distance" in scores:
        right = lower.twinx()
        seen, distance = zip(*scores["kernel distance"], strict=True)
        right.plot(seen, distance, color="black", marker=".")
        if error := dict(_series(history, "Scores", "error").get("error", [])):
            band = [error.get(n, 0.0) for n in seen]
            low, high = ([d + side * e for d, e in zip(distance, band, strict=True)] for side in (-1, 1))
            right.fill_between(seen, low, high, color="black", alpha=0.15, linewidth=0)
        if any(value > 0 for _, value in scores["kernel distance"]):  # unbiased, it may be below 0 throughout
            right.set_yscale("log")
        right.set_ylabel("kernel distance ± standard error")
    lower.set_xlabel("images seen")
    lower.set_title(said, fontsize=9, loc="left")
    if since is not None:
        lower.axvline(since, color="grey", linewidth=0.8, linestyle=":")
    for axis in figure.axes:
        axis.spines[["top"]].set_visible(False)
    for axis in (upper, lower):
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=8, frameon=False, ncols=2)
    temporary = path.with_name(f".{path.name}.part")
    figure.savefig(temporary, format="png", dpi=110)
    temporary.replace(path)
    return path


def _series(history: list[dict[str, Any]], event: str, field: str) -> dict[str, list[tuple[int, float]]]:
    """name → (nimg, value) pairs, in order; what a roll-back undid is left out."""
    series: dict[str, list[tuple[int, float]]] = {}
    for line in history:
        if line["event"] == event:
            values = line.get(field, {})
            for name, value in (values if isinstance(values, dict) else {field: values}).items():
                points = series.setdefault(name, [])
                while points and points[-1][0] >= line["nimg"]:
                    points.pop()
                points.append((line["nimg"], value))
    return series


def _smooth(points: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    """A running mean over a fortieth of the points."""
    width = max(1, len(points) // 40)
    values = [v for _, v in points]
    means = [sum(values[max(0, i - width + 1) : i + 1]) / min(i + 1, width) for i in range(len(values))]
    return [n for n, _ in points], means
