"""Reruns of published and exact results: each proof's rows, kept so that a stopped verification goes on.

OUT/NAME.json     rows of a proof that is done, with seeds, seconds, machine and date
OUT/runs/         what proofs trained, which is gone on with
OUT/table.md      ours beside what was published; table.html is the same page for a browser
"""

from __future__ import annotations

import dataclasses
import html
import json
import platform
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

import limner
from limner.core.errors import Missing, UserError, unknown
from limner.core.store import write_text
from limner.proofs.base import Bench, Row, proofs

HEAD = ("proof", "what", "ours", "target", "published", "protocol", "seeds", "seconds")


@dataclass(frozen=True)
class Proved:
    """What came of one proof."""

    name: str
    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    quick: bool
    seconds: float
    machine: str
    date: str
    version: str = limner.__version__
    skipped: str = ""
    """Why it was not run, or not to the end: what this machine lacks."""
    failed: str = ""
    """Why it came to nothing: rows are those before that."""

    @property
    def met(self) -> bool:
        """Whether it came to an end, and no row missed its target."""
        return not self.failed and all(row.met is not False for row in self.rows)

    @property
    def why(self) -> str:
        """Why there are no rows, or not all, in words; nothing where there are all."""
        return f"failed: {self.failed}" if self.failed else f"skipped: {self.skipped}" if self.skipped else ""


def verify(names: Sequence[str], bench: Bench, out: Path) -> Iterator[Proved]:
    """Each proof in turn, all of them where none is named; one that is done in `out` is read and not rerun.

    A proof whose data are not there is skipped with the reason; one that cannot be measured, such as a training that
    gave up, has failed, and is tried again the next time. Raises UserError for an unknown name.
    """
    known = proofs()
    for name in names:
        if name not in known:
            raise unknown("proof", name, known)
    out.mkdir(parents=True, exist_ok=True)
    for name in names or known:
        kept = out / f"{name}.json"
        done = _read(kept)
        if done and not (done.skipped or done.failed) and _same(done, bench):
            yield done
            continue
        start, rows, why = time.monotonic(), list[Row](), dict[str, str]()
        try:
            rows.extend(known[name](bench))
        except UserError as error:
            why = {"skipped" if isinstance(error, Missing) else "failed": str(error)}
        done = Proved(name, tuple(rows), bench.seeds, bench.quick, round(time.monotonic() - start, 1), _machine(),
                      time.strftime("%Y-%m-%d"), **why)  # fmt: skip
        write_text(kept, json.dumps(dataclasses.asdict(done), indent=1))
        yield done


def markdown(proved: Iterable[Proved]) -> str:
    """The table, one line a row, with what is needed to repeat it below."""
    proved = list(proved)
    lines = [f"| {' | '.join(HEAD)} |", f"|{' --- |' * len(HEAD)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |" for cells in _cells(proved)]
    return "\n".join([*lines, "", *_notes(proved), ""])


def page(proved: Iterable[Proved]) -> str:
    """The table as one self-contained HTML page."""
    proved = list(proved)
    head = "".join(f"<th>{name}</th>" for name in HEAD)
    rows = ("".join(f"<td>{html.escape(cell)}</td>" for cell in cells) for cells in _cells(proved))
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in _notes(proved))
    return (
        "<!doctype html><meta charset='utf-8'><title>Limner: ours beside what was published</title><style>"
        "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem}"
        "table{border-collapse:collapse}td,th{padding:.35rem .7rem;border-bottom:1px solid #ddd;text-align:left;"
        "vertical-align:top}th{border-bottom:2px solid #888}tr:hover{background:#f6f6f6}</style>"
        f"<h1>Ours beside what was published</h1><table><tr>{head}</tr>\n{body}</table>{notes}\n"
    )


def figure(row: Row) -> str:
    """`98.2 % (97.9, 98.2, 98.6)`: the judged number, and all of them where there are several."""
    several = f" ({row.judged} of {', '.join(f'{x:.4g}' for x in row.ours)})" if len(row.ours) > 1 else ""
    return f"{row.value:.4g} {row.unit}".strip() + several


def target(row: Row) -> str:
    """`≥ 98: met`, or nothing."""
    if row.met is None:
        return ""
    bounds = [f"{sign} {bound:g}" for sign, bound in (("≥", row.at_least), ("≤", row.at_most)) if bound is not None]
    return f"{', '.join(bounds)}: {'met' if row.met else 'missed'}"


def _cells(proved: Iterable[Proved]) -> Iterator[tuple[str, ...]]:
    for one in proved:
        size = " (quick)" if one.quick else ""
        if why := one.why:
            yield one.name + size, why, *[""] * (len(HEAD) - 2)
        for row in one.rows:
            seeds = ", ".join(map(str, one.seeds[: len(row.ours)])) if len(row.ours) > 1 else ""
            yield (one.name + size, row.what, figure(row), target(row), row.published, row.protocol, seeds,
                   f"{one.seconds:.0f}")  # fmt: skip


def _notes(proved: list[Proved]) -> list[str]:
    made = sorted({f"{one.machine}; {one.date}; Limner {one.version}" for one in proved})
    missed = ", ".join(one.name for one in proved if not one.met)
    return [f"Made on: {' · '.join(made)}.", f"Targets missed in: {missed}." if missed else "No target missed."]


def _read(path: Path) -> Proved | None:
    try:
        said = json.loads(path.read_text("utf-8"))
        rows = tuple(Row(**row | {"ours": tuple(row["ours"])}) for row in said.pop("rows"))
        return Proved(**said | {"rows": rows, "seeds": tuple(said["seeds"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _same(done: Proved, bench: Bench) -> bool:
    return (done.seeds, done.quick, done.version) == (bench.seeds, bench.quick, limner.__version__)


def _machine() -> str:
    return f"{torch.get_num_threads()} threads {platform.machine()}, torch {torch.__version__}"
