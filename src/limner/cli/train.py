"""`limner train`: pictures in, a run folder out."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.begin import Wish, balance_of, begin, held_out_of, reopen
from limner.cli.flags import channels_flag, device_flag, examples, json_flag, pick_device, seed_flag, size_flag
from limner.cli.pictures import say_notes
from limner.cli.show import Tick, emit, line, progress, remark, writing
from limner.cli.values import COUNT, DURATION, duration

if TYPE_CHECKING:
    from limner.core.events import Event
    from limner.data.images import Images
    from limner.project import Project


@click.command(
    epilog=examples(
        "limner train digits --out runs/digits --for 2m",
        "limner train photos/ --out runs/photos --size 64 --for 1h30m",
        "limner train photos/ --out runs/photos --for 8h --until flat",
        "limner train photos.zip --out runs/p --recipe textbook --images 2M --seed 1",
        "limner train photos/ --out runs/p -o objective.game=Hinge -o lr=2e-4 -o batch=128",
        "limner train --out runs/photos --resume --for 3h  # go on, now for 3 hours in all",
        "limner train photos/ --out runs/p --with my_loss.py -o objective=MyLoss",
        "limner train photos/ --out runs/p --devices 2  # one process a device",
        "limner train photos/ --to paintings/ --out runs/p --recipe cyclegan",
    )
)
@click.argument("data", required=False)
@click.option("--out", required=True, metavar="RUN", help="The run folder: created, or gone on with by --resume.")
@click.option("--to", default="", metavar="OTHER", help="Pictures of a second domain, for recipes that translate.")
@click.option("--recipe", metavar="NAME", help="See limner list recipes. Default: what suits the data.")
@click.option("--for", "seconds", type=DURATION, metavar="TIME", help="Train so long: 90s, 10m, 1h30m. Default: 10m.")
@click.option("--images", type=COUNT, metavar="N", help="Train on so many images: 500k, 2M.")
@click.option("--until", type=click.Choice(["flat"]), help="Stop before, once the held-out score gets no better.")
@size_flag
@channels_flag
@click.option("--split", default="train", show_default=True, metavar="NAME", help="Which part of the data.")
@click.option("--batch", type=COUNT, metavar="N", help="Images a step: short for -o batch=N.")
@click.option("-o", "assignments", multiple=True, metavar="KEY=VALUE", help="Change an option; see limner list.")
@click.option("--with", "files", multiple=True, metavar="FILE.py", help="Your own file; copied into the run folder.")
@click.option("--resume", is_flag=True, help="Go on from the newest checkpoint in RUN.")
@click.option("--devices", type=click.IntRange(1), default=1, show_default=True, help="Processes on this machine.")
@click.option("--nodes", type=click.IntRange(1), default=1, show_default=True, help="Machines; set MASTER_ADDR.")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="On a CPU. Default: as many as are free.")
@device_flag
@seed_flag
@json_flag
def train(resume: bool, devices: int, nodes: int, batch: int | None, as_json: bool, out: str, **rest: Any) -> int:
    """Train a generator on DATA.

    DATA is `digits`, a folder of pictures (one sub-folder a class, if there are classes), a zip or tar of one,
    IDX files, .npz, .npy, parquet or hf:owner/name. Ctrl-C and SIGTERM save first; --resume goes on bit for bit.
    """
    from limner.cli import launch

    if devices * nodes > 1 and not launch.is_child():
        arguments = click.get_current_context().find_root().obj
        return launch.run_across(arguments, devices, nodes) if nodes > 1 else launch.run_here(arguments, devices)
    rest["assignments"] = (*([f"batch={batch}"] if batch else []), *rest["assignments"])
    wish = Wish(out=Path(out), **rest)
    with writing(wish.out):
        return _train(wish, resume, as_json)


def _train(wish: Wish, resume: bool, as_json: bool) -> int:
    from limner.cli.signals import Stop
    from limner.core import parallel

    device = _own_device(wish.device)
    _join(device)
    first = parallel.rank() == 0
    try:
        with _first_alone():
            project, images = _open(wish, device, resume, first)
        held_out = held_out_of(project, images)
        if first:
            say_notes(images)
            _say_plan(project, images)
        balance = balance_of(project, device, wish.threads)
        with Stop() as stop, progress("training") if first else nullcontext(_silent) as tick:
            screen = Screen(tick, as_json)
            for event in project.work(images, held_out, device=device, stop=stop, balance=balance):
                if first:
                    screen.show(event)
    finally:
        parallel.leave()
    if first:
        _conclude(project, stop.exit_code, as_json)
    return stop.exit_code


def _open(wish: Wish, device: str, resume: bool, first: bool) -> tuple[Project, Images]:
    """The run folder and its data; processes after the first find what that one has made."""
    if not first:
        again = Wish(wish.data, wish.out, to=wish.to) if resume else Wish(None, wish.out)
        return reopen(replace(again, threads=wish.threads))
    return reopen(wish) if resume else begin(wish, device)


def _own_device(name: str) -> str:
    """Each process on a machine takes the GPU of its number."""
    device = pick_device(name)
    return f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" and "LOCAL_RANK" in os.environ else device


def _join(device: str) -> None:
    import torch

    from limner.core import parallel

    parallel.join(torch.device(device))


@contextmanager
def _first_alone() -> Generator[None]:
    """Process 0 does it first (it writes the folder and the cache), then the others."""
    import torch.distributed as dist

    several = dist.is_initialized()
    if several and dist.get_rank() > 0:
        dist.barrier()
    yield
    if several and dist.get_rank() == 0:
        dist.barrier()


def _silent(share: float, images: float, also: str = "") -> None:
    """The progress of a process that is not the first."""


def _say_plan(project: Project, images: Images) -> None:
    said = project.settings
    budget = said.budget
    until = [duration(budget.seconds)] if budget.seconds else []
    until += [f"{budget.images:,} images"] if budget.images else []
    until += ["the held-out score is flat"] if budget.flat else []
    remark(f"{len(images):,} pictures, {images.image}; recipe {said.recipe}; until {' or '.join(until)}")
    remark(f"watch {project.folder / 'preview.png'}: what is learned so far, within a minute and from then on")
    told = max((net.get("classes", 0) for net in said.run["nets"].values()), default=0)
    if images.names and not told and "generator" in said.run["nets"]:
        remark(f"note: the networks are not told the {len(images.names)} labels; sample --label will not work")


class Screen:
    """What is said of a training's events while it runs."""

    def __init__(self, tick: Tick, as_json: bool) -> None:
        self._tick, self._as_json, self._score = tick, as_json, ""

    def show(self, event: Event) -> None:
        """Progress with the newest score, alarms and remarks; with --json, everything but progress and pictures."""
        from limner.core.events import Alarm, Glance, Preview, Progress, Scores, Threads

        match event:
            case Progress():
                self._tick(event.share, event.nimg, self._score)
            case Scores():
                self._score = f"held-out score {event.score:.3g}"
            case Alarm():
                remark(f"alarm: {event.words}" + (f"; {event.action}" if event.action else ""))
            case Threads():
                remark(f"threads: {event.words}")
            case _:
                pass
        if self._as_json and not isinstance(event, (Preview, Progress, Glance)):
            emit({"event": type(event).__name__, **event.__dict__})


