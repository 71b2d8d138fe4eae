"""Studies that can be stopped: each finished training is a line of a file, and none that is there is done again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def read(rows: Path) -> list[Row]:
    """What was done so far."""
    return [json.loads(line) for line in rows.read_text("utf-8").splitlines()] if rows.exists() else []


def work(rows: Path, keys: tuple[str, ...], tasks: Iterable[tuple[Any, ...]], do: Callable[..., Row]) -> Iterator[Row]:
    """Do the tasks that are missing, and append each line at once; `keys` are the fields that hold a row's task."""
    there = {tuple(row[key] for key in keys) for row in read(rows)}
    for task in tasks:
        if task not in there:
            row = do(*task)
            with rows.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            yield row
