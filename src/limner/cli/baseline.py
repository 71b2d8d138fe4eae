"""`limner baseline`: a classical model, fitted in one go, as a model file that the other verbs take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from limner.cli.flags import channels_flag, examples, json_flag, seed_flag, size_flag
from limner.cli.pictures import gathered, say_notes
from limner.cli.show import emit, line, remark, writing
from limner.cli.values import COUNT, duration

if TYPE_CHECKING:
    from limner.data.images import Images


@click.command(
    epilog=examples(
        "limner baseline PCA digits --out pca.safetensors",
        'limner baseline "Mixture(components=50)" photos/ --size 32 --out mixture.safetensors',
        "limner baseline KernelDensity digits --labels --out kernel.safetensors",
        "limner evaluate pca.safetensors digits",
        "limner list Baseline",
    )
)
@click.argument("name")
@click.argument("data")
@click.option("--out", required=True, metavar="X.safetensors", help="The model file to write.")
@click.option("--labels", "labelled", is_flag=True, help="One more model for each class, so that sample --label works.")
@click.option("--most", type=COUNT, metavar="N", help="Fit to so many pictures, drawn at random.")
@size_flag
@channels_flag
@click.option("--split", default="train", show_default=True, metavar="NAME", help="Which part of the data.")
@seed_flag
@json_flag
def baseline(
    name: str,
    data: str,
    out: str,
    labelled: bool,
    most: int | None,
    size: tuple[int, int] | None,
    channels: int | None,
    split: str,
    seed: int,
    as_json: bool,
) -> None:
    """Fit the classical model NAME to DATA: what a trained generator has to beat.

    NAME is one of limner list Baseline, alone or with options: PCA, "PCA(components=20)".
    """
    import time

    import limner
    from limner.baselines.base import Baseline
    from limner.core.spec import build, spec
    from limner.likeness import Likeness

    chosen = build(name, Baseline)
    images = gathered(data, size, channels, split)
    say_notes(images)
    if most is not None and most < len(images):
        images = _drawn(images, most, seed)
    remark(f"{len(images):,} pictures, {images.image}; {name}")
    started = time.monotonic()
    nets = chosen.fit(images, labelled=labelled, seed=seed)
    seconds = time.monotonic() - started
    counts = [int((images.labels == k).sum()) for k in range(len(images.names))] if images.labels is not None else []
    about = {"source": Path(data).name, "fingerprint": images.fingerprint, "count": len(images)}
    header = {"limner": limner.__version__, "recipe": spec(chosen), "data": about, "counts": counts, "seed": seed}
    with writing(out):
        path = Likeness(nets, images.names if labelled else (), header).save(out)
    if as_json:
        emit({"model": path, "seconds": round(seconds, 2), "pictures": len(images)})
        return
    line(f"model    {path}  ({duration(seconds)})")
    line(f"next     limner sample {path} -n 64 --out grid.png")


def _drawn(images: Images, most: int, seed: int) -> Images:
    import dataclasses

    import numpy as np

    rows = np.sort(np.random.default_rng(seed).permutation(len(images))[:most])
    labels = None if images.labels is None else images.labels[rows]
    return dataclasses.replace(images, pixels=images.pixels[rows], labels=labels, files=())
