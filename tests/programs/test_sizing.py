"""A size by the time: what train and check say, and that what was asked for is never changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limner.cli import sizing
from limner.cli.begin import Wish, balance_of, reopen
from limner.cli.show import progress
from limner.cli.sizing import roughly
from limner.cli.trial import Trial, facts_at
from limner.core import threads
from limner.core.pixels import save_png
from limner.data.survey import survey
from limner.recipes.base import Facts
from limner.recipes.recognisable import COLOUR, images_needed
from limner.recipes.sizes import TRAINING

Limner = Callable[..., Any]
TINY = ["--recipe", "plain", "-o", "generator.width=4", "-o", "critic.width=4", "--batch", "8", "--device", "cpu"]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve of 80×100 in colour."""
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for k in range(12):
        save_png(rng.integers(0, 256, (80, 100, 3), dtype=np.uint8), folder / f"{k}.png")
    return folder


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
    """Images a second by the height of a picture; what is asked for is changed in place."""
    speeds = {32: 1000.0, 64: 100.0, 80: 10.0}

    def planted(facts: Facts, *_: object) -> Trial:
        return Trial(facts.image, speeds[facts.image.height], 10**8, "cpu")

    monkeypatch.setattr(sizing, "attempt_at", planted)
    return speeds


def trained_size(run: Path) -> tuple[int, int]:
    return tuple(json.loads((run / "run.json").read_text())["size"])


def test_the_largest_size_that_the_time_allows_and_what_the_next_would_need(
    limner: Limner, photographs: Path, tmp_path: Path, machine: dict[int, float]
) -> None:
    minutes = COLOUR[64] / (100 * TRAINING) / 60
    machine |= {32: 1e6, 64: 1e5, 80: 1e3}
    said = limner("train", photographs, "--out", tmp_path / "run", "--for", "2s", *TINY)
    assert said.code == 0 and trained_size(tmp_path / "run") == (64, 64)
    (line,) = [text for text in said.err.splitlines() if text.startswith("size ")]
    assert "size 64×64: recognisable after about 10 s here (100k images/s); 80×100 would need about 1 min" in line
    assert roughly(60 * minutes) == "6 min"


def test_too_little_time_for_any_size_is_said(
    limner: Limner, photographs: Path, tmp_path: Path, machine: dict[int, float]
) -> None:
    said = limner("train", photographs, "--out", tmp_path / "run", "--for", "1s", *TINY)
    assert trained_size(tmp_path / "run") == (32, 32)
    assert (
        "size 32×32, the smallest: recognisable after about 30 s here (1k images/s), which is more than 1 s" in said.err
    )


