"""The page of an evaluation: pictures first, then scores, memory, curves, settings, and how to get it all again."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import limner
from limner.core.pixels import Bytes
from limner.data.images import Images
from limner.evaluate import Score
from limner.likeness import Likeness
from limner.report import memory, pictures
from limner.report.history import History
from limner.report.markup import Inside, Markup, join, tag
from limner.report.page import Section, page
from limner.report.scores import Refused, aligned, readings, refusals, score_table
from limner.report.settings import differences, flat, settings, written
from limner.report.subjects import Subject
from limner.report.suspects import Search, Share, Suspects
from limner.report.training import curves, settings_table
from limner.report.words import best, faults, verdict


@dataclass(frozen=True, eq=False)
class Judged:
    """One model or set of pictures, and what was found.

    drawn: some of the pictures that were scored, uint8 (n, h, w, c)
    suspects: the most suspicious of its samples and how many there are, or why that is not known
    withheld: scores that are not given
    """

    subject: Subject
    scores: tuple[Score, ...]
    drawn: Bytes
    suspects: tuple[Suspects, Share] | str = "it was not asked for"
    withheld: tuple[Refused, ...] = ()


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All that a page tells.

    command: what to type to get it again
    search: where suspects were looked for, for its controls
    notes: what was not as asked
    made: the date
    more: sections of others, such as what people said, put before the curves
    """

    judged: tuple[Judged, ...]
    real: Images
    seed: int
    command: str
    made: str = ""
    search: Search | None = None
    notes: tuple[str, ...] = ()
    more: tuple[Section, ...] = ()

    @property
    def models(self) -> list[tuple[str, Likeness]]:
        """Those that are models and not pictures."""
        return [(j.subject.name, j.subject.likeness) for j in self.judged if j.subject.likeness is not None]

    @property
    def named(self) -> list[tuple[str, tuple[Score, ...]]]:
        """The scores of each."""
        return [(j.subject.name, j.scores) for j in self.judged]


def evaluation_page(found: Evaluation) -> str:
    """One HTML document."""
    drawn = [(j.subject.name, j.drawn) for j in found.judged]
    parts = [
        Section("short", "In short", _in_short(found)),
        pictures.samples(found.real, drawn),
        Section("scores", "Scores", _scores(found)),
        pictures.classes(found.models, found.seed),
        pictures.between(found.models, found.seed),
        _memory(found),
        pictures.reconstructions(found.models, found.real),
        *found.more,
        _curves(found),
        _settings(found),
        _again(found),
    ]
    names = ", ".join(j.subject.name for j in found.judged)
    n = max((s.n for j in found.judged for s in j.scores), default=0)
    about = f"{n:,} generated pictures against as many real ones of {found.real.source}, {found.real.image}."
    foot = f"Made by limner {limner.__version__}{f', {found.made}' if found.made else ''}."
    return page(f"How good is {names}?", about, [part for part in parts if part is not None], foot)


def _in_short(found: Evaluation) -> Markup:
    several, said = len(found.judged) > 1, list[Inside]()
    for judged in found.judged:
        first = next((s for s in judged.scores if verdict(s)), None)
        parts = [f"{first.label} ({first.features}) {verdict(first)}."] if first else ["No score can be given."]
        if not isinstance(judged.suspects, str):
            copies = judged.suspects[1].copies
            near = "More samples lie close to training pictures than chance allows: see below."
            parts.append(near if copies else "No sign of copying.")
        parts += [seen] if (seen := faults(judged.scores)) else []
        said.append(tag("li", tag("b", judged.subject.name, ": ") if several else None, " ".join(parts)))
    if several:
        winners = [best(row) for row in aligned(found.named)]
        for k, judged in enumerate(found.judged):
            if winners.count(k):
                won = f"best in {winners.count(k)} of {len(winners)} scores, by more than the noise."
                said.append(tag("li", tag("b", judged.subject.name), ": ", won))
        if not any(k is not None for k in winners):
            said.append(tag("li", "In no score is one of them better than all others by more than the noise."))
    said += [tag("li", note) for note in found.notes]
    return tag("ul", said, class_="short")


