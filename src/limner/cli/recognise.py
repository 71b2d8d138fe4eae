"""`limner recognise`: how well a model's features tell classes apart, beside raw pixels and principal components."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from limner.cli.flags import device_flag, examples, json_flag, load_files, pick_device, seed_flag, with_flag
from limner.cli.labelled import held_out, labelled, part
from limner.cli.pictures import gathered
from limner.cli.show import check_places, emit, line, progress, remark, table, writing
from limner.cli.values import COUNT, count
from limner.core.errors import UserError

if TYPE_CHECKING:
    from limner.core.pixels import Image
    from limner.likeness import Likeness
    from limner.models.base import Critic, Encoder
    from limner.recognise.scores import Done, Labelled, Score


@click.command(
    epilog=examples(
        "limner recognise runs/vae digits",
        "limner recognise runs/vae digits --out known/  # curves.png, predictions.csv, probe.safetensors",
        "limner recognise runs/vae mine/train mine/test --labels 50,500 --draws 10",
        "limner recognise runs/vae known/probe.safetensors --of photos/ --out named.csv",
    )
)
@click.argument("model", metavar="MODEL")
@click.argument("train", metavar="TRAIN|PROBE")
@click.argument("test", required=False, metavar="[TEST]")
@click.option("--out", metavar="FOLDER/", help="curves.png, predictions.csv, probe.safetensors; with --of a .csv.")
@click.option("--of", "pictures", metavar="PICTURES", help="Name these by the PROBE of an earlier --out.")
@click.option("--role", type=click.Choice(["encoder", "critic"]), help="Whose features. Default: all there are.")
@click.option("--labels", "counts", default="10,100,1000", show_default=True, metavar="N,…", help="And all there are.")
@click.option("--draws", type=click.IntRange(1), default=5, show_default=True, help="Choices of so few labels.")
@click.option("--most", type=COUNT, default="10k", show_default=True, metavar="N", help="Pictures of TRAIN, drawn.")
@with_flag
@seed_flag
@device_flag
@json_flag
def recognise(
    model: str, train: str, test: str | None, out: str | None, pictures: str | None, role: str | None, counts: str,
    draws: int, most: int, files: tuple[str, ...], seed: int, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Learn the classes of TRAIN from the features of MODEL, and say how many of TEST are named right.

    Features are the encoder's mean code and what the critic's last layer reads. Beside them stand raw pixels and as
    many principal components, under the same classifiers, tuned the same way. TEST is TRAIN's own test split, or a
    fifth of TRAIN where it has none.
    """
    _check(out, pictures, train, test)
    check_places(out)
    few = _counts(counts)
    load_files(files)
    from limner.likeness import load

    likeness = load(model, pick_device(device))
    if pictures is not None:
        _name(likeness, train, pictures, out, as_json)
        return
    from limner.recognise.features import readers

    nets = readers(likeness.nets, role)
    images, rows, others, judged, where = held_out(train, test, _image(nets), seed)
    known = _some(labelled(images, rows, images.names, train), most, seed)
    unseen = labelled(others, judged, images.names, train)
    remark(f"learning from {len(known):,} pictures of {train}, judged by {len(unseen):,}: {where}")
    done, notes = _scored(nets, known, unseen, few, draws, seed)
    written: list[Path] = []
    if out is not None:
        names = [others.files[k] if others.files else str(k) for k in judged]
        with writing(out):
            written = _write(Path(out), done, nets, unseen, images.names, names)
    _say(done, [*notes, *_told(likeness, nets)], written, as_json)


def _check(out: str | None, pictures: str | None, train: str, test: str | None) -> None:
    """Raises UserError for what does not go together."""
    probe = Path(train).suffix == ".safetensors"
    if probe and pictures is None:
        raise UserError(f"{train} is a probe: say what to name with it: --of photos/")
    if pictures is not None and not probe:
        raise UserError(f"--of {pictures}: pictures are named by a probe.safetensors, not {train}; make one with --out")
    if pictures is not None and (test or Path(out or "x.csv").suffix != ".csv"):
        raise UserError("--of writes one table: give --out named.csv, and no TEST")
    if pictures is None and out is not None and Path(out).suffix:
        raise UserError(f"--out {out}: several files are written; give a folder, for example --out {Path(out).stem}/")


def _counts(text: str) -> tuple[int, ...]:
    try:
        return tuple(count(part) for part in text.split(",") if part.strip())
    except UserError as error:
        raise UserError(f"--labels {text}: {error}") from None


def _image(nets: dict[str, Encoder | Critic]) -> Image:
    return next(iter(nets.values())).image


def _some(known: Labelled, most: int, seed: int) -> Labelled:
    """At most so many, as evenly over classes as can be."""
    from limner.recognise.scores import Labelled, drawn

    rows = drawn(known.labels, most, seed)
    return Labelled(known.pixels[rows], known.labels[rows])


