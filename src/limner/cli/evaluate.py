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
@click.option("--metrics", metavar="A,B,…", help="Scores, as `limner list Metric` names them. Default: seven.")
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
    """
    from limner.core.spec import build
    from limner.evaluate import DEFAULT, Scored, table
    from limner.likeness import load
    from limner.metrics.base import Metric

    load_files(files)
    chosen = tuple(build(m, Metric) for m in (_split(metrics) if metrics else DEFAULT))
    likeness = load(model, pick_device(device))
    real, train = pictures_of(data, likeness, split)
    last = _scored(likeness, real, train, features, chosen, count, seed)
    if not isinstance(last, Scored):
        raise UserError(f"{model}: the evaluation ended without scores")
    if as_json:
        emit({"model": model, "data": data, "scores": last.scores, "notes": last.notes})
        return
    line(table(last.scores))
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
    n = min(count, len(real))
    z, labels = likeness.codes(n, seed), likeness.labels(n, seed)
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
            metrics=metrics,
            seed=seed,
            device=likeness.device,
        ):
            if isinstance(last, Progress):
                tick(last.share, last.nimg)
    return last
