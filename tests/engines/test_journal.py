"""The journal survives what a killed process leaves, and TensorBoard reads its own file back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from limner.core.events import Finished, Preview, Progress, Scores
from limner.journal import Journal, read


def test_a_line_that_was_cut_short_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"event": "Look", "nimg": 8}\n[1]\n\xff\xfe{"eve\n{"event": "Progress", "nimg": 16, "lo')
    with Journal(tmp_path) as journal:
        assert [line["nimg"] for line in journal.history] == [8]
        journal.note(Finished(24, 1.0, "budget"))
    assert [line["nimg"] for line in read(path)] == [8, 24]


def test_progress_is_noted_once_a_second(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        for nimg in range(100):
            journal.note(Progress(nimg, 0.0, 0.0, {"generator/game": 1.0}))
    assert len(read(tmp_path / "events.jsonl")) == 1


def test_tensorboard_reads_what_was_noted(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with Journal(tmp_path) as journal:
        journal.note(Progress(64, 0.1, 1.0, {"critic/R1": 0.25}))
        journal.note(Scores(64, {"kernel distance": 0.5}, 0.5))
        journal.note(Preview(64, np.full((1, 6, 4, 1), 200, np.uint8)))
    board = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert [(p.step, p.value) for p in board.Scalars("critic/R1")] == [(64, 0.25)]
    assert [(p.step, p.value) for p in board.Scalars("kernel distance")] == [(64, 0.5)]
    (image,) = board.Images("samples")
    assert (image.step, image.width, image.height) == (64, 4, 6)
