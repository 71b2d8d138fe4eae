"""What a page says: scores, which is best, and nothing that was not given."""

from __future__ import annotations

import dataclasses

import pytest

from limner.evaluate import Score
from limner.report.charts import Line, Scale, intervals, panel, short
from limner.report.evaluation import Evaluation, Judged, evaluation_page
from limner.report.scores import refusals, score_table
from limner.report.subjects import Subject, equal_n
from limner.report.words import best, meaning, verdict, withheld

from .conftest import Reader, parsed, pictures

NAN = float("nan")
HOSTILE = '<script>alert("x")</script> & "><b>'


def score(value: float, reach: float = 1.0, floor: float = 2.0, better: str = "lower", **more: object) -> Score:
    made = Score("FrechetDistance", "Fréchet distance", better, value, value - reach, value + reach, 500, floor, 500,
                 "random", "abc")  # fmt: skip
    return dataclasses.replace(made, **more)


@dataclasses.dataclass(frozen=True)
class More(Score):
    """A score with more to say, as metrics may give it."""

    withheld: str = ""
    p_value: float | None = None
    controls: tuple[tuple[str, float], ...] = ()
    verdict: str = ""
    resize: str = ""


@dataclasses.dataclass(frozen=True)
class Refusal:
    label: str
    reason: str


def more(one: Score, **said: object) -> More:
    return More(**({f.name: getattr(one, f.name) for f in dataclasses.fields(Score)} | said))


def test_best_only_where_intervals_lie_apart() -> None:
    assert best([score(10), score(13)]) == 0 and best([score(10), score(11)]) is None
    assert best([score(10, better="higher"), score(13, better="higher")]) == 1
    assert best([score(10), score(13), score(11.5)]) is None and best([score(10)]) is None
    assert best([None, score(10), score(20)]) == 1
    assert best([score(10), score(20, n=400)]) is None and best([score(10), score(20, digest="other")]) is None
    assert best([score(10), score(NAN)]) is None


def test_verdicts() -> None:
    assert "cannot tell" in verdict(score(2.5)) and "6 times" in verdict(score(12))
    assert "where real pictures have 2" in verdict(score(0.5, 0.1, better="higher"))
    assert "beyond" in verdict(score(0.5, 0.1)) and verdict(score(1, floor=NAN)) == ""
    assert meaning(score(1)).startswith("Fidelity") and meaning(score(1, metric="Nothing")) == ""
    assert withheld(score(NAN)) and not withheld(score(1))


def test_a_withheld_score_says_why() -> None:
    text = str(score_table([("a", (more(score(NAN), withheld="needs 2,048 pictures; KernelDistance does not"),))]))
    assert "needs 2,048 pictures" in text and "nan" not in text
    refused = (Refusal("CAS", "no labels"),)
    assert str(refusals([("a", refused), ("b", refused)])).count("no labels") == 1 and refusals([("a", ())]) == ""


def test_what_a_score_says_of_itself_is_said() -> None:
    controls = (("held-out", 0.5), ("copies", 1.0))
    one = more(score(0.7, 0.1), p_value=0.03, controls=controls, verdict="more than chance.", resize="at most 64 px")
    text = str(score_table([("a", (one,))]))
    assert "p = 0.03, held-out 0.5, copies 1" in text and "at most 64 px" in text
    assert verdict(one) == "0.7: more than chance"


def test_scores_on_the_page_are_those_given() -> None:
    first, second = (score(10), score(0.5, 0.05, 0.9, "higher", label="recall")), (score(13, n=400, digest="z"),)
    reader = Reader()
    reader.feed(score_table([("a", first), (HOSTILE, second)]))
    rows = [[cell.text for cell in row.all("th", "td")] for row in reader.open[0].all("tr")]
    assert rows[0][1:3] == ["a", HOSTILE]
    assert rows[1][:3] == ["Fréchet distance ↓", "109 – 11", "1312 – 14"] and "★" not in "".join(rows[1])
    assert rows[2][:3] == ["recall ↑", "0.50.45 – 0.55", "–"]
    assert "n = 400, floor 500 · features random z" in rows[1][-1], "what differs stands in each row"


