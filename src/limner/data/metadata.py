"""metadata.csv and metadata.jsonl: labels by file name, as Hugging Face's ImageFolder writes them.

A column `label` names classes; without one, columns of numbers (`smile`, `age`) are told together.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from limner.core.errors import UserError
from limner.data.items import Entry

FILES = ("metadata.csv", "metadata.jsonl")
FILE_COLUMNS = ("file_name", "filename", "file", "image", "path")
LABEL_COLUMNS = ("label", "labels", "class", "class_name", "category", "target")


@dataclass(frozen=True)
class Metadata:
    """Label of each listed picture by its path in the source; None where the row has none."""

    labels: dict[str, str | None]
    has_labels: bool
    notes: tuple[str, ...] = ()
    numbers: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    """Numbers of each listed picture by column, where no column names classes."""


def is_metadata(path: str) -> bool:
    """Whether a file of this path is read as metadata."""
    return path.rpartition("/")[2].lower() in FILES


def read_metadata(entry: Entry, path: str) -> Metadata:
    """The rows of one file that lies at `path`; names in it are relative to its folder."""
    folder = path.rpartition("/")[0]
    rows = _rows(entry)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    file_column = _first(FILE_COLUMNS, columns)
    label_column = _first(LABEL_COLUMNS, columns)
    if rows and file_column is None:
        raise UserError(f"{entry.path}: no column file_name; it has {', '.join(columns)}")
    named = [(str(row[file_column]), row) for row in rows if file_column and row.get(file_column)]
    labels = {f"{folder}/{file}".lstrip("/"): _label(row.get(label_column or "")) for file, row in named}
    if label_column or not rows:
        return Metadata(labels, label_column is not None)
    if numeric := [c for c in columns if c != file_column and _is_numeric(row.get(c) for row in rows)]:
        values = ({c: number for c in numeric if (number := _number(row.get(c))) is not None} for _, row in named)
        return Metadata(labels, False, (), dict(zip(labels, values, strict=True)))
    note = f"{entry.path} has no column label (it has {', '.join(columns)}), so it gives no labels"
    return Metadata(labels, False, (note,))


def _rows(entry: Entry) -> list[dict[str, Any]]:
    with entry.open() as file:
        data = file.read()
    try:
        text = data.decode("utf-8-sig")
        if entry.path.lower().endswith(".csv"):
            rows = csv.DictReader(io.StringIO(text, newline=""))
            return [{key: value for key, value in row.items() if key is not None} for row in rows]
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (UnicodeDecodeError, csv.Error, json.JSONDecodeError) as error:
        raise UserError(f"{entry.path}: cannot be read ({error}); write it as UTF-8, or move it away") from None
    if not all(isinstance(row, dict) for row in rows):
        raise UserError(f'{entry.path}: write one object a line, as {{"file_name": "a.png", "label": "cat"}}')
    return rows


def _first(known: tuple[str, ...], columns: list[str]) -> str | None:
    return next((name for name in known if name in columns), None)


def _is_numeric(values: Iterable[object]) -> bool:
    """Whether a column holds numbers, at least two different ones, and nothing else but gaps."""
    given = [value for value in values if value is not None and value != ""]
    numbers = [_number(value) for value in given]
    return None not in numbers and len(set(numbers)) > 1


def _number(value: object) -> float | None:
    """A finite number, or None."""
    try:
        number = float(value) if isinstance(value, (str, int, float)) else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _label(value: object) -> str | None:
    return None if value is None or value == "" else str(value)
