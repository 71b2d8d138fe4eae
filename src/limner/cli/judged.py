"""What `limner judge` says when it ends, and of a file of judgements: numbers, two tables and a sheet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.cli.show import emit, line, remark, table, writing

if TYPE_CHECKING:
    from limner.judging.results import Results
    from limner.judging.statistics import Rate
    from limner.judging.store import Judgements

MOST = 12
"""Raters that are named one by one."""


def tell(path: Path, folder: Path | None, as_json: bool) -> None:
    """Say what a file holds, and write the tables and the sheet."""
    from limner.judging.results import found
    from limner.judging.sheet import draw_sheet
    from limner.judging.store import Judgements

    judgements = Judgements(path)
    try:
        results = found(judgements)
        where = folder or path.parent
        with writing(where):
            where.mkdir(parents=True, exist_ok=True)
            sheet = draw_sheet(results, judgements, where / f"{path.stem}.png")
            written = [sheet, *_tables(results, where / path.stem)]
    finally:
        judgements.close()
    _print(results, as_json, written)


def say(judgements: Judgements, as_json: bool) -> None:
    """Say what an open file holds, and how to get more of it."""
    from limner.judging.results import found

    _print(found(judgements), as_json, [])
    remark(f"tables and a sheet of the best and the worst: limner judge --results {judgements.path}")


def _print(results: Results, as_json: bool, written: Sequence[Path]) -> None:
    from limner.judging.words import summary

    if as_json:
        emit(_plain(results) | {"written": written})
        return
    table(summary(results))
    if len(results.raters) > 1:
        line()
        apart = () if results.study.mode == "pair" else ("fakes for real", "real for fake")
        table(_raters(results), ("rater", "errors", *apart, "d′", "seconds"))
    for path in written:
        line(f"{path}")


def _plain(results: Results) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(results)


def _raters(results: Results) -> list[tuple[str, ...]]:
    from limner.judging.words import share

    pair = results.study.mode == "pair"
    rows: list[tuple[str, ...]] = [
        (r.name, share(r.errors), *(() if pair else (share(r.fooled), share(r.doubted))),
         f"{r.sensitivity:.2f}", f"{r.seconds:.1f}")
        for r in results.raters[:MOST]
    ]  # fmt: skip
    more = len(results.raters) - MOST
    if more > 0:
        rows.append((f"… and {more} more, in the table", *[""] * (len(rows[0]) - 1)))
    return rows


def _tables(results: Results, stem: Path) -> list[Path]:
    """`X-raters.csv` and `X-pictures.csv`."""
    from limner.judging.words import number

    raters = [
        (r.name, r.errors.n, r.errors.wrong, *_cells(r.errors), *_cells(r.fooled), *_cells(r.doubted),
         f"{r.sensitivity:.6g}", f"{r.seconds:.6g}", f"{r.threshold.milliseconds:.6g}" if r.threshold else "")
        for r in results.raters
    ]  # fmt: skip
    rates = [f"{name}{end}" for name in ("errors", "fooled", "doubted") for end in ("", "_low", "_high")]
    head = ("rater", "answers", "wrong", *rates, "d_prime", "seconds", "threshold_ms")
    pictures = [
        (p.number, "real" if p.real else "fake", p.source, p.judged, p.taken, number(p.share), number(p.seconds))
        for p in results.pictures
    ]
    return [
        _csv(stem.with_name(f"{stem.name}-raters.csv"), head, raters),
        _csv(
            stem.with_name(f"{stem.name}-pictures.csv"),
            ("picture", "kind", "source", "judged", "taken_for_real", "share", "seconds"),
            pictures,
        ),
    ]


def _csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        written = csv.writer(file)
        written.writerow(head)
        written.writerows(rows)
    return path


def _cells(rate: Rate) -> tuple[str, str, str]:
    from limner.judging.words import number

    return number(rate.rate), number(rate.low), number(rate.high)