@pytest.mark.parametrize("asked", [["--for", "1s", "--size", "16"], ["--images", "16"]])
def test_sizes_that_were_asked_for_and_budgets_of_images_are_not_touched(
    limner: Limner, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    monkeypatch.delattr(sizing, "attempt_at")
    said = limner("train", photographs, "--out", tmp_path / "run", *asked, *TINY)
    assert said.code == 0 and "size " not in said.err
    assert trained_size(tmp_path / "run") == ((16, 16) if "--size" in asked else (80, 100))
    again = limner("train", "--out", tmp_path / "run", "--resume", "--for", "2s", "--json")
    assert again.code == 0, "a run that goes on keeps its size"


def test_where_there_is_nothing_to_choose_nothing_is_tried(
    limner: Limner, blobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(sizing, "attempt_at")
    said = limner("train", blobs, "--out", tmp_path / "run", "--for", "1s", *TINY)
    assert said.code == 0 and trained_size(tmp_path / "run") == (8, 8)


def test_check_tells_minutes_for_each_size(limner: Limner, photographs: Path, machine: dict[int, float]) -> None:
    said = limner("check", photographs, "--device", "cpu")
    rows = {words[0]: words[1:] for text in said.out.splitlines() if (words := text.split())}
    assert rows["32×32"] == ["1k", "20,000", "30", "s"]
    assert rows["64×64"] == ["100", "30,000", "6", "min"]
    needed = f"{images_needed(facts_at((80, 100), survey(str(photographs)), None, 'cpu', 0).image):,}"
    assert rows["80×100"][:2] == ["10", needed]
    assert "in its 10 min" in said.out and rows["make"] == ["64×64", "colour", "pictures"]
    machine[64] = 1000
    found = limner("check", photographs, "--device", "cpu", "--json").json
    assert [row["images_per_second"] for row in found["recognisable"]] == [1000, 1000, 10]
    assert found["recognisable"][1]["seconds"] == pytest.approx(COLOUR[64] / 1000 / TRAINING)
    assert found["train"]["image"] == {"channels": 3, "height": 64, "width": 64}
    one = limner("check", photographs, "--device", "cpu", "--size", "32", "--json").json
    assert [row["image"]["height"] for row in one["recognisable"]] == [32]


@pytest.mark.parametrize("labels", ["classes", "numbers", "none"])
def test_a_trial_is_a_real_training_with_the_labels_of_the_data(labels: str) -> None:
    from limner.cli.trial import attempt_at
    from limner.core.pixels import Image
    from limner.recipes.base import plan

    facts = Facts(Image(3, 8, 8), 1000, 0 if labels == "none" else 4, "cpu")
    small = plan("default", facts, ("generator.width=4", "critic.width=4", "batch=4"))
    tried = attempt_at(facts, small, labels == "numbers", 0.01)
    assert tried.images_per_second > 0 and tried.speed.image == facts.image


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3, "10 s"), (44, "50 s"), (150, "3 min"), (1000, "17 min"), (4000, "1 h 10 min"), (130_000, "37 h")],
)
def test_times_are_told_roughly(seconds: float, words: str) -> None:
    assert roughly(seconds) == words


def test_threads_are_kept_by_runs_of_images_and_by_those_who_ask(
    limner: Limner, blobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept(name: str, *words: str) -> int:
        assert limner("train", blobs, "--out", tmp_path / name, *words, *TINY).code == 0
        return json.loads((tmp_path / name / "run.json").read_text())["threads"]

    assert kept("images", "--images", "16") == torch.get_num_threads() == 1
    assert kept("time", "--for", "1s") == 0
    assert kept("asked", "--for", "1s", "--threads", "1") == 1

    again, _ = reopen(Wish(None, tmp_path / "time"))
    assert balance_of(again, "cpu", None) is None, "OMP_NUM_THREADS is set in tests"
    monkeypatch.setattr(threads, "told", lambda: False)
    monkeypatch.setattr(threads, "most", lambda: 4)
    assert (free := balance_of(again, "cpu", None)) and (free.most, free.held) == (4, False)
    held, _ = reopen(Wish(None, tmp_path / "images"))
    assert (same := balance_of(held, "cpu", None)) and (same.count, same.held) == (1, True)
    assert balance_of(again, "cuda", None) is None


def test_progress_tells_speed_time_left_and_the_newest_score(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from limner.cli.train import Screen
    from limner.core.events import Progress, Scores

    now = [0.0]
    monkeypatch.setattr("limner.cli.show.time.monotonic", lambda: now[0])
    with progress("training") as tick:
        screen = Screen(tick, as_json=False)
        for k in range(4):
            now[0] = 20.0 * k
            screen.show(Progress(2000 * k, 0.1 * k, now[0]))
            if k == 1:
                screen.show(Scores(2000, {}, 0.0123456))
    assert capsys.readouterr().err.splitlines() == [
        "training: 10 %, 2k images, 100 images/s, 3 min left",
        "training: 20 %, 4k images, 100 images/s, 2 min 40 s left, held-out score 0.0123",
        "training: 30 %, 6k images, 100 images/s, 2 min 20 s left, held-out score 0.0123",
    ]
