"""What people said, on the page: planted answers are counted, found where they lie, and about the right model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from limner.core.errors import UserError
from limner.judging.store import Answer, Judgements, create
from limner.judging.study import Study, order
from limner.report.people import asked, beside, people

from .conftest import Reader

HOSTILE = "runs/<b>a"


def judged(path: Path, fooled: dict[int, int], raters: int = 3, model: str = HOSTILE, mode: str = "single") -> Path:
    """Raters who know every real picture; fake k is taken for real by the first `fooled[k]` of them."""
    study = Study(mode, "none", 8, 0.01, model=model, data="photos")
    real = np.full((study.reals, 4, 4, 1), 250, np.uint8)
    fake = np.stack([np.full((4, 4, 1), 10 * k, np.uint8) for k in range(study.fakes)])
    file = create(path, study, real, fake, [f"picture {k}" for k in range(study.reals + study.fakes)])
    for number in range(raters):
        rater = file.join(f"rater {number}")
        for trial in order(study, rater.id):
            item = trial.item if mode == "pair" else trial.item - study.reals
            right = not (item >= 0 and number < fooled.get(item, 0))
            said = trial.truth if right else 1 - trial.truth
            file.add(Answer(rater.id, trial.number, trial.item, said, right, None, None, 1.0))
    file.close()
    return path


def test_planted_answers_are_counted_and_the_best_fakes_come_first(tmp_path: Path) -> None:
    study = asked(judged(tmp_path / "j.sqlite", {2: 3, 0: 1}))
    assert [int(fake[0, 0, 0]) for fake in study.fakes] == [20, 0], "only those that fooled somebody, the best first"
    section = people([study])
    assert section is not None
    reader = Reader()
    reader.feed(str(section.body))
    rows = {row.all("th")[0].text: [cell.text for cell in row.all("td")] for row in reader.open[0].all("tr")}
    assert rows["error rate"][0] == "16.7 %" and "4 of 24 answers" in rows["error rate"][1]
    assert rows["fakes taken for real"][0] == "33.3 %" and rows["real taken for fakes"][0] == "0.0 %"
    assert "over raters" in rows and "agreement" in rows
    text = reader.open[0].text
    assert HOSTILE in text and "3 raters" in text and "j.sqlite" in text and "the first 3 of 3 times" in text
    assert len(reader.open[0].all("img")) == 2


def test_pairs_and_perfect_raters(tmp_path: Path) -> None:
    section = people([asked(judged(tmp_path / "p.sqlite", {1: 2}, mode="pair"))])
    assert section is not None and "which of two is real" in section.body and "2 of 24 answers" in section.body
    perfect = people([asked(judged(tmp_path / "q.sqlite", {}))])
    assert perfect is not None and "No fake was taken for real" in perfect.body and people([]) is None


def test_answers_are_found_beside_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the run folder, and in the folder of the command where they are about this model; nothing else is touched."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "run.json").write_text("{}")
    (tmp_path / "runs" / "a" / "study.sqlite").write_bytes(b"no judgements")
    inside = judged(tmp_path / "runs" / "a" / "mine.sqlite", {0: 1})
    judged(tmp_path / "judgements.sqlite", {0: 2}, model="runs/b/model.safetensors")
    assert [one.path.name for one in beside("runs/a")] == [inside.name]
    assert [str(one.path) for one in beside("runs/b")] == ["judgements.sqlite"]
    (tmp_path / "photos").mkdir()
    judged(tmp_path / "photos" / "other.sqlite", {})
    assert beside("photos") == [], "a folder of pictures is no run"


def test_what_is_no_study_is_a_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        asked(tmp_path / "none.sqlite")
    with pytest.raises(UserError, match="nobody has answered yet"):
        asked(judged(tmp_path / "j.sqlite", {}, raters=0))
    Judgements(tmp_path / "j.sqlite").close()