def test_equal_n_is_that_of_the_fewest() -> None:
    real = pictures(900, 0)
    subjects = (Subject("a", images=pictures(300, 1)), Subject("b", images=pictures(500, 1)))
    assert equal_n(200, real, subjects) == (200, ())
    n, (note,) = equal_n(10_000, real, subjects)
    assert n == 300 and "a has 300 pictures" in note and "only equal n compare" in note
    assert equal_n(10_000, real, ())[0] == 900


def test_a_page_of_pictures_alone() -> None:
    real, made = pictures(60, 0), pictures(50, 1, source=HOSTILE)
    judged = Judged(Subject(HOSTILE, images=made), (score(10),), made.pixels[:20], HOSTILE)
    document = parsed(evaluation_page(Evaluation((judged,), real, 0, f"limner evaluate '{HOSTILE}'", notes=(HOSTILE,))))
    assert document.all("h1")[0].text == f"How good is {HOSTILE}?"
    assert {s.attributes["id"] for s in document.all("section")} == {"short", "samples", "scores", "memory", "again"}
    samples = next(s for s in document.all("section") if s.attributes["id"] == "samples")
    assert len(samples.all("img")) == 60 + 20
    assert all(int(i.attributes["width"]) % 4 == 0 for i in samples.all("img")), "a whole number of times as large"


def test_drawn_numbers() -> None:
    scale = Scale(0, 10, 100, 200)
    assert (scale(0), scale(5), scale(10)) == (100, 150, 200) and scale.ticks() == [0, 2, 4, 6, 8, 10]
    log = Scale(0.01, 100, 0, 4, log=True)
    assert [log(10.0**k) for k in range(-2, 3)] == [0, 1, 2, 3, 4] and log.ticks() == [10.0**k for k in range(-2, 3)]
    assert [short(v) for v in (0, 1234.5, 12345.6, 3e-7, NAN)] == ["0", "1234", "12,346", "3.0e-07", "–"]


@pytest.mark.parametrize("points", [[], [(0.0, 1.0)], [(0.0, 0.0), (1.0, -1.0)], [(5.0, 2.0)] * 3])
@pytest.mark.parametrize("log", [False, True])
def test_odd_curves_are_drawn(points: list[tuple[float, float]], log: bool) -> None:
    text = str(panel("x", [Line(0, "a", points)], "images", log=log))
    assert "nan" not in text and (text != "") == any(y > 0 or not log for _, y in points)
    assert "nan" not in str(intervals([(NAN, NAN, NAN), (1, 2, 3)], NAN)) and str(intervals([(NAN,) * 3], None)) == ""


@pytest.mark.parametrize("log", [False, True])
def test_the_noise_of_a_curve_is_a_band_of_so_much_above_and_below(log: bool) -> None:
    """Heights are read back from the drawing: the band's ends are those of value ± error."""
    line = Line(0, "a", [(0.0, 8.0), (1.0, 4.0), (2.0, 2.0)], errors=[1.0, 0.5, 0.25])
    reader = Reader()
    reader.feed(str(panel("x", [line], "images", log=log)))
    (band,) = reader.open[0].all("polygon")
    (curve,) = reader.open[0].all("polyline")
    height = [float(point.split(",")[1]) for point in curve.attributes["points"].split()]
    edge = [float(point.split(",")[1]) for point in band.attributes["points"].split()]
    upper, lower = edge[:3], edge[:2:-1]
    assert all(up < middle < down for up, middle, down in zip(upper, height, lower, strict=True))
    if log:  # one eighth of a value is everywhere as high
        assert max(upper[k] - height[k] - upper[0] + height[0] for k in range(3)) < 0.2
    else:  # in proportion to the error
        assert [lower[k] - height[k] for k in range(3)] == pytest.approx(
            [(lower[0] - height[0]) * share for share in (1, 0.5, 0.25)], abs=0.15
        )
    assert panel("x", [Line(0, "a", line.points)], "images").count("polygon") == 0


def test_a_band_that_reaches_below_0_ends_with_the_panel() -> None:
    text = str(panel("x", [Line(0, "a", [(0.0, 1.0), (1.0, 0.1)], errors=[0.1, 0.5])], "images", log=True))
    assert "nan" not in text and text.count("polygon") == 1