def _scores(found: Evaluation) -> Markup:
    withheld = refusals([(j.subject.name, j.withheld) for j in found.judged])
    return join([score_table(found.named), withheld, tag("h3", "What they mean"), readings(found.named)])


def _memory(found: Evaluation) -> Section:
    known = [(j.subject.name, *j.suspects) for j in found.judged if not isinstance(j.suspects, str)]
    reasons = [(j.subject.name, j.suspects) for j in found.judged if isinstance(j.suspects, str)]
    if not known or found.search is None:
        return memory.unknown(reasons)
    section = memory.memory(known, found.search.controls, found.search.searched)
    rest = [tag("p", tag("b", name), ": ", reason) for name, reason in reasons]
    return Section(section.name, section.title, join([section.body, rest]), section.lead)


def _curves(found: Evaluation) -> Section | None:
    there = [(j.subject.name, History.of(j.subject.folder)) for j in found.judged if j.subject.folder is not None]
    there = [(name, history) for name, history in there if history.scores or history.losses]
    if not there:
        return None
    lead = "How the training went, as its run folder tells; the dot is the state that was kept."
    return Section("curves", "Learning curves", curves(there), lead)


def _settings(found: Evaluation) -> Section | None:
    models = [j.subject for j in found.judged if j.subject.likeness is not None]
    if not models:
        return None
    names, whole = [s.name for s in models], [_whole(s) for s in models]
    body: list[Inside] = [settings_table(names, _rows([_facts(s) for s in models]))]
    if apart := differences(whole):
        body += [tag("h3", "What they did differently"), settings_table(names, apart)]
    every = settings_table(names, _rows([flat(one) for one in whole]))
    body.append(tag("details", tag("summary", "All settings"), every))
    return Section("settings", "Settings", join(body))


def _rows(models: Sequence[dict[str, str]]) -> dict[str, list[str]]:
    """Fact → what it is for each model."""
    return {key: [one.get(key, "–") for one in models] for key in dict.fromkeys(key for one in models for key in one)}


def _facts(subject: Subject) -> dict[str, str]:
    """What one asks first of a model."""
    model = subject.likeness
    assert model is not None
    head = model.header
    told = {"recipe": head.get("recipe"), "objective": (head.get("objective") or {}).get("is")}
    told |= {"frozen backbone": ", ".join(one.name for one in model.backbones) or None}
    told |= {"trained on": (head.get("data") or {}).get("source"), "images seen": head.get("nimg")}
    told |= {"seconds of training": head.get("seconds"), "seed": head.get("seed"), "makes": str(model.image)}
    for role, net in model.nets.items():
        told[role] = f"{type(net).__name__}, {sum(p.numel() for p in net.parameters()):,} parameters"
    told |= {"limner": head.get("limner"), "torch": head.get("torch")}
    file = Path(subject.name)
    file = file / "model.safetensors" if file.is_dir() else file
    if file.is_file():
        told["model file"] = hashlib.blake2b(file.read_bytes(), digest_size=8).hexdigest()
    return {key: written(value) for key, value in told.items() if value is not None}


def _whole(subject: Subject) -> dict[str, Any]:
    """Everything that decided the training, or what the model file says of it."""
    if subject.folder is not None and (subject.folder / "run.json").exists():
        return settings(subject.folder)
    model = subject.likeness
    return {key: model.header[key] for key in ("objective", "nets") if key in model.header} if model else {}


def _again(found: Evaluation) -> Section:
    versions = f"limner {limner.__version__}, torch {torch.__version__}, Python {platform.python_version()}"
    digests = sorted({f"{s.features} {s.digest}" for j in found.judged for s in j.scores})
    facts = [
        ("seed", str(found.seed)),
        ("versions", f"{versions}, {platform.system()} {platform.machine()}"),
        ("real pictures", f"{found.real.source}, {len(found.real):,}, fingerprint {found.real.fingerprint[:16]}"),
        ("features", ", ".join(digests)),
    ]
    return Section("again", "How to get this again", join([tag("pre", found.command), table_of(facts)]))


def table_of(facts: Sequence[tuple[str, str]]) -> Markup:
    """Names and what they stand for."""
    return tag("dl", [[tag("dt", name), tag("dd", said)] for name, said in facts])
