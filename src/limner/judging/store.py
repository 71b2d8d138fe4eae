"""Judgements on disk: one SQLite file with the study, its pictures, its raters and every answer.

An answer is on disk before the rater sees the next picture, so whatever ends the program loses none.
"""

from __future__ import annotations

import io
import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from limner.core.errors import UserError
from limner.core.pixels import Bytes, picture
from limner.judging.study import Study

MARK = 0x4C4D4A31
"""SQLite's application id of such a file: LMJ1."""
TABLES = """
CREATE TABLE study (settings TEXT NOT NULL, secret TEXT NOT NULL);
CREATE TABLE pictures (id INTEGER PRIMARY KEY, real INTEGER NOT NULL, source TEXT NOT NULL, png BLOB NOT NULL);
CREATE TABLE raters (id INTEGER PRIMARY KEY, name TEXT NOT NULL, key TEXT NOT NULL UNIQUE, joined REAL NOT NULL);
CREATE TABLE answers (
    rater INTEGER NOT NULL REFERENCES raters, number INTEGER NOT NULL, item INTEGER NOT NULL, said INTEGER NOT NULL,
    right INTEGER NOT NULL, exposure_ms REAL, shown_ms REAL, seconds REAL NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (rater, number)
);
"""


@dataclass(frozen=True)
class Rater:
    """One who judges; `key` is what the browser remembers."""

    id: int
    name: str
    key: str


@dataclass(frozen=True)
class Answer:
    """One judgement.

    rater: the rater's id
    number: the trial's place in the rater's order
    item: what was judged
    said: 1 for real and 0 for fake; of a pair, the place of what was chosen as real
    right: whether that is the truth
    exposure_ms: how long it was to be shown; None without a limit
    shown_ms: how long the browser says it was shown; None without a limit
    seconds: from the picture to the answer, by the browser
    """

    rater: int
    number: int
    item: int
    said: int
    right: bool
    exposure_ms: float | None
    shown_ms: float | None
    seconds: float


class Judgements:
    """An open file of judgements. Threads may share it."""

    def __init__(self, path: Path) -> None:
        """Open a file that exists. Raises UserError when it is none of judgements."""
        if not path.is_file():
            raise UserError(f"{path}: there is no such file; limner judge MODEL DATA --out {path} begins one")
        self.path, self._lock = path, threading.Lock()
        self._file = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            if self._file.execute("PRAGMA application_id").fetchone()[0] != MARK:
                raise sqlite3.DatabaseError
            settings, self.secret = self._file.execute("SELECT settings, secret FROM study").fetchone()
            self.study = Study(**json.loads(settings))
        except (sqlite3.DatabaseError, TypeError, ValueError):
            self._file.close()
            raise UserError(f"{path}: this is no file of judgements; give one that limner judge wrote") from None

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def pictures(self) -> list[tuple[bool, str, Bytes]]:
        """(is it real, where it is from, uint8 (h, w, c)) of each, by number."""
        rows = self._all("SELECT real, source, png FROM pictures ORDER BY id")
        return [(bool(real), source, _decoded(png)) for real, source, png in rows]

    def sources(self) -> list[tuple[bool, str]]:
        """(is it real, where it is from) of each, by number."""
        return [(bool(real), source) for real, source in self._all("SELECT real, source FROM pictures ORDER BY id")]

    def join(self, name: str) -> Rater:
        """A new rater."""
        key = secrets.token_hex(16)
        self._all("INSERT INTO raters (name, key, joined) VALUES (?, ?, ?)", name, key, time.time())
        found = self.rater(key)
        assert found is not None
        return found

    def rater(self, key: str) -> Rater | None:
        """Who has this key."""
        rows = self._all("SELECT id, name, key FROM raters WHERE key = ?", key)
        return Rater(*rows[0]) if rows else None

    def raters(self) -> list[Rater]:
        """All, in the order in which they came."""
        return [Rater(*row) for row in self._all("SELECT id, name, key FROM raters ORDER BY id")]

    def answers(self, rater: int | None = None) -> list[Answer]:
        """Every answer, or one rater's, in order."""
        fields = ", ".join(Answer.__dataclass_fields__)
        where, given = ("", ()) if rater is None else ("WHERE rater = ?", (rater,))
        rows = self._all(f"SELECT {fields} FROM answers {where} ORDER BY rater, number", *given)
        return [Answer(r, n, i, s, bool(right), *times) for r, n, i, s, right, *times in rows]

    def counts(self) -> tuple[int, int]:
        """(wrong answers, answers) of all raters."""
        wrong, n = self._all("SELECT COALESCE(SUM(1 - right), 0), COUNT(*) FROM answers")[0]
        return int(wrong), int(n)

    def add(self, answer: Answer) -> None:
        """Keep an answer; a second one to the same question changes nothing."""
        values = [*asdict(answer).values(), time.time()]
        self._all(f"INSERT OR IGNORE INTO answers VALUES ({', '.join('?' * len(values))})", *values)

    def _all(self, command: str, *given: object) -> list[tuple]:  # pyright: ignore[reportMissingTypeArgument]
        with self._lock:
            return self._file.execute(command, given).fetchall()


def create(path: Path, study: Study, real: Bytes, fake: Bytes, sources: Sequence[str]) -> Judgements:
    """Write a file of judgements, whole or not at all, with the pictures (n, h, w, c) and where each is from."""
    temporary = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.unlink(missing_ok=True)
    rows = [(k, int(k < len(real)), sources[k], _encoded(p)) for k, p in enumerate([*real, *fake])]
    file = sqlite3.connect(temporary)
    try:
        file.executescript(f"PRAGMA application_id = {MARK}; BEGIN; {TABLES}")
        file.execute("INSERT INTO study VALUES (?, ?)", (json.dumps(asdict(study)), secrets.token_hex(12)))
        file.executemany("INSERT INTO pictures VALUES (?, ?, ?, ?)", rows)
        file.commit()
        file.close()
        temporary.replace(path)
    finally:
        file.close()
        temporary.unlink(missing_ok=True)
    return Judgements(path)


def _encoded(pixels: Bytes) -> bytes:
    stream = io.BytesIO()
    picture(pixels).save(stream, "PNG")
    return stream.getvalue()


def _decoded(png: bytes) -> Bytes:
    from PIL import Image as Pillow

    with Pillow.open(io.BytesIO(png)) as opened:
        pixels = np.asarray(opened)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels
