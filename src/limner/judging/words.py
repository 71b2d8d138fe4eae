"""What a study found, in rows of words: the name of a number, the number, and how sure it is."""

from __future__ import annotations

import math

from limner.judging.results import Results
from limner.judging.statistics import Rate

Row = tuple[str, str, str]


def summary(results: Results) -> list[Row]:
    """Error rates, the threshold of a staircase, agreement."""
    study, pair = results.study, results.study.mode == "pair"
    rows: list[Row] = []
    if not study.adaptive:
        number, told = _told(results.errors)
        rows.append(("error rate", number, f"{told}; guessing is 50 %"))
    if not pair and not study.adaptive:
        rows.append(("fakes taken for real", *_told(results.fooled)))
        rows.append(("real taken for fakes", *_told(results.doubted)))
    if results.over_raters and not study.adaptive:
        low, high = results.over_raters
        rows.append(("over raters", f"{100 * low:.1f} – {100 * high:.1f} %", "95 % interval for raters like these"))
    return [*rows, *_exposure(results), *_agreement(results)]


def share(rate: Rate) -> str:
    """`31.0 %`."""
    return f"{100 * rate.rate:.1f} %" if rate.n else "–"


def number(value: float | None) -> str:
    """Three digits; nothing where there is no number."""
    return "" if value is None or math.isnan(value) else f"{value:.3g}"


def _told(rate: Rate) -> tuple[str, str]:
    told = f"95 % interval {100 * rate.low:.1f} – {100 * rate.high:.1f} %, {rate.wrong} of {rate.n} answers"
    return share(rate), told


def _exposure(results: Results) -> list[Row]:
    if not results.study.adaptive:
        return []
    known = [r.threshold for r in results.raters if r.threshold]
    if not known or results.threshold is None:
        return [("threshold exposure", "not yet", "it takes 20 answers of a rater")]
    if len(known) > 1:
        told = f"geometric mean of {len(known)} raters, each right in 79.4 % there"
        return [("threshold exposure", f"{results.threshold:.0f} ms", told)]
    told = f"95 % interval {known[0].low:.0f} – {known[0].high:.0f} ms; right in 79.4 % there"
    beyond = {"above": "or longer: even the longest exposure was too short", "below": "or shorter", "": told}
    return [("threshold exposure", f"{results.threshold:.0f} ms", beyond[known[0].beyond])]


def _agreement(results: Results) -> list[Row]:
    if not (a := results.agreement):
        return []
    kappa, name = (a.fleiss, "Fleiss’ κ") if a.cohen is None else (a.cohen, "Cohen’s κ")
    told = f"{name} {number(kappa)}, α {number(a.krippendorff)}"
    equal = f"{100 * a.share:.0f} % of pairs of answers are equal"
    return [("agreement", told, f"{a.raters} raters, {a.items} items; {equal}")]
