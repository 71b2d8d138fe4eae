"""`limner verify`: rows are judged as they say, kept, not rerun, and tabled."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from limner.cli import run
from limner.core.errors import UserError
from limner.proofs import base
from limner.proofs.base import Bench, Row

calls: list[str] = []


def exact(bench: Bench) -> Iterator[Row]:
    """A planted number."""
    calls.append("exact")
    yield Row("two and two", (4.0,), at_least=4.0, at_most=4.0)


def missed(bench: Bench) -> Iterator[Row]:
    """A number that is too low in one seed."""
    calls.append("missed")
    yield Row("share | found", tuple(90.0 + seed for seed in bench.seeds), "%", 91.0, judged="worst", published="95 %")


def lacking(bench: Bench) -> Iterator[Row]:
    """Needs data that are not there."""
    bench.images("mnist")
    yield Row("never", (0.0,))


def untrained(bench: Bench) -> Iterator[Row]:
    """A training in which every step makes it worse, after a row that is exact."""
    yield Row("two and two", (4.0,), at_least=4.0)
    blown = ("batch=32", "lr=10", "generator.width=16", "critic.width=16")
    bench.train("digits", "plain", 0, count=64, size=(7, 7), assignments=blown)
    yield Row("never", (0.0,))


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    calls.clear()
    known: dict[str, base.Proof] = {f.__name__: f for f in (exact, missed, lacking, untrained)}
    monkeypatch.setattr(base, "proofs", lambda: known)
    monkeypatch.setattr("limner.verify.proofs", lambda: known)


def test_rows_are_printed_tabled_and_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "exact", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    assert "4" in capsys.readouterr().out
    assert run(["verify", "missed", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().out
    assert "90 % (worst of 90, 91, 92)" in said and "≥ 91: missed" in said and "published: 95 %" in said
    table = (tmp_path / "out" / "table.md").read_text()
    assert "share \\| found" in table and "Targets missed in: missed." in table
    assert "share | found" in (tmp_path / "out" / "table.html").read_text()


def test_what_is_done_is_not_done_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["verify", "exact", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    assert [run(command), run(command), run([*command, "--seeds", "5"])] == [0, 0, 0]
    assert calls == ["exact", "exact"]
    (tmp_path / "out" / "exact.json").write_text("{ torn")
    assert run(command) == 0 and len(calls) == 3


def test_missing_data_is_a_reason_and_not_a_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "lacking", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--json"]) == 0
    (said,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said["rows"] == [] and "mnist is missing" in said["skipped"]


def test_what_was_kept_untrained_fails_aloud(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["verify", "untrained", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    for _ in range(2):  # neither skipped nor kept as done
        assert run([*command, "--json"]) == 1
        (said,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert "untrained networks" in said["failed"] and not said["skipped"]
        assert [row["what"] for row in said["rows"]] == ["two and two"]
    assert run(command) == 1
    assert "untrained: failed: " in capsys.readouterr().out
    table = (tmp_path / "out" / "table.md").read_text()
    assert "failed: " in table and "Targets missed in: untrained." in table


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "exakt", "--out", str(tmp_path)]) == 2
    assert "did you mean exact" in capsys.readouterr().err
    for wrong in ("a", "-1", "0,,1"):
        assert run(["verify", "exact", "--seeds", wrong, "--out", str(tmp_path)]) == 2
        assert f"--seeds {wrong}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("row", "value", "met"),
    [
        (Row("a", (1.0, 2.0, 6.0), at_least=3.0), 3.0, True),
        (Row("a", (1.0, 2.0, 6.0), at_least=3.0, judged="median"), 2.0, False),
        (Row("a", (1.0, 2.0, 6.0), at_most=3.0, judged="best"), 1.0, True),
        (Row("a", (1.0, 2.0, 6.0), at_most=3.0, judged="worst"), 6.0, False),
        (Row("a", (1.0, 2.0, 6.0), at_least=3.0, judged="best"), 6.0, True),
        (Row("a", (1.0,)), 1.0, None),
    ],
)
def test_judgement(row: Row, value: float, met: bool | None) -> None:
    assert row.value == value and row.met is met


def test_every_proof_says_what_it_shows() -> None:
    import limner.proofs.base as fresh

    for function in _real().values():
        assert (function.__doc__ or "").strip().partition("\n")[0].endswith("."), function.__name__
    with pytest.raises(UserError, match="is missing"):
        fresh.Bench(Path("nowhere"), Path("nowhere")).source("mnist")


def _real() -> dict[str, Callable[[Bench], Iterator[Row]]]:
    base._import_all()
    return base._proofs
