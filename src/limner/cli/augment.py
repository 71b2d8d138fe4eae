"""`limner augment`: labelled pictures of a model's own, balanced as asked, and whether they are worth anything."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.flags import device_flag, examples, json_flag, load_files, pick_device, seed_flag, with_flag
from limner.cli.labelled import held_out, labelled, with_classes
from limner.cli.recognise import cell
from limner.cli.sample import folder_name, write_array
from limner.cli.show import check_places, emit, line, progress, remark, table, writing
from limner.cli.values import COUNT, count
from limner.core.errors import UserError

if TYPE_CHECKING:
    from limner.likeness import Likeness
    from limner.recognise.scores import Labelled, Score
    from limner.recognise.worth import Gain

BLOCK = 256
"""Pictures made at once, always so many: the same to the last bit whatever is asked for."""


@click.command(
    epilog=examples(
        "limner augment runs/demo digits --per-class 500 --out more/",
        "limner augment runs/mine mine/ --keep --out level/  # the rare classes filled up to the largest",
        "limner augment runs/few few.npz --per-class 500 --measure --test digits --out more.npz",
    )
)
@click.argument("model", metavar="MODEL")
@click.argument("data", metavar="DATA")
@click.option("--out", required=True, metavar="FOLDER/|X.npz", help="A folder a class and metadata.csv, or X.npz.")
@click.option("--per-class", type=COUNT, metavar="N", help="Made of each class. Default: what it lacks of the largest.")
@click.option("--keep", is_flag=True, help="Write the real pictures too, in the model's size.")
@click.option("--measure", "judged", is_flag=True, help="Train a small classifier with and without them, and compare.")
@click.option("--real", default="10,100", show_default=True, metavar="N,…", help="Real pictures a class for that.")
@click.option("--draws", type=click.IntRange(1), default=5, show_default=True, help="Choices of those.")
@click.option("--steps", type=click.IntRange(1), default=300, show_default=True, help="Of training a classifier.")
@click.option("--test", metavar="DATA", help="Real pictures to judge by. Default: the test split, or a fifth.")
@click.option("--classical", default="Affine", show_default=True, metavar="NAME", help="Rival: limner list Augment.")
@with_flag
@seed_flag
@device_flag
@json_flag
def augment(
    model: str, data: str, out: str, per_class: int | None, keep: bool, judged: bool, real: str, draws: int,
    steps: int, test: str | None, classical: str, files: tuple[str, ...], seed: int, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Make labelled pictures with MODEL, which must have been told classes, to train a classifier on beside DATA.

    --measure says what they are worth: accuracy on real test pictures after training on few real ones, on made ones,
    and on both, beside plain classical augmentation, over several draws.
    """
    _check(out)
    check_places(out)
    load_files(files)
    from limner.augments.base import Augment
    from limner.core.spec import build
    from limner.likeness import load
    from limner.recognise.worth import level

    rival, sizes = build(classical, Augment), _sizes(real)
    likeness = load(model, pick_device(device))
    _conditional(likeness, model)
    images = with_classes(data, likeness.image)
    known = labelled(images, None, likeness.names, model)
    have = [int((known.labels == k).sum()) for k in range(len(likeness.names))]
    counts = level(have, per_class)
    if not any(counts):
        raise UserError(f"{data} has {have[0]:,} pictures of each class, nothing to level; give --per-class 500")
    some, unseen = _halves(data, test, likeness, model, seed) if judged else (known, known)
    made = _made(likeness, counts, seed)
    scores = _judged(some, made, unseen, sizes, draws, seed, rival, steps) if judged else []
    with writing(out):
        _write(made, known if keep else None, likeness.names, Path(out))
    _say(likeness, images.fingerprint, counts, have, scores, classical, out, as_json)


def _check(out: str) -> None:
    path = Path(out)
    if path.suffix.lower() not in ("", ".npz"):
        raise UserError(f"--out {out}: write FOLDER/ for a folder for each class, or X.npz")
    if path.is_dir() and any(path.iterdir()):
        raise UserError(f"--out {out}: there are files already, and they would be mixed; give a new folder")


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(count(part) for part in text.split(",") if part.strip())
    except UserError as error:
        raise UserError(f"--real {text}: {error}") from None


def _conditional(likeness: Likeness, model: str) -> None:
    """Raises UserError when the generator cannot be told a class."""
    if not likeness.generator.classes or likeness.numbered or len(likeness.names) != likeness.generator.classes:
        told = "numbers" if likeness.numbered else "no labels"
        raise UserError(
            f"{model} was told {told} when it was trained, so its pictures have no class; "
            "train one on pictures in a folder for each class: limner train DATA --out RUN"
        )


def _halves(data: str, test: str | None, likeness: Likeness, model: str, seed: int) -> tuple[Labelled, Labelled]:
    """Real pictures to learn from, and those to judge by."""
    mine, rows, others, held, where = held_out(data, test, likeness.image, seed)
    some, unseen = (labelled(*part, likeness.names, model) for part in ((mine, rows), (others, held)))
    remark(f"judged by {len(unseen):,} pictures: {where}")
    return some, unseen


