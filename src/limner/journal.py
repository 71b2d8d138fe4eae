"""What happened in a run, a JSON line each, and the same numbers for TensorBoard where it is installed."""

from __future__ import annotations

import dataclasses
import json
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limner.core.events import Event, Glance, Preview, Progress, Scores

EVERY = 1.0
"""Seconds between two lines of progress."""


class Journal:
    """events.jsonl of a run folder, appended to; `history` holds the numbers of earlier sessions too."""

    def __init__(self, folder: Path) -> None:
        path = folder / "events.jsonl"
        self.history = read(path)
        cut_short = path.exists() and not (b"\n" + path.read_bytes()).endswith(b"\n")
        self._file = path.open("a", encoding="utf-8")
        self._file.write("\n" if cut_short else "")
        self._last = 0.0
        self._board = _tensorboard(folder)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()

    def note(self, event: Event) -> None:
        """Write an event down; of progress, one a second, and of previews only the pictures."""
        if isinstance(event, Glance):
            return
        if isinstance(event, Preview):
            if self._board:
                self._board.add_image(event.name, event.images[0], event.nimg)
            return
        if isinstance(event, Progress):
            if time.monotonic() - self._last < EVERY or not event.losses:
                return
            self._last = time.monotonic()
        line = {"event": type(event).__name__} | {k: _plain(v) for k, v in dataclasses.asdict(event).items()}
        self.history.append(line)
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        numbers = event.losses if isinstance(event, Progress) else event.values if isinstance(event, Scores) else {}
        for name, number in numbers.items():
            if self._board:
                self._board.add_scalar(name, number, event.nimg)


class Board:
    """One TensorBoard file, written at once: the usual writer's thread hides a full disk and dies of it aloud."""

    def __init__(self, folder: Path) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.mkdir(exist_ok=True)
        self._file = (folder / f"events.out.tfevents.{time.time_ns()}").open("wb")
        self._records: Any = RecordWriter(self._file)
        self._write(file_version="brain.Event:2")

    def add_scalar(self, name: str, number: float, nimg: int) -> None:
        """A point of a curve."""
        from torch.utils.tensorboard.summary import scalar

        self._write(step=nimg, summary=scalar(name, number))

    def add_image(self, name: str, picture: NDArray[np.uint8], nimg: int) -> None:
        """A picture (h, w, c)."""
        from torch.utils.tensorboard.summary import image

        self._write(step=nimg, summary=image(name, picture, dataformats="HWC"))

    def close(self) -> None:
        """No more will be written."""
        self._file.close()

    def _write(self, **what: Any) -> None:
        from tensorboard.compat.proto import event_pb2

        record: Any = event_pb2.Event  # pyright: ignore[reportAttributeAccessIssue]
        self._records.write(record(wall_time=time.time(), **what).SerializeToString())
        self._file.flush()


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal; what was cut short or damaged is left out."""
    lines: list[dict[str, Any]] = []
    for text in path.read_text("utf-8", "replace").splitlines() if path.exists() else []:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and "event" in line:
            lines.append(line)
    return lines


def looks(lines: list[dict[str, Any]]) -> list[dict[str, float]]:
    """The history of looks that a journal tells of: images seen, share of the run, seconds, score, its standard error
    and what was measured. What a roll-back undid is left out.
    """
    history: list[dict[str, float]] = []
    scores: dict[str, Any] = {}
    for line in lines:
        if line["event"] == "Scores":
            scores = line
        if line["event"] == "Look" and scores.get("nimg") == line["nimg"]:
            while history and history[-1]["nimg"] >= line["nimg"]:
                history.pop()
            told = {name: line[name] for name in ("nimg", "share", "seconds")}
            error = {"error": scores["error"]} if scores.get("error") else {}
            history.append(told | {"score": scores["score"]} | error | scores["values"])
    return history


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _tensorboard(folder: Path) -> Board | None:
    return Board(folder / "tensorboard") if find_spec("tensorboard") else None
