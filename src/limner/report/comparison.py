"""The page that compares runs: what they did differently, what came of it, and what they painted at equal times."""

from __future__ import annotations

from collections.abc import Sequence

import limner
from limner.core.errors import UserError
from limner.core.pixels import Bytes
from limner.likeness import load
from limner.report.charts import legend, short, swatch
from limner.report.figures import img, tiles
from limner.report.markup import Inside, Markup, join, tag
from limner.report.page import Section, page, table
from limner.report.runs import Ran, differing, moments, quantities
from limner.report.training import panels, settings_table

TILES, COLUMNS = 16, 4
UNITS = {"nimg": "images", "seconds": "seconds"}


def comparison_page(runs: Sequence[Ran], made: str = "") -> str:
    """One HTML document."""
    parts = [
        Section("table", "What came of them", _facts(runs), _comparable(runs)),
        Section("settings", "What they did differently", _settings(runs)),
        _curves(runs, "seconds"),
        _curves(runs, "nimg"),
        *_pictures(runs),
        _losses(runs),
        _alarms(runs),
    ]
    about = "What their folders tell; nothing was trained again."
    foot = f"Made by limner {limner.__version__}{f', {made}' if made else ''}."
    return page(f"{len(runs)} runs compared", about, [part for part in parts if part is not None], foot)


def comparable(runs: Sequence[Ran]) -> str:
    """Why the scores of these runs do not compare, or nothing."""
    if len({run.settings.get("fingerprint") for run in runs}) > 1:
        return "The runs were trained on different data, so their scores do not compare."
    return ""


def _comparable(runs: Sequence[Ran]) -> str:
    told = comparable(runs) or "Scores of the state that was kept, on held-out pictures as training saw them."
    return f"{told} They have no intervals: for a verdict type limner evaluate RUN… DATA."


def _heads(runs: Sequence[Ran]) -> list[Inside]:
    return [join([swatch(k), run.name]) for k, run in enumerate(runs)]


def _facts(runs: Sequence[Ran]) -> Markup:
    facts = [run.facts for run in runs]
    rows = [[name, *(_told(name, fact.get(name)) for fact in facts)] for name in quantities(runs)]
    return table(("", *_heads(runs)), rows)


def _told(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if name in ("images", "seconds", "images a second", "kept after images") else short(value)


def _settings(runs: Sequence[Ran]) -> Markup:
    keys = differing(runs)
    if not keys:
        return tag("p", "Nothing: all settings are the same.")
    return settings_table([run.name for run in runs], keys)


def _curves(runs: Sequence[Ran], time: str) -> Section | None:
    drawn = panels([(run.name, run.history) for run in runs], "scores", time)
    if not any(drawn):
        return None
    body = join([legend([run.name for run in runs]), tag("div", drawn, class_="panels")])
    return Section(f"by-{time}", f"Learning curves by {UNITS[time]}", body, "The dot is the state that was kept.")


def _losses(runs: Sequence[Ran]) -> Section | None:
    drawn = panels([(run.name, run.history) for run in runs], "losses")
    if not any(drawn):
        return None
    lead = "Running means. Losses of different objectives do not compare, and those of a game say little by themselves."
    body = join([legend([run.name for run in runs]), tag("div", drawn, class_="panels")])
    return Section("losses", "Losses", body, lead)


def _pictures(runs: Sequence[Ran]) -> list[Section]:
    """Previews at equal seconds and at equal images; samples of the kept models where no run has previews."""
    found: list[Section] = []
    for time in ("seconds", "nimg"):
        rows = [[f"{at:,.0f} {UNITS[time]}", *(_preview(r, at, time) for r in runs)] for at in moments(runs, time)]
        if rows:
            lead = "The newest previews that each run had made by then, from the same codes each time."
            body = table(("after", *_heads(runs)), rows, kind="sheets")
            found.append(Section(f"at-{time}", f"Pictures at equal {UNITS[time]}", body, lead))
    if not any(run.preview(run.history.nimg, "nimg") for run in runs):
        lead = "The run folders hold no previews, so these are samples of the kept models, each at its own time."
        body = table(("", *_heads(runs)), [["kept", *(_kept(run) for run in runs)]], kind="sheets")
        return [Section("kept", "Samples of the kept models", body, lead)]
    return found


def _preview(run: Ran, at: float, time: str) -> Markup:
    found = run.preview(at, time)
    if found is None:
        return join([_kept(run), tag("p", "of the model that was kept: no preview is left from then", class_="quiet")])
    nimg, seconds, pictures = found
    return join([_sheet(pictures, run.name), tag("p", f"{nimg:,} images, {seconds:,.0f} s", class_="quiet")])


def _kept(run: Ran) -> Markup:
    try:
        return _sheet(load(run.folder).sample(TILES), run.name)
    except UserError as error:
        return tag("span", str(error), class_="quiet")


def _sheet(pictures: Bytes, name: str) -> Markup:
    if len(pictures) == 1:
        return img(pictures[0], f"preview of {name}")
    return tiles(pictures[:TILES], f"{min(TILES, len(pictures))} pictures of {name}", columns=COLUMNS)


def _alarms(runs: Sequence[Ran]) -> Section | None:
    said = [
        tag("li", tag("b", run.name), f", after {nimg:,} images: {words}")
        for run in runs
        for nimg, words in run.history.alarms
    ]
    return Section("alarms", "Alarms", tag("ul", said, class_="short")) if said else None
