"""Who sees what, what is kept, and what the answers add up to."""

from __future__ import annotations

import itertools
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from scipy.stats import binomtest

from limner.core.errors import UserError
from limner.judging.results import found, results
from limner.judging.session import Session
from limner.judging.sheet import draw_sheet
from limner.judging.statistics import rate
from limner.judging.store import Answer, Judgements
from limner.judging.study import Study, exposure, order

Begin = Callable[..., Judgements]


@pytest.mark.parametrize("mode", ["single", "pair"])
def test_everyone_judges_the_same_in_another_order(mode: str) -> None:
    study = Study(mode, "none", 60, seed=3)
    orders = [order(study, rater) for rater in (1, 2, 3)]
    assert all(sorted(t.item for t in one) == list(range(60)) for one in orders)
    assert len({tuple(t.item for t in one) for one in orders}) == 3
    assert order(study, 1) == orders[0]
    for trial in orders[0]:
        if mode == "single":
            assert trial.truth == (trial.item < study.reals)
        else:
            assert trial.pictures[trial.truth] < study.reals <= trial.pictures[1 - trial.truth]


@pytest.mark.parametrize("mode", ["single", "pair"])
def test_the_truth_cannot_be_guessed_from_the_order(mode: str) -> None:
    """Neither the truth itself, nor whether it changes, leans to one side, over places and over raters."""
    study = Study(mode, "none", 50)
    truths = [[t.truth for t in order(study, rater)] for rater in range(200)]
    flat = [t for one in truths for t in one]
    assert binomtest(sum(flat), len(flat)).pvalue > 1e-3
    by_place = [sum(one[k] for one in truths) for k in range(50)]
    assert min(binomtest(k, 200).pvalue for k in by_place) > 1e-3 / 50
    changes = sum(a != b for one in truths for a, b in itertools.pairwise(one))
    expected = 0.5 if mode == "pair" else 25 / 49  # without replacement neighbours differ a little more often
    assert binomtest(changes, 200 * 49, expected).pvalue > 1e-3


def test_exposures_are_read() -> None:
    assert [exposure(t) for t in ("250ms", "0.25s", " 1S ", "None", "staircase")] == [
        "250ms", "250ms", "1000ms", "none", "staircase"]  # fmt: skip
    for wrong in ("fast", "5ms", "20s", "250", "-3ms", ""):
        with pytest.raises(UserError, match="--exposure"):
            exposure(wrong)
    assert Study("single", "250ms", 9).milliseconds([]) == 250 and Study("single", "none", 9).milliseconds([]) is None


def test_other_files_are_no_judgements(tmp_path: Path) -> None:
    text, empty, other = tmp_path / "a.sqlite", tmp_path / "b.sqlite", tmp_path / "c.sqlite"
    text.write_text("not a database, but long enough to be taken for one by a careless reader" * 20)
    empty.write_bytes(b"")
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE study (settings TEXT, secret TEXT)")
    connection.close()
    for path in (text, empty, other):
        with pytest.raises(UserError, match="no file of judgements"):
            results(path)
    with pytest.raises(UserError, match="no such file"):
        results(tmp_path / "d.sqlite")


def test_answers_are_kept_once_and_survive(begin: Begin) -> None:
    file = begin()
    rater = file.join("Ada")
    kept = Answer(rater.id, 0, 7, 1, True, None, None, 1.5)
    file.add(kept)
    file.add(Answer(rater.id, 0, 7, 0, False, None, None, 9.0))
    assert file.answers() == [kept] and file.counts() == (0, 1)
    again = Judgements(file.path)  # opened a second time while the first is open: what a crash leaves behind
    assert again.answers(rater.id) == [kept] and again.rater(rater.key) == rater and again.study == file.study
    assert again.rater("somebody else") is None
    again.close()


