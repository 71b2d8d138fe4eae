"""What people said of a model's pictures: files of `limner judge`, found beside it or given by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from limner.core.errors import UserError
from limner.core.pixels import Bytes
from limner.judging.results import Results, found
from limner.judging.store import Judgements
from limner.judging.words import summary
from limner.report.figures import figure, tiles
from limner.report.markup import Inside, Markup, join, tag
from limner.report.page import Section, table
from limner.report.pictures import side_by_side

DEFAULT = Path("judgements.sqlite")
"""Where `limner judge` writes unless it is told otherwise."""
SHOWN, COLUMNS = 16, 8


@dataclass(frozen=True, eq=False)
class Asked:
    """One study.

    path: its file
    results: what was found
    fakes: those that fooled most, the most fooling first, uint8 (h, w, c) each
    """

    path: Path
    results: Results
    fakes: tuple[Bytes, ...]


def asked(path: Path) -> Asked:
    """Read a file of judgements. Raises UserError when it is none, or when nobody has answered."""
    judgements = Judgements(path)
    try:
        results = found(judgements)
        pixels = [p for _, _, p in judgements.pictures()]
    finally:
        judgements.close()
    if not results.errors.n:
        raise UserError(f"{path}: nobody has answered yet; go on with limner judge {results.study.model} DATA")
    # an adaptive exposure, not the picture, decides who is fooled, but more are by the better ones
    return Asked(path, results, tuple(pixels[p.number] for p in results.best[:SHOWN] if p.taken))


def beside(model: str) -> list[Asked]:
    """The studies that lie in a model's folder, and that of this folder if it is about this model."""
    place = Path(model) if Path(model).is_dir() else Path(model).parent
    own = sorted(place.glob("*.sqlite")) if (place / "run.json").exists() or Path(model).is_file() else []
    there = [one for path in own if (one := _readable(path))]
    if DEFAULT.is_file() and DEFAULT.resolve() not in [path.resolve() for path in own]:
        there += [one for one in [_readable(DEFAULT)] if one and _same(one.results.study.model, model)]
    return there


def people(studies: Sequence[Asked]) -> Section | None:
    """Error rates beside each other, then the fakes that fooled most."""
    if not studies:
        return None
    lead = "Raters said of each picture whether it is real. Half wrong is what guessing gives: fakes as good as real."
    return Section("people", "What people say", join([_one(study) for study in studies]), lead)


def _one(study: Asked) -> Markup:
    results, told = study.results, study.results.study
    raters = f"{len(results.raters)} rater{'s' if len(results.raters) > 1 else ''}"
    seen = {"none": "as long as they liked", "staircase": "for times that follow the answers"}
    how = "which of two is real" if told.mode == "pair" else "real or made"
    about = f"{raters}, asked {how}, who saw each {seen.get(told.exposure, f'for {told.exposure}')} ({study.path.name})"
    return join([tag("h3", told.model), tag("p", about), table((), summary(results)), _fakes(study)])


def _fakes(study: Asked) -> Markup:
    best = study.results.best
    if not study.fakes:
        return tag("p", "No fake was taken for real.")
    many = tag("span", f", the first {best[0].taken} of {best[0].judged} times", class_="quiet")
    caption: list[Inside] = ["The fakes that fooled most", many]
    words = f"{len(study.fakes)} pictures of {study.results.study.model} that people took for real"
    return side_by_side([figure(caption, tiles(study.fakes, words, columns=COLUMNS))])


def _readable(path: Path) -> Asked | None:
    """A study, where the file is one that somebody has answered."""
    try:
        return asked(path)
    except UserError:
        return None


def _same(one: str, other: str) -> bool:
    """Whether both name one model: a run folder is its model file."""
    folders = [Path(name).parent if Path(name).name == "model.safetensors" else Path(name) for name in (one, other)]
    return folders[0].resolve() == folders[1].resolve()