def _scored(
    nets: dict[str, Encoder | Critic], known: Labelled, unseen: Labelled, counts: tuple[int, ...], draws: int, seed: int
) -> tuple[list[Done], list[str]]:
    from limner.recognise.features import views
    from limner.recognise.probes import KINDS
    from limner.recognise.scores import recognise as engine

    done: list[Done] = []
    with progress("recognising") as tick:
        looks, notes = views(nets, _image(nets), known.pixels)
        for one in engine(looks, known, unseen, kinds=[*KINDS.values()], counts=counts, draws=draws, seed=seed):
            done.append(one)
            tick(one.share, 0)
    return done, notes


def _told(likeness: Likeness, nets: dict[str, Encoder | Critic]) -> list[str]:
    """Features that know labels already say nothing about few labels."""
    told = [role for role, net in nets.items() if net.classes]
    taught = dict(likeness.header.get("objective") or {}).get("is")
    return [
        f"the {role} was told labels when it was trained ({taught}): its rows with few labels are too good"
        for role in told
    ]


def _write(
    folder: Path, done: list[Done], nets: dict[str, Encoder | Critic], unseen: Labelled, classes: tuple[str, ...],
    names: list[str],
) -> list[Path]:  # fmt: skip
    """The curves, what was said of each test picture from all labels, and the linear probe that names others."""
    from limner.recognise.drawing import draw_curves
    from limner.recognise.naming import Naming

    written = [draw_curves([one.score for one in done], folder / "curves.png")]
    last = {(one.score.features, one.score.probe): one for one in done}
    heads = [f"{features}, {probe}" for features, probe in last]
    lines = [["picture", "class", *heads]]
    for k, name in enumerate(names):
        lines.append([name, classes[unseen.labels[k]], *(classes[int(one.said[k])] for one in last.values())])
    written.append(_csv(lines, folder / "predictions.csv"))
    role, net = next(iter(nets.items()))
    (mine,) = [one for (view, kind), one in last.items() if view.startswith(role) and kind.startswith("logistic")]
    naming = Naming.of(mine.fitted, mine.scale, role, net, classes)
    return [*written, naming.save(folder / "probe.safetensors")]


def _csv(lines: list[list[str]], path: Path) -> Path:
    import csv

    from limner.core.store import replacing

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    return path


def _say(done: list[Done], notes: list[str], written: list[Path], as_json: bool) -> None:
    scores = [one.score for one in done]
    if as_json:
        rows = [
            {"features": s.features, "probe": s.probe, "labels": s.labels, "accuracy": s.mean, "low": s.interval[0],
             "high": s.interval[1], "draws": s.right, "n": s.n, "value": s.value}
            for s in scores
        ]  # fmt: skip
        emit({"scores": rows, "notes": notes, "out": written})
        return
    sizes = list(dict.fromkeys(s.labels for s in scores))
    for kind in dict.fromkeys(s.probe for s in scores):
        cells = {(s.features, s.labels): s for s in scores if s.probe == kind}
        body = [
            [view, *(cell(cells[view, size]) for size in sizes)] for view in dict.fromkeys(view for view, _ in cells)
        ]
        table(body, head=(kind, *(f"{size:,} labels" for size in sizes)))
        line()
    line(f"% named right of {scores[0].n:,}, and 95 % intervals: over draws of labels, or Wilson's in the last column")
    for note in notes:
        remark(f"note: {note}")
    for path in written:
        line(f"{path}")


def cell(score: Score) -> str:
    low, high = score.interval
    return f"{100 * score.mean:.1f} ({100 * low:.1f} – {100 * high:.1f})"


def _name(likeness: Likeness, probe: str, source: str, out: str | None, as_json: bool) -> None:
    """The classes of other pictures, by a probe."""
    from limner.recognise.features import readers
    from limner.recognise.naming import Naming

    naming = Naming.load(Path(probe))
    (net,) = readers(likeness.nets, naming.role).values()
    naming.check(net)
    images = gathered(source, (net.image.height, net.image.width), net.image.channels, part(source))
    said, sure = naming(net, images.pixels)
    names = [images.files[k] if images.files else str(k) for k in range(len(images))]
    head = ["picture", "class", "probability"]
    rows = [[name, naming.names[k], f"{p:.4f}"] for name, k, p in zip(names, said.tolist(), sure.tolist(), strict=True)]
    if out is not None:
        with writing(out):
            _csv([head, *rows], Path(out))
    if as_json:
        emit({"out": out, "n": len(rows), "pictures": [dict(zip(head, row, strict=True)) for row in rows]})
        return
    table(rows, head=head) if out is None else line(out)
