"""`limner evaluate`: how near a model's pictures are to real ones, with what is needed to judge the numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from limner.cli.flags import device_flag, examples, json_flag, load_files, pick_device, seed_flag, with_flag
from limner.cli.pictures import gathered, splits
from limner.cli.show import emit, line, progress, remark
from limner.cli.values import COUNT
from limner.core.errors import UserError

if TYPE_CHECKING:
    from limner.core.events import Event
    from limner.data.images import Images
    from limner.likeness import Likeness
    from limner.metrics.base import Metric


@click.command(
    epilog=examples(
        "limner evaluate runs/demo digits",
        "limner evaluate model.safetensors photos/ -n 2k",
        "limner evaluate runs/demo digits --features random         quick, without training a network",
        "limner evaluate runs/demo digits --features inception.safetensors",
        "limner evaluate runs/demo digits --metrics FrechetDistance,Coverage      these alone; limner list Metric",
        "limner evaluate runs/demo digits --metrics all        every score there is; trains networks, takes minutes",
        "limner evaluate runs/demo digits --json | jq '.scores[] | {metric, value, floor}'",
    )
)
@click.argument("model")
@click.argument("data")
@click.option("-n", "count", type=COUNT, default="10k", show_default=True, metavar="N", help="Pictures of each kind.")
@click.option(
    "--features",
    default="in-domain",
    show_default=True,
    metavar="NAME|FILE",
    help="in-domain (trained once on DATA, then cached), random, inception, or a file of weights.",
)
@click.option("--metrics", metavar="A,B,…", help="Scores, as `limner list Metric` names them, or all.")
@click.option("--split", metavar="NAME", help="The real pictures. Default: test, or train where there is no test.")
@with_flag
@device_flag
@seed_flag
@json_flag
def evaluate(
    model: str,
    data: str,
    count: int,
    features: str,
    metrics: str | None,
    split: str | None,
    files: tuple[str, ...],
    device: str,
    seed: int,
    as_json: bool,
) -> None:
    """Score MODEL, a model.safetensors or a run folder, against the real pictures in DATA.

    Each score comes with a 95 % interval and with the floor: what real pictures score against other real ones.
    Where the training pictures are another split of DATA, it is tested whether they were memorised.
    """
    from limner.evaluate import Scored, table
    from limner.likeness import load

    load_files(files)
    likeness = load(model, pick_device(device))
    named = _metrics(metrics) if metrics else ()
    real, train = pictures_of(data, likeness, split)
    last = _scored(likeness, real, train, features, named, count, seed)
    if not isinstance(last, Scored):
        raise UserError(f"{model}: the evaluation ended without scores")
    if last.withheld and not last.scores:
        raise UserError(f"{last.withheld[0].metric}: {last.withheld[0].reason}")
    if as_json:
        emit({"model": model, "data": data} | {k: getattr(last, k) for k in ("scores", "notes", "withheld")})
        return
    line(table(last.scores, last.withheld))
    for note in last.notes:
        remark(f"note: {note}")


def pictures_of(data: str, likeness: Likeness, split: str | None) -> tuple[Images, Images | None]:
    """The real pictures in the model's shape, and the training split if that is another."""
    image = likeness.image
    size = image.height, image.width
    there = splits(data)
    chosen = split or ("test" if "test" in there else "train")
    real = gathered(data, size, image.channels, chosen)
    if chosen == "train":
        remark(f"note: {data} is scored against its training pictures, which the model may have seen")
        return real, None
    return real, gathered(data, size, image.channels, "train") if "train" in there else None


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


def _trained_on(likeness: Likeness, train: Images | None) -> Images | None:
    """The training split, if it is what the model was trained on as far as its file says."""
    said = likeness.header.get("data", {}).get("fingerprint")
    if train is None or said in (None, train.fingerprint):
        return train
    remark(f"note: memory is not tested: the model was trained on other pictures than those of {train.source}")
    return None


def _scored(
    likeness: Likeness,
    real: Images,
    train: Images | None,
    features: str,
    metrics: tuple[Metric, ...],
    count: int,
    seed: int,
) -> Event | None:
    """The last event of an evaluation; its progress is shown."""
    from limner import evaluate as engine
    from limner.core.events import Progress
    from limner.metrics.features import choose

    with progress("learning features"):
        extractor = choose(features, train or real)
    known = _trained_on(likeness, train)
    n = min(count, len(real))
    z, labels = likeness.codes(n, seed), likeness.labels(n, seed)
    classes = None if labels is None or likeness.numbered else labels.astype("int64")
    last: Event | None = None

    def draw(first: int, many: int) -> engine.Bytes:
        rows = slice(first, first + many)
        return likeness.decode(z[rows], None if labels is None else labels[rows])

    with progress("scoring") as tick:
        for last in engine.evaluate(
            draw,
            real,
            extractor=extractor,
            n=count,
            other=train,
            metrics=metrics or engine.DEFAULT + (engine.MEMORY if known else ()),
            seed=seed,
            device=likeness.device,
            train=known,
            asked=classes,
            rebuild=None if likeness.encoder is None else lambda pixels: likeness.reconstruct(pixels),
        ):
            if isinstance(last, Progress):
                tick(last.share, last.nimg)
    return last
