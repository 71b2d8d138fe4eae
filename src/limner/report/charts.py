"""Drawings for a page, as SVG that takes its colours from the style sheet: curves in small panels, and intervals.

Lines differ in dash as well as in colour, so that they survive print and colour blindness.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from limner.report.markup import Inside, Markup, join, tag

WIDTH, HEIGHT = 320, 180
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 8, 22
SERIES = 8
"""Kinds of line that the style sheet has; more begin again."""
POINTS = 400
"""Most points drawn of one line."""
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """One line of a panel.

    number: whose it is, which sets colour and dash
    points: (x, y) pairs
    kept: where the kept state lies
    errors: the noise of each point, drawn as a band of so much above and below; empty for none
    """

    number: int
    name: str
    points: Points
    kept: float | None = None
    errors: Sequence[float] = ()

    @property
    def band(self) -> list[tuple[float, float, float]]:
        """(x, low, high) of each point that has an error."""
        return [(x, y - e, y + e) for (x, y), e in zip(self.points, self.errors, strict=False)]


@dataclass(frozen=True)
class Scale:
    """Values of an axis → pixels."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.stop - self.start), 1)

    def ticks(self, most: int = 5) -> list[float]:
        """Round values inside, for marks."""
        if self.log:
            ends = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            step = max(1, math.ceil((ends[1] - ends[0] + 1) / most))
            return [10.0**k for k in range(ends[0], ends[1] + 1, step)] or [self.low, self.high]
        step = _round_step((self.high - self.low) / most)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def panel(title: str, lines: Sequence[Line], unit: str, *, log: bool = False) -> Markup:
    """Curves of one quantity over `unit`, as a figure; on a log scale values that are not positive are left out."""
    drawn = [thinned for line in lines if (thinned := _thinned(line, log)).points]
    if not drawn:
        return Markup("")
    x, y = _scales(drawn, log)
    inside = join([_axes(x, y), [_band(line, x, y) for line in drawn], [_curve(line, x, y) for line in drawn]])
    ends = "; ".join(f"{line.name} ends at {short(line.points[-1][1])}" for line in drawn)
    words = f"{title} over {unit}: {ends}"
    svg = tag("svg", inside, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=words, class_="chart")
    scale = tag("span", f" over {unit}{', log' if log else ''}", class_="quiet")
    return tag("figure", tag("figcaption", title, scale), svg, class_="panel")


def legend(names: Sequence[str]) -> Markup:
    """Which line is whose."""
    items = [tag("li", swatch(k), name) for k, name in enumerate(names)]
    return tag("ul", items, class_="legend")


def swatch(number: int) -> Markup:
    """A piece of a line, silent."""
    piece = tag("line", x1=0, y1=6, x2=26, y2=6, class_=f"curve s{number % SERIES}")
    return tag("svg", piece, viewBox="0 0 26 12", width=26, height=12, aria_hidden="true")


def intervals(rows: Sequence[tuple[float, float, float]], floor: float | None) -> Markup:
    """(low, value, high) of each model on one scale under each other, and the floor as a line across."""
    numbers = [v for row in rows for v in row if math.isfinite(v)]
    floored = floor is not None and math.isfinite(floor)
    numbers += [floor] if floored and floor is not None else []
    if not numbers:
        return Markup("")
    x = Scale(min(numbers), max(numbers), 6, 154)
    height = 14 * len(rows) + 4
    marks: list[Inside] = []
    if floored and floor is not None:
        marks.append(tag("line", x1=x(floor), x2=x(floor), y1=0, y2=height, class_="floor"))
    for k, (low, value, high) in enumerate(rows):
        y = 14 * k + 9
        if all(math.isfinite(v) for v in (low, high)):
            marks.append(tag("line", x1=x(low), x2=x(high), y1=y, y2=y, class_=f"reach s{k % SERIES}"))
        if math.isfinite(value):
            marks.append(tag("circle", cx=x(value), cy=y, r=3.5, class_=f"dot s{k % SERIES}"))
    # the numbers stand beside it
    size = {"viewBox": f"0 0 160 {height}", "width": 160, "height": height}
    return tag("svg", marks, **size, class_="intervals", aria_hidden="true")


