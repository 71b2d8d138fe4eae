"""How a run stands, on the command line: until flat, trend and outlook, and a search for settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from limner.core.pace import Pace

QUICK = ("--recipe", "plain", "--device", "cpu", "-o", "generator.width=16", "-o", "critic.width=16", "-o", "batch=8")


@pytest.fixture(autouse=True)
def free_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks cost nothing, so that short runs have them all."""
    monkeypatch.setattr(Pace, "took", lambda *_: 0.0)


def test_until_flat_stops_and_check_says_how_it_stands(limner: Any, blobs: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    still = ("-o", "players.generator.optimizer.lr=0.0", "-o", "rescues=0", "--images", "2000", "--until", "flat")
    said = limner("train", blobs, "--out", out, *QUICK, *still)
    assert said.code == 0 and "until 2,000 images or the held-out score is flat" in said.err
    assert "alarm: held-out score" in said.err and "flat since" in said.err
    assert "trend    held-out score" in said.out and "outlook  another 10 min" in said.out
    found = limner("check", out, "--json").json
    assert found["trend"]["kind"] == "flat" and found["trend"]["nimg"] < 1000
    assert found["forecast"]["low"] <= found["forecast"]["score"] <= found["forecast"]["high"]
    words = limner("check", out).out
    assert "flat since" in words and "alarm    " in words and "early stop" in words
    assert (out / "curve.png").stat().st_size > 10_000


def test_until_flat_can_be_asked_for_on_resuming(limner: Any, blobs: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert limner("train", blobs, "--out", out, *QUICK, "--images", "64").code == 0
    assert limner("train", "--out", out, "--resume", "--until", "flat", "--device", "cpu").code == 0
    assert '"flat": true' in (out / "run.json").read_text()
    said = limner("train", blobs, "--out", tmp_path / "other", "--until", "level")
    assert said.code == 2 and "'level' is not 'flat'" in said.err


def test_a_run_without_a_score_is_a_line(limner: Any, blobs: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    said = limner("check", tmp_path)
    assert said.code == 2 and said.err.count("\n") == 1 and "has no score yet" in said.err


def test_tune_finds_writes_and_goes_on(limner: Any, blobs: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    out = tmp_path / "search"
    own = tmp_path / "own.py"
    own.write_text('"""A file in which a recipe may stand."""\n')
    search = ("tune", blobs, "--out", out, *QUICK, "--images", "48", "--for", "1h", "--with", own)
    first = limner(*search, "--most", "2")
    assert first.code == 0 and "winner   held-out score" in first.out
    assert f"--with {own} --with {out / 'tuned.py'} --recipe tuned" in first.out
    assert (out / "search.png").stat().st_size > 5_000 and not list(out.rglob("checkpoints"))
    more = limner(*search, "--most", "3", "--json")
    assert "going on: 2 trials" in more.err and len(more.json["trials"]) == 3
    assert more.json["winner"]["score"] == min(one["score"] for one in more.json["trials"] if one["score"] is not None)
    made = limner("train", blobs, "--out", tmp_path / "run", "--with", out / "tuned.py", "--recipe", "tuned",
                  "--images", "16", "--device", "cpu")  # fmt: skip
    assert made.code == 0
    other = limner("tune", blobs, "--out", out, "--recipe", "dense", "--images", "48", "--most", "4")
    assert other.code == 2 and "recipe plain, not dense; give another --out" in other.err
