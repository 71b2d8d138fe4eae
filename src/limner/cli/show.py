"""What the verbs print: tables and JSON on stdout, progress and remarks on stderr.

On a terminal progress is a bar; elsewhere (a log, CI) it is a plain line every ten seconds.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import click

from limner.cli.values import amount, duration
from limner.core.errors import UserError

LINE_EVERY = 10.0


@runtime_checkable
class Tick(Protocol):
    """`tick(share, images)`: the share of the work done, 0 to 1, the images done, and what to say beside them."""

    def __call__(self, share: float, images: float, also: str = "") -> None: ...


def line(text: str = "") -> None:
    """A line of the answer, on stdout."""
    click.echo(text)


def remark(text: str) -> None:
    """A line beside the answer, on stderr."""
    click.echo(text, err=True)


def emit(value: Any) -> None:
    """One JSON value on one line of stdout; numbers that JSON has no word for become null."""
    click.echo(json.dumps(_plain(value), ensure_ascii=False))


def table(rows: Iterable[Sequence[str]], head: Sequence[str] = ()) -> None:
    """Columns under their heads, as wide as they need; the last one wraps on a terminal."""
    from rich.console import Console
    from rich.table import Table

    drawn = Table(*head, show_header=bool(head), box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        drawn.add_row(*(_unstyled(cell) for cell in row))
    console = Console(file=sys.stdout, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = 10_000
    with console.capture() as captured:
        console.print(drawn)
    click.echo("\n".join(text.rstrip() for text in captured.get().splitlines()))


@contextmanager
def progress(title: str) -> Generator[Tick]:
    """A bar on stderr with images a second and time left; plain lines where stderr is no terminal."""
    from rich.console import Console

    console = Console(file=sys.stderr)
    with _bar(title, console) if console.is_terminal else _lines(title) as tick:
        yield tick


def check_places(*places: str | Path | None) -> None:
    """Raises UserError, before any work, for a file or a folder (a name without ending) that cannot be written."""
    for place in filter(None, places):
        path = Path(place)
        folder = not path.suffix
        if path.is_dir() and not folder:
            raise UserError(f"{place}: is a folder, and one file is written; give a name that is free")
        there = next(p for p in (path, *path.absolute().parents) if p.exists())
        if not there.is_dir() and (folder or there != path):
            raise UserError(f"{place}: {there} is a file, and a folder is needed there; give a name that is free")
        if not os.access(there, os.W_OK):
            raise UserError(f"{place}: {there} may not be written to; give another place")


@contextmanager
def writing(path: str | Path) -> Generator[None]:
    """Turns the machine's refusal to write into one line that names the path."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        where = error.filename or path
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"{where}: {reason}; free some space or give another --out") from error


class Meter:
    """Images a second and time left, from the first tick on: a resumed run does not count what it found."""

    def __init__(self) -> None:
        self._first: tuple[float, float, float] | None = None

    def read(self, share: float, images: float) -> str:
        """`1.2k images/s, 3 min left`."""
        now = time.monotonic()
        self._first = self._first or (now, share, images)
        spent, done, made = (a - b for a, b in zip((now, share, images), self._first, strict=True))
        if spent <= 0 or done <= 0:
            return ""
        rate = f"{amount(made / spent)} images/s, " if made else ""
        return f"{rate}{duration(spent * (1 - share) / done)} left"


@contextmanager
def _bar(title: str, console: Any) -> Generator[Tick]:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    meter = Meter()
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[speed]}")
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=1.0, speed="")

        def tick(share: float, images: float, also: str = "") -> None:
            bar.update(task, completed=share, speed=_joined(meter.read(share, images), also))

        yield tick


@contextmanager
def _lines(title: str) -> Generator[Tick]:
    meter, last = Meter(), time.monotonic()

    def tick(share: float, images: float, also: str = "") -> None:
        nonlocal last
        speed = meter.read(share, images)
        if time.monotonic() - last >= LINE_EVERY:
            last = time.monotonic()
            remark(f"{title}: " + _joined(f"{100 * share:.0f} %", f"{amount(images)} images", speed, also))

    yield tick


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _unstyled(text: str) -> Any:
    from rich.text import Text

    return Text(text)


def _plain(value: Any) -> Any:
    """JSON of dataclasses, paths, arrays' numbers and tuples."""
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        value = {name: getattr(value, name) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)