def short(value: float) -> str:
    """Four significant digits, without exponents from 0.0001 to a million."""
    if not math.isfinite(value):
        return "–"
    if abs(value) >= 1e4:
        return f"{value:,.0f}" if abs(value) < 1e6 else f"{value:.2e}"
    return f"{value:.4g}" if abs(value) >= 1e-4 or value == 0 else f"{value:.1e}"


def _scales(lines: Sequence[Line], log: bool) -> tuple[Scale, Scale]:
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    edges = [edge for line in lines for _, *both in line.band for edge in both]
    # on a log scale a band that reaches down to 0 has no lower edge
    low, high = min([*ys, *(e for e in edges if not log or e > min(ys) / 2)]), max([*ys, *edges])
    if low == high:
        low, high = (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
    left, right = min(0.0, *xs), max(*xs, min(xs) + 1e-9)
    return Scale(left, right, LEFT, WIDTH - RIGHT), Scale(low, high, HEIGHT - BOTTOM, TOP, log)


def _axes(x: Scale, y: Scale) -> Markup:
    marks: list[Inside] = []
    for value in y.ticks():
        at = y(value)
        marks.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=at, y2=at, class_="grid"))
        marks.append(tag("text", _tick(value), x=LEFT - 6, y=at + 3.5, text_anchor="end"))
    for value in x.ticks():
        at = x(value)
        anchor = "end" if at > WIDTH - 12 else "middle"
        marks.append(tag("text", _tick(value), x=at, y=HEIGHT - 6, text_anchor=anchor))
    marks.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=HEIGHT - BOTTOM, y2=HEIGHT - BOTTOM, class_="axis"))
    return join(marks)


def _band(line: Line, x: Scale, y: Scale) -> Markup:
    """The noise about a line; what lies below the panel is cut off."""
    if len(line.band) < 2:
        return Markup("")
    upper = [f"{x(at)},{y(high)}" for at, _, high in line.band]
    lower = [f"{x(at)},{y(max(low, y.low))}" for at, low, _ in reversed(line.band)]
    return tag("polygon", points=" ".join([*upper, *lower]), class_=f"band s{line.number % SERIES}")


def _curve(line: Line, x: Scale, y: Scale) -> Markup:
    path = " ".join(f"{x(a)},{y(b)}" for a, b in line.points)
    drawn = [tag("polyline", points=path, class_=f"curve s{line.number % SERIES}")]
    if len(line.points) == 1:
        a, b = line.points[0]
        drawn = [tag("circle", cx=x(a), cy=y(b), r=3, class_=f"dot s{line.number % SERIES}")]
    if line.kept is not None:
        near = min(line.points, key=lambda p: abs(p[0] - (line.kept or 0)))
        drawn.append(tag("circle", cx=x(near[0]), cy=y(near[1]), r=3.5, class_=f"dot s{line.number % SERIES}"))
    return join(drawn)


def _thinned(line: Line, log: bool) -> Line:
    """The line with at most POINTS of its points, evenly, the ends included; above 0 where the scale is logarithmic."""
    rows = [k for k, (_, value) in enumerate(line.points) if value > 0 or not log]
    if len(rows) > POINTS:
        rows = [rows[round(k * (len(rows) - 1) / (POINTS - 1))] for k in range(POINTS)]
    return replace(line, points=[line.points[k] for k in rows],
                   errors=[line.errors[k] for k in rows] if line.errors else ())  # fmt: skip


def _round_step(rough: float) -> float:
    """The next of 1, 2, 5 × 10ᵏ."""
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    return next(power * m for m in (1, 2, 5, 10) if power * m >= rough * (1 - 1e-9))


def _tick(value: float) -> str:
    if value and abs(value) < 1e-3:
        return f"{value:.0e}".replace("e-0", "e-")
    for suffix, multiple in (("M", 1e6), ("k", 1e3)):
        if abs(value) >= multiple:
            return f"{value / multiple:.3g}{suffix}"
    return f"{round(value, 10):.3g}"
