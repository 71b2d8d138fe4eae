"""What a study found: `results(path)` reads a file of judgements and says it in numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from limner.judging.staircase import Threshold, threshold
from limner.judging.statistics import (
    Agreement,
    Rate,
    agreement,
    over_raters,
    rate,
    sensitivity,
    sensitivity_of_pairs,
)
from limner.judging.store import Answer, Judgements, Rater
from limner.judging.study import Study, Trial, order


@dataclass(frozen=True)
class ByRater:
    """One rater's answers.

    name: as given, or a number
    errors: wrong answers
    fooled: fakes taken for real; of pairs, the same as errors
    doubted: real pictures taken for fakes; of pairs, the same as errors
    sensitivity: d′, 0 where the rater guesses whatever the rater's bias
    seconds: median time to an answer
    threshold: exposure at which the rater is right in 79.4 %, of a staircase; else None
    """

    name: str
    errors: Rate
    fooled: Rate
    doubted: Rate
    sensitivity: float
    seconds: float
    threshold: Threshold | None


@dataclass(frozen=True)
class ByPicture:
    """One picture, over raters.

    number: its place in the file: real ones first, then fakes
    real: whether it is
    source: the file or the sample it is from
    judged: how many answers there are
    taken: how many of them took it for real, or chose it of its pair
    seconds: median time to an answer, nan without one
    """

    number: int
    real: bool
    source: str
    judged: int
    taken: int
    seconds: float

    @property
    def share(self) -> float:
        """Part of the answers that took it for real, nan without one."""
        return self.taken / self.judged if self.judged else math.nan


@dataclass(frozen=True)
class Results:
    """A study's results. Half wrong is what guessing gives: fakes as good as real.

    study: what was asked
    errors: wrong answers of all raters; in a staircase the exposure, not the model, decides them
    fooled: fakes taken for real
    doubted: real pictures taken for fakes
    over_raters: 95 % interval of the error rate over raters like these, which answers alone cannot give; None below 3
    threshold: milliseconds, geometric mean over raters, of a staircase; else None
    agreement: between raters; None where no picture was judged twice
    raters: those who answered, in the order in which they came
    pictures: every picture, by number
    """

    study: Study
    errors: Rate
    fooled: Rate
    doubted: Rate
    over_raters: tuple[float, float] | None
    threshold: float | None
    agreement: Agreement | None
    raters: tuple[ByRater, ...]
    pictures: tuple[ByPicture, ...]

    @property
    def best(self) -> tuple[ByPicture, ...]:
        """The fakes that were judged, those that fooled most first; the quicker before the slower."""
        judged = [p for p in self.pictures if p.judged and not p.real]
        return tuple(sorted(judged, key=lambda p: (-p.share, -p.judged, p.seconds, p.number)))


def results(path: str | Path) -> Results:
    """Read a file that `limner judge` wrote. Raises UserError when it is none."""
    judgements = Judgements(Path(path))
    try:
        return found(judgements)
    finally:
        judgements.close()


def found(judgements: Judgements) -> Results:
    """The results of an open file, up to now."""
    study, answers = judgements.study, judgements.answers()
    given = {rater: [a for a in answers if a.rater == rater.id] for rater in judgements.raters()}
    rows = [_by_rater(study, rater, own) for rater, own in given.items() if own]
    steps = [row.threshold.milliseconds for row in rows if row.threshold]
    trials = {rater.id: order(study, rater.id) for rater in given}
    called = {rater.id: {a.item: _called(study, a) for a in own} for rater, own in given.items()}
    return Results(
        study,
        rate(sum(not a.right for a in answers), len(answers)),
        *_kinds(study, answers),
        over_raters([row.errors for row in rows]),
        _geometric(steps) if steps else None,
        agreement(called),
        tuple(rows),
        tuple(_pictures(judgements.sources(), answers, trials)),
    )


def _by_rater(study: Study, rater: Rater, answers: list[Answer]) -> ByRater:
    right = [a.right for a in answers]
    fooled, doubted = _kinds(study, answers)
    told = (
        sensitivity_of_pairs(sum(right), len(right))
        if study.mode == "pair"
        else sensitivity(fooled.n - fooled.wrong, fooled.n, doubted.wrong, doubted.n)
    )
    return ByRater(
        rater.name or f"rater {rater.id}", rate(right.count(False), len(right)), fooled, doubted, told,
        median(a.seconds for a in answers), threshold(right) if study.adaptive else None,
    )  # fmt: skip


def _kinds(study: Study, answers: Sequence[Answer]) -> tuple[Rate, Rate]:
    """Errors on fakes and on real pictures; in a pair an error is both."""
    pair = study.mode == "pair"
    of_fakes = [not a.right for a in answers if pair or a.item >= study.reals]
    of_reals = [not a.right for a in answers if pair or a.item < study.reals]
    return rate(sum(of_fakes), len(of_fakes)), rate(sum(of_reals), len(of_reals))


def _called(study: Study, answer: Answer) -> int:
    """What agreement is about: real or fake; of a pair, whether the real one or the fake was chosen."""
    return answer.said if study.mode == "single" else int(answer.right)


def _pictures(
    sources: Sequence[tuple[bool, str]], answers: Sequence[Answer], trials: dict[int, tuple[Trial, ...]]
) -> list[ByPicture]:
    seen: dict[int, list[tuple[bool, float]]] = {}
    for a in answers:
        shown = trials[a.rater][a.number].pictures
        for place, picture in enumerate(shown):
            taken = a.said == (place if len(shown) > 1 else 1)
            seen.setdefault(picture, []).append((taken, a.seconds))
    rows: list[ByPicture] = []
    for number, (real, source) in enumerate(sources):
        own = seen.get(number, [])
        seconds = median(s for _, s in own) if own else math.nan
        rows.append(ByPicture(number, real, source, len(own), sum(taken for taken, _ in own), seconds))
    return rows


def _geometric(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))
