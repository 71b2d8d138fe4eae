"""Scores in plain words: what a score measures, what this value of it says, which model is best."""

from __future__ import annotations

import math
from collections.abc import Sequence

from limner.core.spec import catalog
from limner.evaluate import Score
from limner.metrics.base import Metric
from limner.metrics.visible import ALIKE, FAULTS
from limner.report.charts import short

MEANING = {
    "FrechetDistance": "Fidelity and variety in one number: how far apart the clouds of features of generated and real "
    "pictures lie, each taken for a Gaussian.",
    "KernelDistance": "Fidelity and variety in one number that does not depend on how many pictures were compared; "
    "0 on average for equal distributions, so it may come out below 0.",
    "Precision": "Do the pictures look real? The share of generated pictures that lie among real ones.",
    "Recall": "Is everything reached? The share of real pictures that lie among generated ones.",
    "Density": "Do the pictures look real, without being fooled by outliers? About 1 for equal distributions; it may "
    "be more.",
    "Coverage": "Is everything reached? The share of real pictures that have a generated one in their neighbourhood.",
    "Lattice": "Does a fine grid lie over all pictures, as strided convolutions leave it? 1 is as in real pictures.",
    "Tiling": "Do pictures repeat the same motif every 8 or 16 pixels? 1 is as in real pictures.",
    "Burnt": "Are whites or blacks burnt out? 1 is as in real pictures, less is no fault.",
    "Contrast": "Are pictures too flat or too strong? 1 is the contrast of real pictures; more is off, either way.",
    "NearTwins": "Are samples nearly the same as others? 1 is as among real pictures, less is no fault.",
}
"""For the scores that everyone meets first; the others say it with the first line of their documentation."""


def meaning(score: Score) -> str:
    """What a score measures."""
    if score.metric in MEANING:
        return MEANING[score.metric]
    said = (getattr(catalog(Metric).get(score.metric), "__doc__", "") or "").strip()
    return said.partition("\n")[0]


def withheld(score: Score) -> str:
    """Why there is no value, where there is none."""
    said = str(getattr(score, "withheld", "") or "")
    return said or ("" if finite(score.value) else "there is no value")


def beside(score: Score) -> str:
    """What stands beside a value where the score has more to say: its p-value and its controls."""
    p, controls = getattr(score, "p_value", None), getattr(score, "controls", ())
    said = [f"p = {short(p)}"] if p is not None else []
    return ", ".join([*said, *(f"{name} {short(value)}" for name, value in controls)])


def verdict(score: Score) -> str:
    """What this value says: in the score's own words where it has some, else beside its floor."""
    if said := str(getattr(score, "verdict", "")):
        return f"{short(score.value)}: {said.rstrip('.')}"
    if withheld(score) or not (finite(score.floor) and finite(score.low) and finite(score.high)):
        return ""
    value, floor = short(score.value), short(score.floor)
    if score.low <= score.floor <= score.high:
        return f"{value}, which {score.n:,} pictures cannot tell from the {floor} of real ones"
    worse = score.low > score.floor if score.better == "lower" else score.high < score.floor
    if not worse:
        return f"{value}, beyond the {floor} of other real pictures"
    if score.better == "lower" and score.floor > 0 and score.value >= 1.5 * score.floor:
        return f"{value}, which is {score.value / score.floor:.2g} times the {floor} of real pictures"
    return f"{value}, where real pictures have {floor}"


def faults(scores: Sequence[Score]) -> str:
    """What the eye would see at once: the faults that are beyond real pictures, in a sentence; nothing if unknown."""
    known = [s for s in scores if s.label in FAULTS and finite(s.value)]
    worse = [f"{s.label} {short(s.value)} ({s.verdict})" for s in known if s.value > ALIKE and s.low > 1]
    if worse:
        return f"To the eye: {'; '.join(worse)}; 1 is as in real pictures."
    return "To the eye no lattice, tiles, burnt tones, wrong contrast or near-twins beyond real pictures." * bool(known)


def best(scores: Sequence[Score | None]) -> int | None:
    """Which of several models' scores is the best: only one whose interval lies apart from all the others'."""
    there = [(k, s) for k, s in enumerate(scores) if s is not None and not withheld(s)]
    if len(there) < 2 or len({s.digest for _, s in there}) > 1 or len({s.n for _, s in there}) > 1:
        return None
    for k, one in there:
        rest = [s for j, s in there if j != k]
        if all(one.high < s.low if one.better == "lower" else one.low > s.high for s in rest):
            return k
    return None


def finite(value: float | None) -> bool:
    """Whether there is a number."""
    return value is not None and math.isfinite(value)