@pytest.mark.parametrize("mode", ["single", "pair"])
def test_results_are_what_was_answered(begin: Begin, mode: str, tmp_path: Path) -> None:
    """Three raters with a rule each, counted by hand: one right, one wrong on two items, one always the same key."""
    file = begin(mode=mode, trials=12)
    for name, rule in (("right", None), ("two wrong", {3, 9}), ("first key", 0)):
        rater = file.join(name)
        for trial in order(file.study, rater.id):
            said = rule if isinstance(rule, int) else trial.truth ^ (trial.item in (rule or ()))
            file.add(Answer(rater.id, trial.number, trial.item, said, said == trial.truth, None, None, trial.item + 1))
    got = found(file)
    one, two, three = got.raters
    assert (one.errors.wrong, two.errors.wrong) == (0, 2) and one.errors.n == 12
    assert one.sensitivity > two.sensitivity > 0 and one.seconds == 6.5
    assert got.errors.n == 36 and got.over_raters is not None and got.agreement is not None
    assert got.agreement.raters == 3 and got.agreement.items == 12 and got.agreement.krippendorff < 1
    last = sum(t.truth != 0 for t in order(file.study, 3))
    assert three.errors.wrong == last
    fakes = {p.number: p for p in got.pictures if not p.real}
    if mode == "single":  # item 9 is a fake, number 9; item 3 is real
        assert (two.fooled.wrong, two.doubted.wrong) == (1, 1) and three.sensitivity == 0
        assert fakes[9].taken == 1 and fakes[8].taken == 0 and fakes[9].judged == 3
        assert got.best[0].number == 9 and got.errors.wrong == 2 + 6
    else:
        assert two.fooled.wrong == two.doubted.wrong == 2
        chosen = {t.item for t in order(file.study, 3) if t.truth == 1}
        assert fakes[12 + 9].taken == 1 + (9 in chosen) and fakes[12 + 5].taken == (5 in chosen)
        assert all(got.pictures[k].taken + got.pictures[12 + k].taken == 3 for k in range(12))
    assert results(file.path) == got
    sheet = draw_sheet(got, file, tmp_path / "sheet.png")
    assert sheet.read_bytes()[:4] == b"\x89PNG"


def test_a_sheet_of_nothing_is_refused(begin: Begin, tmp_path: Path) -> None:
    file = begin()
    with pytest.raises(UserError, match="no fake has been judged"):
        draw_sheet(found(file), file, tmp_path / "x.png")
    assert not list(tmp_path.glob("*.png")) and found(file).agreement is None


def test_a_session_stops_when_the_rate_is_known(begin: Begin) -> None:
    """A rater who is never wrong is believed after 35 answers, as Wilson's interval says; a guesser is not."""
    session = Session(begin(trials=60, precision=0.05))
    rater = session.begin("")
    for trial in order(session.study, rater.id):
        state = session.answer(rater.key, trial.number, trial.truth, None, 1.0)
        assert state["screen"] == ("done" if trial.number >= 34 else "trial")
    assert found(session.judgements).errors.n == 35 and session.settled() and session.finished()
    assert session.state("somebody else")["screen"] == "welcome"


@pytest.mark.parametrize(("error", "precision", "covers"), [(0.05, 0.05, 0.978), (0.2, 0.08, 0.927), (0.5, 0.1, 0.944)])
def test_stopping_when_the_interval_is_narrow_costs_it_little(error: float, precision: float, covers: float) -> None:
    """Exact, over every course that a sitting can take: the interval at the stop covers the true rate as stated."""
    alive, covered, ended, n = {0: 1.0}, 0.0, 0.0, 0
    while alive:
        step: Counter[int] = Counter()
        for wrong, chance in alive.items():
            step[wrong] += chance * (1 - error)
            step[wrong + 1] += chance * error
        n, alive = n + 1, {}
        for wrong, chance in step.items():
            seen = rate(wrong, n)
            if seen.reach <= precision:
                covered, ended = covered + chance * (seen.low <= error <= seen.high), ended + chance
            elif chance > 1e-9:
                alive[wrong] = chance
    assert ended == pytest.approx(1, abs=1e-6)
    assert covered == pytest.approx(covers, abs=1e-3)
