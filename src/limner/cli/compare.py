"""`limner compare`: runs side by side: what they did differently, and what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from limner.cli.flags import examples, json_flag
from limner.cli.show import emit, line, remark, table, writing
from limner.core.errors import UserError

if TYPE_CHECKING:
    from limner.report.runs import Ran

WIDEST = 40


@click.command(
    epilog=examples(
        "limner compare runs/a runs/b",
        "limner compare runs/* --out compare.html  # curves and pictures at equal times",
        "limner compare runs/* --csv compare.csv  # a line a run, for a spreadsheet",
        "limner compare runs/* --json | jq '.runs[] | {name, facts}'",
    )
)
@click.argument("names", metavar="RUN...", nargs=-1, required=True)
@click.option("--out", metavar="FILE.html", help="Write a page.")
@click.option("--csv", "table_file", metavar="FILE.csv", help="Write the table.")
@json_flag
def compare(names: tuple[str, ...], out: str | None, table_file: str | None, as_json: bool) -> None:
    """Compare training runs: the settings that differ, the scores, the curves, the pictures at equal times.

    RUN is a run folder of limner train. Nothing in it is executed or changed.
    """
    from limner.report.comparison import comparable
    from limner.report.runs import Ran, differing

    _check_ending("--out", out, (".html", ".htm"))
    _check_ending("--csv", table_file, (".csv",))
    runs = [Ran.read(name) for name in dict.fromkeys(names)]
    written = _write(runs, out, table_file)
    if as_json:
        keys = differing(runs)
        told = [
            {"name": run.name, "settings": {key: values[k] for key, values in keys.items()}, "facts": run.facts}
            for k, run in enumerate(runs)
        ]
        emit({"runs": told, "written": written})
        return
    _print(runs)
    if said := comparable(runs):
        remark(f"note: {said[0].lower()}{said[1:].rstrip('.')}")
    for path in written:
        line(path)


def _check_ending(option: str, file: str | None, endings: tuple[str, ...]) -> None:
    if file is not None and Path(file).suffix not in endings:
        raise UserError(f"{option} {file}: type {option} {Path(file).stem or 'compare'}{endings[0]}")


def _write(runs: list[Ran], out: str | None, table_file: str | None) -> list[str]:
    import csv
    import datetime
    import io

    from limner.core.store import replacing
    from limner.report.comparison import comparison_page
    from limner.report.runs import as_rows

    texts: dict[str, str] = {}
    if out is not None:
        texts[out] = comparison_page(runs, datetime.date.today().isoformat())
    if table_file is not None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(as_rows(runs))
        texts[table_file] = text.getvalue()
    for path, text in texts.items():
        with writing(path):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with replacing(Path(path)) as temporary:
                temporary.write_text(text, encoding="utf-8")
    return list(texts)


def _print(runs: list[Ran]) -> None:
    """A row a setting that differs and a row a fact, a column a run."""
    from limner.report.charts import short
    from limner.report.runs import differing, quantities

    rows = [[key, *map(_cut, values)] for key, values in differing(runs).items()]
    facts = [run.facts for run in runs]
    for name in quantities(runs):
        rows.append([name, *(short(float(f"{fact[name]:.4g}")) if name in fact else "–" for fact in facts)])
    table(rows, head=("", *(run.name for run in runs)))


def _cut(text: str) -> str:
    """What fits a column; pages and CSV have all of it."""
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"
