"""How models were trained: their learning curves in small panels, and their settings side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from limner.metrics.visible import FAULTS
from limner.report.charts import Line, legend, panel
from limner.report.history import Curve, History
from limner.report.markup import Markup, join, tag
from limner.report.page import table

UNITS = {"nimg": "images seen", "seconds": "seconds"}
Histories = Sequence[tuple[str, History]]


def panels(histories: Histories, part: str, time: str = "nimg") -> list[Markup]:
    """A panel for each quantity, a line for each run; `part` is `scores` or `losses`, `time` nimg or seconds."""
    named: list[dict[str, Curve]] = [getattr(h, part) for _, h in histories]
    return [_panel(name, histories, named, time) for name in dict.fromkeys(n for curves in named for n in curves)]


def curves(histories: Histories) -> Markup:
    """How the runs stand in words, then scores and losses over images, under one legend."""
    named = legend([name for name, _ in histories]) if len(histories) > 1 else None
    scores, losses = panels(histories, "scores"), panels(histories, "losses")
    alarms = [
        tag("li", f"{name}: " if len(histories) > 1 else None, f"after {nimg:,} images: {words}")
        for name, h in histories
        for nimg, words in h.alarms
    ]
    stands = [
        tag("li", f"{name}: " if len(histories) > 1 else None, f"{at.trend.words}. {at.outlook.capitalize()}.")
        for name, h in histories
        if (at := h.standing) is not None
    ]
    return join(
        [
            tag("ul", stands, class_="short") if stands else None,
            named,
            [tag("h3", "On held-out pictures"), tag("div", scores, class_="panels")] if scores else None,
            [tag("h3", "Losses, as running means"), tag("div", losses, class_="panels")] if losses else None,
            [tag("h3", "Alarms"), tag("ul", alarms, class_="short")] if alarms else None,
        ]
    )


def settings_table(names: Sequence[str], rows: Mapping[str, Sequence[str]]) -> Markup:
    """A row a setting, a column a run."""
    return table(("setting", *names), [[key, *values] for key, values in rows.items()], kind="settings")


def _panel(name: str, histories: Histories, named: Sequence[dict[str, Curve]], time: str) -> Markup:
    lines: list[Line] = []
    for k, ((whose, history), curves_) in enumerate(zip(histories, named, strict=True)):
        if name in curves_:
            curve = curves_[name]
            kept = dict(zip(curve.nimg, getattr(curve, time), strict=True)).get(history.kept or -1)
            lines.append(Line(k, whose, curve.over(time), kept, curve.errors))
    # a distance or a fault falls by orders of magnitude, and what matters happens at its end
    return panel(name, lines, UNITS[time], log="distance" in name or name in FAULTS)
