"""`limner evaluate`: how near generated pictures are to real ones, with what is needed to judge the numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.flags import device_flag, examples, json_flag, load_files, pick_device, seed_flag, with_flag
from limner.cli.show import emit, line, progress, remark, table, writing
from limner.cli.subjects import check_real, held_beside, opened, pictures_of
from limner.cli.values import COUNT
from limner.core.errors import UserError

if TYPE_CHECKING:
    from limner.data.images import Images
    from limner.evaluate import Score, Scored
    from limner.metrics.base import Extractor, Metric
    from limner.report.page import Section
    from limner.report.subjects import Subject

Found = list[tuple["Subject", "Scored"]]
Look = tuple["Extractor", int]
"""Features, and how many pictures of each kind are scored through them."""
MOST, USUAL = 10_000, {"photographs": 3_000, "photographs-224": 3_000}
"""Pictures of each kind where -n is not given; looking at photographs takes a CPU 7 or 20 ms each."""


@click.command(
    epilog=examples(
        "limner evaluate runs/demo digits",
        "limner evaluate runs/demo digits --report report.html  # the same with pictures, on one page",
        "limner evaluate runs/a runs/b other-tool/ photos/ --report report.html  # side by side",
        "limner evaluate runs/demo digits --report report.html --judged judgements.sqlite  # and what people said",
        "limner evaluate model.safetensors photos/ -n 2k --fit crop",
        "limner evaluate runs/flowers flowers/ --features photographs --split train -n 3k",
        "limner evaluate runs/demo digits --features random  # quick, without training a network",
        "limner evaluate runs/demo digits --features inception.safetensors",
        "limner evaluate runs/demo digits --metrics FrechetDistance,Coverage  # these alone; limner list Metric",
        "limner evaluate runs/demo digits --metrics all  # every score there is; trains networks, takes minutes",
        "limner evaluate runs/demo digits --json | jq '.scores[] | {metric, value, floor}'",
    )
)
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.argument("data")
@click.option("--report", metavar="FILE.html", help="Write a page with pictures, curves and what the scores mean.")
@click.option(
    "--judged",
    multiple=True,
    metavar="X.sqlite",
    help="Put these answers of `limner judge` on the page too. Those beside a model are found.",
)
@click.option(
    "-n", "count", type=COUNT, metavar="N", help="Pictures of each kind. Default: 10k; 3k for features of photographs."
)
@click.option(
    "--features",
    default="auto",
    show_default=True,
    metavar="NAME|FILE,…",
    help="in-domain (trained once on DATA, then cached), photographs (trained on ImageNet, comes with Limner), random, "
    "inception, or a file of weights. auto: photographs,in-domain for colour pictures, in-domain for grey ones.",
)
@click.option("--metrics", metavar="A,B,…", help="Scores, as `limner list Metric` names them, or all.")
@click.option("--split", metavar="NAME", help="The real pictures. Default: test, or train where there is no test.")
@click.option("--fit", type=click.Choice(["crop", "pad"]), help="How pictures of another shape are made to fit.")
@click.option("--skip-bad", is_flag=True, help="Go on without the files that cannot be read.")
@with_flag
@device_flag
@seed_flag
@json_flag
def evaluate(
    models: tuple[str, ...], data: str, report: str | None, judged: tuple[str, ...], count: int | None, features: str,
    metrics: str | None, split: str | None, fit: Any, skip_bad: bool, files: tuple[str, ...], device: str, seed: int,
    as_json: bool,
) -> None:  # fmt: skip
    """Score each MODEL against the real pictures in DATA, at equal n.

    MODEL is a run folder, a model.safetensors, or pictures that some other tool made (a folder, zip or npz).

    Each score comes with a 95 % interval and with the floor: what real pictures score against other real ones.
    Where the training pictures are another split of DATA, it is tested whether they were memorised.
    """
    from limner.metrics.features import choose_all

    if report is not None and Path(report).suffix not in (".html", ".htm"):
        raise UserError(f"--report {report}: a page is written; type --report {Path(report).stem}.html")
    people = _people(judged, models, report)
    load_files(files)
    named = _metrics(metrics) if metrics else ()
    subjects = opened(models, data, pick_device(device), fit, skip_bad)
    real, train = pictures_of(data, subjects[0].image, split, fit or "crop")
    check_real(real, train, split, subjects, fit, skip_bad)
    with progress("learning features"):
        extractors = choose_all(features, train or real)
    looks, notes = _looks(extractors, count, real, subjects)
    found = [(s, _scored(s, real, train, looks, named, seed, fit or "crop")) for s in subjects]
    if refused := next((scored.withheld[0] for _, scored in found if scored.withheld and not scored.scores), None):
        raise UserError(f"{refused.metric}: {refused.reason}")
    if report is not None:
        _write_report(Path(report), found, real, train, looks[-1], seed, _told(found, notes), fit or "crop", people)
    _print(found, data, notes, report, as_json)


def _people(judged: tuple[str, ...], models: tuple[str, ...], report: str | None) -> tuple[Section, ...]:
    """What people said, in the files that are named and those beside the models, each once."""
    from limner.report.people import asked, beside, people

    if report is None:
        if judged:
            raise UserError(f"--judged {judged[0]}: answers go on a page; add --report report.html")
        return ()
    studies = [asked(Path(name)) for name in judged] + [one for name in models for one in beside(name)]
    section = people(list({one.path.resolve(): one for one in studies}.values()))
    return () if section is None else (section,)


def _split(listed: str) -> list[str]:
    """`KernelDistance, Precision(k=5, rows=10)` → its two items: commas inside brackets part nothing."""
    return [item.strip() for item in re.split(r",(?![^(]*\))", listed) if item.strip()]


def _metrics(listed: str) -> tuple[Metric, ...]:
    """What --metrics names: `all` is every score that needs no settings."""
    from limner.core.spec import build, catalog, options
    from limner.metrics.base import Metric

    if listed == "all":
        whole = {name: cls for name, cls in catalog(Metric).items() if not any(o.required for o in options(cls))}
        return tuple(build(name, Metric) for name in whole)
    return tuple(build(m, Metric) for m in _split(listed))


def _trained_on(subject: Subject, train: Images | None) -> Images | None:
    """The training split, if it is what the model was trained on as far as its file says."""
    head = {} if subject.likeness is None else subject.likeness.header
    said = (head.get("data") or {}).get("fingerprint")
    if train is None or said in (None, train.fingerprint):
        return train
    name = subject.name
    remark(f"note: memory is not tested: {name} was trained on other pictures than those of {train.source}")
    return None


def _looks(
    extractors: tuple[Extractor, ...], asked: int | None, real: Images, subjects: list[Subject]
) -> tuple[tuple[Look, ...], tuple[str, ...]]:
    """Each extractor with the n that all are scored at through it, and why an n is smaller than asked."""
    from limner.report.subjects import equal_n

    looks: list[Look] = []
    told: dict[str, None] = {}
    for extractor in extractors:
        n, notes = equal_n(asked or USUAL.get(extractor.name, MOST), real, tuple(subjects))
        looks.append((extractor, n))
        told |= dict.fromkeys(notes)
    return tuple(looks), tuple(told)


def _scored(
    subject: Subject, real: Images, train: Images | None, looks: tuple[Look, ...], metrics: tuple[Metric, ...],
    seed: int, fit: Any,
) -> Scored:  # fmt: skip
    """What came of one model through all features; the progress is shown."""
    from limner.evaluate import Scored

    known = _trained_on(subject, train)
    parts: list[Scored] = []
    for look in looks:
        with_memory, first = known if look is looks[-1] else None, look is looks[0]
        wanted = tuple(m for m in metrics if first or m.of_features) or _usual(subject, with_memory)
        parts.append(_through(look, subject, real, train, known if metrics else with_memory, wanted, seed, fit))
    scores, notes, withheld = (sum((getattr(p, kind) for p in parts), ()) for kind in ("scores", "notes", "withheld"))
    return Scored(parts[0].nimg, scores, tuple(dict.fromkeys(notes)), withheld)


def _usual(subject: Subject, train: Images | None) -> tuple[str, ...]:
    """The scores where none are named: of memory where training pictures are known, of labels where it is told some."""
    from limner import evaluate as engine

    told = subject.asked(1, 0) is not None
    return engine.DEFAULT + (engine.LABELLED if told else ()) + (engine.MEMORY if train else ())


def _through(
    look: Look, subject: Subject, real: Images, train: Images | None, known: Images | None,
    metrics: tuple[Metric | str, ...], seed: int, fit: Any,
) -> Scored:  # fmt: skip
    """The scores of one model through one kind of features."""
    from limner import evaluate as engine
    from limner.core.events import Progress

    (extractor, n), model = look, subject.likeness
    with progress(f"scoring {subject.name}") as tick:
        for event in engine.evaluate(
            subject.draw(n, seed, real.image, fit), real, extractor=extractor, n=n, other=train, metrics=metrics,
            seed=seed, device="cpu" if model is None else model.device, train=known, asked=subject.asked(n, seed),
            rebuild=subject.rebuild(real.image), trained_with=() if model is None else model.backbones,
        ):  # fmt: skip
            if isinstance(event, engine.Scored):
                return event
            if isinstance(event, Progress):
                tick(event.share, event.nimg)
    raise AssertionError("an evaluation ends with scores")


def _print(found: Found, data: str, notes: tuple[str, ...], report: str | None, as_json: bool) -> None:
    """The scores: a line of JSON for each model, a table of one, or a table of all side by side."""
    from limner.evaluate import refused
    from limner.evaluate import table as text
    from limner.report.standing import standing_of

    stands = {subject.name: standing_of(subject.folder) for subject, _ in found if subject.folder is not None}
    for subject, scored in found if as_json else ():
        standing = stands.get(subject.name)
        emit({"model": subject.name, "data": data, "scores": scored.scores, "notes": (*notes, *scored.notes),
              "withheld": scored.withheld} | ({"standing": standing.report} if standing else {})
             | ({"report": report} if report else {}))  # fmt: skip
    if as_json:
        return
    if len(found) == 1:
        line(text(found[0][1].scores, found[0][1].withheld))
    else:
        _side_by_side([(subject.name, scored.scores) for subject, scored in found])
        for said in refused([w for _, scored in found for w in scored.withheld]):
            line(said)
    for name, standing in stands.items():
        for words in standing.words if standing else ():
            line(words if len(found) == 1 else f"{name}: {words}")
    for note in _told(found, notes):
        remark(f"note: {note}")
    if report is not None:
        line(report)


def _side_by_side(models: list[tuple[str, tuple[Score, ...]]]) -> None:
    from limner.report.charts import short
    from limner.report.scores import aligned, titled
    from limner.report.words import best, withheld

    rows: list[list[str]] = []
    for scores in aligned(models):
        first, top = next(s for s in scores if s is not None), best(scores)
        cells = [
            "–" if s is None else f"withheld: {why}" if (why := withheld(s))
            else f"{short(s.value)}{' *' if k == top else ''}  ({short(s.low)} – {short(s.high)})"
            for k, s in enumerate(scores)
        ]  # fmt: skip
        rows.append([titled(first, models), *cells, short(first.floor)])
    table(rows, head=("", *(name for name, _ in models), "real against real"))
    for foot in sorted({f"n = {s.n:,} · {s.looked_at}" for _, scores in models for s in scores}):
        line(foot)
    line("* best: its 95 % interval lies apart from every other's")


def _write_report(
    path: Path, found: Found, real: Images, train: Images | None, look: Look, seed: int,
    notes: tuple[str, ...], fit: Any, more: tuple[Section, ...],
) -> None:  # fmt: skip
    import datetime
    import shlex

    from limner.core.store import replacing
    from limner.report.evaluation import Evaluation, Judged, evaluation_page
    from limner.report.pictures import SAMPLES
    from limner.report.searching import Searches

    extractor, n = look
    searches = Searches(real, train, extractor, seed, held_beside(real, train, fit))
    judged: list[Judged] = []
    with progress("looking for copies") as tick:
        for done, (subject, scored) in enumerate(found, 1):
            draw = subject.draw(n, seed, real.image, fit)
            suspects = searches.of(subject, draw, n)
            judged.append(Judged(subject, scored.scores, draw(0, min(n, SAMPLES)), suspects, scored.withheld))
            tick(done / len(found), n * done)
    command = shlex.join(["limner", *click.get_current_context().find_root().obj])
    today = datetime.date.today().isoformat()
    told = evaluation_page(Evaluation(tuple(judged), real, seed, command, today, searches.shown, notes, more))
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(told, encoding="utf-8")


def _told(found: Found, notes: tuple[str, ...]) -> tuple[str, ...]:
    """All notes, each once."""
    return tuple(dict.fromkeys((*notes, *(note for _, scored in found for note in scored.notes))))
