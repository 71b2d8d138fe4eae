"""`limner judge`: people say which pictures are real, on a page that this machine serves."""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.flags import (
    channels_flag,
    device_flag,
    examples,
    json_flag,
    load_files,
    pick_device,
    seed_flag,
    size_flag,
    with_flag,
)
from limner.cli.pictures import gathered, say_notes, splits
from limner.cli.show import emit, line, remark, writing
from limner.cli.signals import Stop
from limner.core.errors import UserError

if TYPE_CHECKING:
    from limner.core.pixels import Bytes
    from limner.data.images import Images
    from limner.judging.server import Server
    from limner.judging.session import Session
    from limner.judging.store import Judgements
    from limner.judging.study import Study

PORT = 8765
FIXED = ("mode", "exposure", "trials", "seed", "model", "data")
"""What must stay as it was when a study goes on."""


@click.command(
    epilog=examples(
        "limner judge runs/demo digits",
        "limner judge runs/demo digits --mode pair --trials 50 --out pairs.sqlite",
        "limner judge runs/faces photos/ --exposure 250ms",
        "limner judge runs/faces photos/ --exposure staircase --trials 150  # as HYPE_time",
        "limner judge generated/ photos/ --size 64  # pictures of any other program",
        "limner judge runs/demo digits --share  # raters on the local network",
        "limner judge --results judgements.sqlite  # error rate, agreement, tables, a sheet",
    )
)
@click.argument("model", metavar="[MODEL", required=False)
@click.argument("data", metavar="DATA]", required=False)
@click.option(
    "--out", metavar="X.sqlite", help="Where answers go. Default: judgements.sqlite; with --results, beside that file."
)
@click.option("--results", "finished", metavar="X.sqlite", help="Ask nobody; say what such a file holds.")
@click.option("--mode", default="single", show_default=True, metavar="single|pair", help="Real or fake, or which of 2.")
@click.option(
    "--exposure", default="none", show_default=True, metavar="250ms|none|staircase", help="How long pictures are seen."
)
@click.option("--trials", type=click.IntRange(2), default=100, show_default=True, help="Answers of each rater.")
@click.option(
    "--precision",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=0.05,
    show_default=True,
    help="Enough when the error rate's 95 % interval is this ±.",
)
@click.option("--split", metavar="NAME", help="The real pictures. Default: test, or train where there is no test.")
@size_flag
@channels_flag
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes any.")
@click.option("--share", is_flag=True, help="Let raters on the local network in, by the link that is printed.")
@click.option("--open/--no-open", "show", default=True, help="Open the page in a browser here.")
@with_flag
@seed_flag
@device_flag
@json_flag
def judge(
    model: str | None, data: str | None, out: str | None, finished: str | None, mode: str, exposure: str, trials: int,
    precision: float, split: str | None, size: tuple[int, int] | None, channels: int | None, port: int, share: bool,
    show: bool, files: tuple[str, ...], seed: int, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Let people tell pictures of MODEL from the real ones in DATA, on a local page; Ctrl-C ends it.

    MODEL is a model.safetensors, a run folder, or a folder of generated pictures. The same command again goes on
    with the same file; a rater who reloads goes on too.
    """
    if finished is not None:
        from limner.cli.judged import tell

        tell(Path(finished), Path(out) if out else None, as_json)
        return
    if model is None or data is None:
        raise UserError("say whose pictures to judge and against which: limner judge MODEL DATA")
    path = Path(out or "judgements.sqlite")
    study = _study(mode, exposure, trials, precision, seed, model, data)
    load_files(files)
    from limner.judging.store import create

    if path.exists():
        _check(path, study)
    real, fake, sources = _pictures(study, split, size, channels, device)
    study = dataclasses.replace(study, pictures=_digest(real, fake))
    with writing(path):
        judgements = _resumed(path, study) if path.exists() else create(path, study, real, fake, sources)
    try:
        code = _serve(judgements, port, share, show, as_json)
    finally:
        judgements.close()
    click.get_current_context().exit(code)


def _study(mode: str, exposure: str, trials: int, precision: float, seed: int, model: str, data: str) -> Study:
    from limner.core.errors import unknown
    from limner.judging import study

    if mode not in study.MODES:
        raise unknown("--mode", mode, study.MODES)
    return study.Study(mode, study.exposure(exposure), trials, precision, seed, model, data)


def _check(path: Path, study: Study) -> None:
    """Raises UserError when the file holds no such study."""
    from limner.judging.store import Judgements

    found = Judgements(path)
    found.close()
    for name in FIXED:
        old, new = getattr(found.study, name), getattr(study, name)
        if old != new:
            raise UserError(f"{path} is a study with {name} {old}, not {new}; give another --out, or {name} {old}")


def _resumed(path: Path, study: Study) -> Judgements:
    """The study to go on with. Raises UserError when it was begun with other pictures."""
    from limner.judging.store import Judgements

    found = Judgements(path)
    if found.study.pictures != study.pictures:
        found.close()
        raise UserError(f"{path} was begun with other pictures: the model or the data has changed; give another --out")
    found.study = study
    wrong, n = found.counts()
    remark(f"note: going on with {path}: {n} answers of {len(found.raters())} raters, {wrong} of them wrong")
    return found


def _pictures(
    study: Study, split: str | None, size: tuple[int, int] | None, channels: int | None, device: str
) -> tuple[Bytes, Bytes, list[str]]:
    """Real pictures, fakes, and where each is from."""
    fake, names, shape = _fakes(study, size, channels, device)
    there = splits(study.data)
    chosen = split or ("test" if "test" in there else "train")
    real = gathered(study.data, shape or size, fake.shape[3] if shape else channels, chosen)
    say_notes(real)
    if chosen == "train":
        remark(f"note: these are training pictures of {study.data}; a model that copies them cannot be told from them")
    _alike(study, fake, real)
    rows = _rows(study, real, study.reals, study.data)
    return real.pixels[rows], fake, [*_names(real, rows), *names]


def _digest(real: Bytes, fake: Bytes) -> str:
    import hashlib

    whole = hashlib.blake2b(digest_size=16)
    for pixels in (real, fake):
        whole.update(f"{pixels.shape}".encode() + pixels.tobytes())
    return whole.hexdigest()


def _fakes(
    study: Study, size: tuple[int, int] | None, channels: int | None, device: str
) -> tuple[Bytes, list[str], tuple[int, int] | None]:
    """The fakes, where each is from, and the size that real pictures must be read in, if a model dictates one."""
    given = Path(study.model)
    if given.is_dir() and not (given / "model.safetensors").exists():
        made = gathered(study.model, size, channels, "train")
        say_notes(made)
        rows = _rows(study, made, study.fakes, study.model)
        return made.pixels[rows], _names(made, rows), None
    from limner.likeness import load

    likeness = load(given, pick_device(device))
    image = likeness.image
    if size not in (None, (image.height, image.width)) or channels not in (None, image.channels):
        raise UserError(f"{study.model} makes {image} pictures, and no others; leave out --size and --channels")
    drawn = likeness.sample(study.fakes, study.seed)
    return drawn, [f"sample {k}" for k in range(len(drawn))], (image.height, image.width)


def _alike(study: Study, fake: Bytes, real: Images) -> None:
    """Raises UserError where the shape of a picture would tell what it is."""
    from limner.core.pixels import Image

    _, height, width, channels = fake.shape
    made, there = Image(channels, height, width), real.image
    if made != there:
        few = min((made, there), key=lambda image: image.height * image.width)
        alike = f"--size {few.height}x{few.width} --channels {max(channels, there.channels)}"
        raise UserError(f"{study.model} has {made} pictures, {study.data} {there}; read them alike with {alike}")


def _rows(study: Study, images: Images, wanted: int, source: str) -> Any:
    """Which pictures are shown, drawn without repetition. Raises UserError where there are too few."""
    import torch

    from limner.core.rng import generator

    if len(images) < wanted:
        most = len(images) * (1 if study.mode == "pair" else 2)
        told = f"{study.trials} trials show {wanted}; give --trials {most}, or more pictures"
        raise UserError(f"{source} has {len(images)} usable pictures and {told}")
    return torch.randperm(len(images), generator=generator(study.seed, 0, f"judge {source}"))[:wanted].numpy()


def _names(images: Images, rows: Any) -> list[str]:
    return [images.files[row] if images.files else f"{images.source} {row}" for row in rows.tolist()]


def _serve(judgements: Judgements, port: int, share: bool, show: bool, as_json: bool) -> int:
    """Serve until everyone is done or somebody says stop; the exit code."""
    from limner.cli.judged import say
    from limner.judging.server import Server
    from limner.judging.session import Session

    with Stop() as stop, Server(Session(judgements), port, share) as server:
        _announce(server, share, show, as_json)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        done = _wait(server.session, stop, share)
        server.shutdown()
        thread.join()
    if judgements.counts()[1]:
        say(judgements, as_json)
    else:
        remark(f"nobody has judged yet; the same command goes on with {judgements.path}")
    return 0 if done else stop.exit_code


def _announce(server: Server, share: bool, show: bool, as_json: bool) -> None:
    import webbrowser

    if as_json:
        emit({"link": server.link, "file": server.session.judgements.path})
    else:
        line(f"judge at  {server.link}")
    if share:
        remark("note: who has this link and is on this network may judge; the connection is not encrypted")
    remark("Ctrl-C ends it; every answer is saved at once")
    if show:
        webbrowser.open(server.link)


def _wait(session: Session, stop: Stop, share: bool) -> bool:
    """Whether everything that was asked for has been answered; with --share others may still come."""
    seen = -1
    while not stop():
        count = session.judgements.counts()[1]
        if count != seen:
            seen = count
            if session.settled() or (not share and session.finished()):
                time.sleep(0.5)  # the last page is on its way
                return True
        time.sleep(0.1)
    return False
