"""The table of scores: value, interval, floor, n and features of each, in words too, for one model or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from limner.evaluate import PIXELS, Score
from limner.report.charts import intervals, short, swatch
from limner.report.markup import Inside, Markup, join, tag
from limner.report.page import table
from limner.report.words import beside, best, finite, meaning, verdict, withheld

ARROWS = {"lower": "↓", "higher": "↑"}
Named = Sequence[tuple[str, Sequence[Score]]]
"""(model, its scores), in order."""


@runtime_checkable
class Refused(Protocol):
    """A score that is not given, and why."""

    @property
    def label(self) -> str: ...

    @property
    def reason(self) -> str: ...


def score_table(models: Named) -> Markup:
    """A row a score; where there are several models, a column each."""
    every = [s for _, scores in models for s in scores]
    alike = len({_terms(s) for s in every}) == 1
    rows = [_row(titled(_first(scores), models), scores, not alike) for scores in aligned(models)]
    several = [join([swatch(k), name]) for k, (name, _) in enumerate(models)] if len(models) > 1 else ["value"]
    head = ["score", *several, "interval, floor", "real against real", *(() if alike else ("n, features",))]
    caption = _terms(every[0]) if alike else None
    return join([table(head, rows, caption, "scores"), _feet(models)])


def readings(models: Named) -> Markup:
    """Each score in words: what it measures and what these values say."""
    items: list[Inside] = []
    for scores in aligned(models):
        first = _first(scores)
        said = [(name, verdict(s)) for (name, _), s in zip(models, scores, strict=True) if s is not None]
        told = [
            tag("p", [tag("b", f"{name}: ") if len(models) > 1 else "Here: ", words, "."], class_="verdict")
            for name, words in said
            if words
        ]
        items += [tag("dt", titled(first, models)), tag("dd", meaning(first), told)]
    return tag("dl", items)


def refusals(models: Sequence[tuple[str, Sequence[Refused]]]) -> Markup:
    """The scores that are withheld, each with its reason once."""
    every = [(one, str(getattr(one, "features", ""))) for _, refused in models for one in refused]
    several = len({kind for _, kind in every}) > 1
    said = dict.fromkeys((f"{one.label} ({kind})" if several else one.label, one.reason) for one, kind in every)
    items = [tag("li", tag("b", label), ": ", reason) for label, reason in said]
    return join([tag("h3", "Withheld"), tag("ul", items, class_="short")]) if said else Markup("")


def aligned(models: Named) -> list[list[Score | None]]:
    """For each score that any model has, that of every model."""
    found = [{(s.metric, s.label, s.features): s for s in scores} for _, scores in models]
    keys = dict.fromkeys(key for of in found for key in of)
    return [[of.get(key) for of in found] for key in keys]


def titled(score: Score, models: Named) -> str:
    """What a row is called: the score, better upwards or downwards, and its features where there are several kinds."""
    kinds = {s.features for _, scores in models for s in scores} - {PIXELS}
    where = f" ({score.features})" if len(kinds) > 1 and score.features in kinds else ""
    return f"{score.label or score.metric} {ARROWS.get(score.better, '')}".strip() + where


def _first(scores: Sequence[Score | None]) -> Score:
    return next(s for s in scores if s is not None)


def _row(title: str, scores: Sequence[Score | None], terms: bool) -> list[Inside]:
    there = [s for s in scores if s is not None]
    top, nan = best(scores), float("nan")
    floors = {s.floor for s in there if finite(s.floor)}
    floor = floors.pop() if len(floors) == 1 else None
    drawn = [(s.low, s.value, s.high) if s is not None and not withheld(s) else (nan, nan, nan) for s in scores]
    return [
        title,
        *(_value(s, k == top) for k, s in enumerate(scores)),
        intervals(drawn, floor),
        _lines([short(s.floor) if finite(s.floor) else "–" for s in there]),
        *([_lines([_terms(s) for s in there])] if terms else ()),
    ]


def _value(score: Score | None, best_of_all: bool) -> Markup:
    if score is None:
        return tag("span", "–", class_="quiet")
    if reason := withheld(score):
        return tag("span", "withheld: ", reason, class_="quiet")
    value = tag("strong" if best_of_all else "span", short(score.value), class_="value")
    mark = tag("span", " ★", title="best: its interval lies apart from the others", class_="star")
    reach = f"{short(score.low)} – {short(score.high)}" if finite(score.low) and finite(score.high) else ""
    more = tag("span", said, class_="reach-text") if (said := beside(score)) else None
    return join([value, mark if best_of_all else None, tag("span", reach, class_="reach-text"), more])


def _lines(said: Sequence[str]) -> Markup:
    """One where all are the same, else one under the other."""
    return join([tag("div", words) for words in dict.fromkeys(said)])


def _terms(score: Score) -> str:
    """What must be equal for two values to compare."""
    floor = f", floor {score.floor_n:,}" if score.floor_n != score.n else ""
    resize = f", {said}" if (said := getattr(score, "resize", "")) else ""
    return f"n = {score.n:,}{floor} · features {score.features} {score.digest}{resize}"


def _feet(models: Named) -> Markup:
    marks = "★ marks a model whose interval lies apart from every other's; where none has it, none is surely better. "
    return tag(
        "p",
        "Beside each value is its 95 % interval; the drawing shows it with a line where real pictures come out "
        "against other real pictures, which a perfect generator would reach. ",
        marks if len(models) > 1 else None,
        "Values compare only at equal n and equal features.",
        class_="quiet",
    )
