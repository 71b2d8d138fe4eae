"""What `limner judge` says when it ends, and of a file of judgements: numbers, two tables and a sheet."""

from __future__ import annotations

import csv
import math
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
    if as_json:
        emit(_plain(results) | {"written": written})
        return
    table(_summary(results))
    if len(results.raters) > 1:
        line()
        apart = () if results.study.mode == "pair" else ("fakes for real", "real for fake")
        table(_raters(results), ("rater", "errors", *apart, "d′", "seconds"))
    for path in written:
        line(f"{path}")


def _plain(results: Results) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(results)


def _summary(results: Results) -> list[tuple[str, str, str]]:
    study, pair = results.study, results.study.mode == "pair"
    rows: list[tuple[str, str, str]] = []
    if not study.adaptive:
        rows.append(("error rate", *_told(results.errors)))
        rows[0] = (*rows[0][:2], f"{rows[0][2]}; guessing is 50 %")
    if not pair and not study.adaptive:
        rows.append(("fakes taken for real", *_told(results.fooled)))
        rows.append(("real taken for fakes", *_told(results.doubted)))
    if results.over_raters and not study.adaptive:
        low, high = results.over_raters
        rows.append(("over raters", f"{100 * low:.1f} – {100 * high:.1f} %", "95 % interval for raters like these"))
    rows += _exposure(results)
    if results.agreement:
        a = results.agreement
        kappa = a.fleiss if a.cohen is None else a.cohen
        name = "Fleiss’ κ" if a.cohen is None else "Cohen’s κ"
        told = f"{name} {_number(kappa)}, α {_number(a.krippendorff)}"
        equal = f"{100 * a.share:.0f} % of pairs of answers are equal"
        rows.append(("agreement", told, f"{a.raters} raters, {a.items} items; {equal}"))
    return rows


def _exposure(results: Results) -> list[tuple[str, str, str]]:
    if not results.study.adaptive:
        return []
    known = [r.threshold for r in results.raters if r.threshold]
    if not known or results.threshold is None:
        return [("threshold exposure", "not yet", "it takes 20 answers of a rater")]
    if len(known) > 1:
        told = f"geometric mean of {len(known)} raters, each right in 79.4 % there"
        return [("threshold exposure", f"{results.threshold:.0f} ms", told)]
    told = f"95 % interval {known[0].low:.0f} – {known[0].high:.0f} ms; right in 79.4 % there"
    beyond = {"above": "or longer: even the longest exposure was too short", "below": "or shorter", "": told}
    return [("threshold exposure", f"{results.threshold:.0f} ms", beyond[known[0].beyond])]


def _raters(results: Results) -> list[tuple[str, ...]]:
    pair = results.study.mode == "pair"
    rows: list[tuple[str, ...]] = [
        (r.name, _share(r.errors), *(() if pair else (_share(r.fooled), _share(r.doubted))),
         f"{r.sensitivity:.2f}", f"{r.seconds:.1f}")
        for r in results.raters[:MOST]
    ]  # fmt: skip
    more = len(results.raters) - MOST
    if more > 0:
        rows.append((f"… and {more} more, in the table", *[""] * (len(rows[0]) - 1)))
    return rows


def _tables(results: Results, stem: Path) -> list[Path]:
    """`X-raters.csv` and `X-pictures.csv`."""
    raters = [
        (r.name, r.errors.n, r.errors.wrong, *_cells(r.errors), *_cells(r.fooled), *_cells(r.doubted),
         f"{r.sensitivity:.6g}", f"{r.seconds:.6g}", f"{r.threshold.milliseconds:.6g}" if r.threshold else "")
        for r in results.raters
    ]  # fmt: skip
    rates = [f"{name}{end}" for name in ("errors", "fooled", "doubted") for end in ("", "_low", "_high")]
    head = ("rater", "answers", "wrong", *rates, "d_prime", "seconds", "threshold_ms")
    pictures = [
        (p.number, "real" if p.real else "fake", p.source, p.judged, p.taken, _number(p.share), _number(p.seconds))
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


def _told(rate: Rate) -> tuple[str, str]:
    told = f"95 % interval {100 * rate.low:.1f} – {100 * rate.high:.1f} %, {rate.wrong} of {rate.n} answers"
    return _share(rate), told


def _share(rate: Rate) -> str:
    return f"{100 * rate.rate:.1f} %" if rate.n else "–"


def _cells(rate: Rate) -> tuple[str, str, str]:
    return _number(rate.rate), _number(rate.low), _number(rate.high)


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.3g}"