def _made(likeness: Likeness, counts: tuple[int, ...], seed: int) -> Labelled:
    """So many pictures of each class; number k of a class depends on the seed, the class and k alone."""
    import numpy as np

    from limner.core.rng import derived
    from limner.recognise.scores import Labelled

    parts: list[Any] = []
    with progress("making") as tick:
        for label, n in enumerate(counts):
            filled = -(-n // BLOCK) * BLOCK
            z = likeness.codes(filled, derived(seed, label, "augment"))
            parts.append(likeness.decode(z, np.full(filled, label, np.int64))[:n])
            tick((label + 1) / len(counts), sum(len(part) for part in parts))
    return Labelled(np.concatenate(parts), np.repeat(np.arange(len(counts)), counts))


def _judged(
    known: Labelled, made: Labelled, unseen: Labelled, sizes: tuple[int, ...], draws: int, seed: int, rival: Any,
    steps: int,
) -> list[Score]:  # fmt: skip
    from limner.recognise.worth import measure

    scores: list[Score] = []
    with progress("measuring") as tick:
        for score, share in measure(
            known, made, unseen, per_class=sizes, draws=draws, seed=seed, augment=rival, steps=steps
        ):
            scores.append(score)
            tick(share, 0)
    return scores


def _write(made: Labelled, real: Labelled | None, names: tuple[str, ...], path: Path) -> None:
    """Made pictures, and the real ones before them where they are asked for."""
    import numpy as np

    from limner.core.pixels import save_png
    from limner.core.store import replacing

    sources = [("real", real)] if real is not None else []
    whole = [*sources, ("made", made)]
    if path.suffix:
        pixels, labels = (np.concatenate([getattr(part, what) for _, part in whole]) for what in ("pixels", "labels"))
        write_array(pixels, labels, names, path)
        return
    rows: list[tuple[str, str, str]] = []
    for kind, part in whole:
        for number, (pixels, label) in enumerate(zip(part.pixels, part.labels, strict=True)):
            file = f"{folder_name(names, int(label))}/{kind}-{number:06d}.png"
            save_png(pixels, path / file)
            rows.append((file, names[label], kind))
    with replacing(path / "metadata.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as table_:
        csv.writer(table_).writerows([("file_name", "label", "kind"), *rows])


def _say(
    likeness: Likeness, fingerprint: str, counts: tuple[int, ...], have: list[int], scores: list[Score],
    classical: str, out: str, as_json: bool,
) -> None:  # fmt: skip
    from limner.recognise.worth import gains

    found = gains(scores) if scores else []
    notes = _notes(likeness, fingerprint, sum(have), scores)
    if as_json:
        rows = [
            {"trained_on": s.features, "real": s.labels, "accuracy": s.mean, "low": s.interval[0],
             "high": s.interval[1], "draws": s.right, "n": s.n}
            for s in scores
        ]  # fmt: skip
        told = [{"over": g.over, "real": g.real, "points": g.points, "low": g.low, "high": g.high,
                 "verdict": g.verdict} for g in found]  # fmt: skip
        made = dict(zip(likeness.names, counts, strict=True))
        emit({"out": out, "made": made, "scores": rows, "gains": told, "notes": notes})
        return
    if scores:
        _print_scores(scores, found, classical)
    for note in notes:
        remark(f"note: {note}")
    line(f"made {sum(counts):,}: " + ", ".join(f"{n} {name}" for name, n in zip(likeness.names, counts, strict=True)))
    line(out)


def _print_scores(scores: list[Score], found: list[Gain], classical: str) -> None:
    sizes = list(dict.fromkeys(s.labels for s in scores if s.labels))
    cells = {(s.features, s.labels): cell(s) for s in scores}
    rows = [[arm, *(cells.get((arm, size), "") for size in sizes)] for arm in dict.fromkeys(s.features for s in scores)]
    rows[0][1:] = [cells[scores[0].features, 0]] + [""] * (len(sizes) - 1)
    table(rows, head=("trained on", *(f"{size} real a class" for size in sizes)))
    line(f"% named right of {scores[0].n:,}, and 95 % intervals over draws; moved: {classical}")
    line()
    for gain in found:
        points = f"{100 * gain.points:+.1f} points ({100 * gain.low:+.1f} – {100 * gain.high:+.1f})"
        line(f"{gain.real} real a class, beside {gain.over}: made pictures add {points}: {gain.verdict}")


def _notes(likeness: Likeness, fingerprint: str, total: int, scores: list[Score]) -> list[str]:
    """What would make the numbers look better than they are."""
    same = dict(likeness.header.get("data") or {}).get("fingerprint") == fingerprint
    if scores and same and total > max(s.labels for s in scores) * len(likeness.names):
        return [
            f"the model has learnt from all {total:,} labels of this data: with fewer real pictures the rows show what "
            "its pictures are worth, not what few labels would give; for that train it on those few alone"
        ]
    return []