def _conclude(project: Project, exit_code: int, as_json: bool) -> None:
    from limner.likeness import load
    from limner.report.standing import standing_of

    folder, standing = project.folder, standing_of(project.folder)
    if as_json:
        made = {"run": folder, "model": folder / "model.safetensors", "preview": folder / "preview.png"}
        emit(made | ({"standing": standing.report} if standing else {}))
        return
    for words in standing.words if standing else ():
        line(words)
    if (folder / "model.safetensors").exists() and not load(folder).header["nimg"]:
        remark("note: no look scored better than the untrained networks, so the model file holds those; train longer,"
               " or begin again with -o keep=last")  # fmt: skip
    if exit_code:
        line(f"stopped and saved; go on with: limner train --out {folder} --resume")
        return
    for kind, name in (("model", "model.safetensors"), ("samples", "preview.png"), ("curve", "curve.png")):
        if (folder / name).exists():
            line(f"{kind:<8} {folder / name}")
    if "damage" in project.settings.run["objective"]:
        line(f"next     limner restore {folder} PICTURES --out {folder / 'restored'}/")
    elif "translator" in project.settings.run["nets"]:
        line(f"next     limner translate {folder} PICTURES --out {folder / 'translated'}/")
    elif "generator" in project.settings.run["nets"]:
        line(f"next     limner sample {folder} -n 64 --out {folder / 'grid.png'}")
    else:
        line(f"next     limner dream {folder} --space pixels --out {folder / 'dream.png'}")
