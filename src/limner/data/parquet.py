"""Parquet as Hugging Face writes it: a column of `{bytes, path}` pictures and one of labels.

Pictures are read a row group at a time, so a file larger than memory is no trouble. pyarrow is imported only here.
"""

from __future__ import annotations

import io
import json
import re
import threading
import weakref
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limner.core.errors import UserError
from limner.data.items import Collection, Entry, split_name
from limner.data.labels import numbered

IMAGE_COLUMNS = ("image", "img", "images", "picture", "photo", "jpg", "png", "bytes")
LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target", "category", "coarse_label")
SHARD = re.compile(r"^(?P<name>.+?)-\d+-of-\d+$")


class Parquet:
    """Parquet files; `train-00000-of-00002.parquet` and `train/0000.parquet` are of the split `train`."""

    def __init__(self, source: str, entries: list[Entry]) -> None:
        self.source = source
        self.tables: dict[str, list[_Table]] = {}
        for entry in entries:
            self.tables.setdefault(_split(entry.path), []).append(_Table(entry))

    @property
    def splits(self) -> tuple[str, ...]:
        """From the files' names; none for a single file whose name is not a split's."""
        return () if set(self.tables) == {""} else tuple(sorted(self.tables))

    def read(self, split: str) -> Collection:
        """The split's pictures, still encoded, and its labels."""
        tables = self.tables[split]
        pictures = tuple(entry for table in tables for entry in table.pictures())
        labels, names = self._labels
        if split not in labels:
            return Collection(pictures)
        return Collection(pictures, labels[split], names)

    @cached_property
    def _labels(self) -> tuple[dict[str, NDArray[np.int64]], tuple[str, ...]]:
        named = next((table.names for tables in self.tables.values() for table in tables if table.names), ())
        given = {
            split: np.concatenate([table.labels() for table in tables])
            for split, tables in self.tables.items()
            if all(table.label_column for table in tables)
        }
        labels, names = numbered(given, self.source)
        return labels, named if named and len(names) <= len(named) else names


class _Table:
    """One file: which columns matter, and its rows."""

    def __init__(self, entry: Entry) -> None:
        try:
            import pyarrow
            import pyarrow.parquet as pq
        except ImportError:
            raise UserError(f"{entry.path}: parquet needs pyarrow; type pip install 'limner[hub]'") from None
        self.entry = entry
        stream = entry.open()
        weakref.finalize(self, stream.close)
        try:
            self.file = pq.ParquetFile(stream)
        except (pyarrow.ArrowException, OSError) as error:
            raise UserError(f"{entry.path}: a broken parquet file ({_line(error)}); download it again") from None
        self.schema = self.file.schema_arrow
        features = _features(self.schema)
        self.image_column = self._image_column(features)
        self.label_column = next((name for name in self._label_columns(features)), None)
        self.names = tuple(features.get(self.label_column or "", {}).get("names", ()))
        self.lock = threading.Lock()
        self.group = lru_cache(maxsize=2)(self._group)

    def labels(self) -> NDArray[Any]:
        """The label column; -1 for null."""
        values = self.file.read([self.label_column]).column(0).to_pylist()
        if any(isinstance(value, str) for value in values):
            return np.array(["" if value is None else str(value) for value in values])
        return np.array([-1 if value is None else value for value in values])

    def pictures(self) -> list[Entry]:
        """One entry a row, opened when asked for."""
        groups = [self.file.metadata.row_group(g).num_rows for g in range(self.file.num_row_groups)]
        places = [(g, i) for g, rows in enumerate(groups) for i in range(rows)]
        return [
            Entry(f"{self.entry.path} row {row}", -1, partial(self._open, *place)) for row, place in enumerate(places)
        ]

    def _open(self, group: int, index: int) -> io.BytesIO:
        with self.lock:
            value = self.group(group)[index].as_py()
        data = value.get("bytes") if isinstance(value, dict) else value
        if data is None:
            raise ValueError("the table holds only its path; embed the pictures before writing parquet")
        return io.BytesIO(data)

    def _group(self, group: int) -> Any:
        return self.file.read_row_group(group, [self.image_column]).column(0)

    def _image_column(self, features: dict[str, Any]) -> str:
        declared = [name for name, feature in features.items() if feature.get("_type") == "Image"]
        present = [name for name in IMAGE_COLUMNS if name in self.schema.names]
        plain = [name for name in present if _holds_bytes(self.schema.field(name).type)]
        if not (declared or plain):
            raise UserError(f"{self.entry.path}: no column of pictures; its columns are {', '.join(self.schema.names)}")
        return (declared or plain)[0]

    def _label_columns(self, features: dict[str, Any]) -> list[str]:
        declared = [name for name, feature in features.items() if feature.get("_type") == "ClassLabel"]
        return declared + [name for name in LABEL_COLUMNS if name in self.schema.names]


def _features(schema: Any) -> dict[str, Any]:
    """What Hugging Face's `datasets` wrote about the columns."""
    about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = about.get("info", {}).get("features", {})
    return {name: feature for name, feature in features.items() if isinstance(feature, dict)}


def _holds_bytes(type_: Any) -> bool:
    return "binary" in str(type_)


def _split(path: str) -> str:
    """`data/train-00000-of-00001.parquet` → train, `plain/train/0000.parquet` → train, `mine.parquet` → ``."""
    folders, _, file = path.rpartition("/")
    stem = file.removesuffix(".parquet")
    shard = SHARD.match(stem)
    if shard:
        return split_name(shard["name"])
    for word in (stem, folders.rpartition("/")[2]):
        if split_name(word) in ("train", "test", "val"):
            return split_name(word)
    return ""


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
