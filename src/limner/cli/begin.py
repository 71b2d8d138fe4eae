"""How a training begins or goes on: from what the command line asked for to a run folder and its pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from limner.cli.flags import load_files
from limner.cli.pictures import gathered_alike, splits
from limner.core.errors import UserError

if TYPE_CHECKING:
    from limner.core.spec import Spec
    from limner.core.threads import Balance
    from limner.data.images import Images
    from limner.objectives.base import Domains
    from limner.project import Project
    from limner.recipes.base import Facts
    from limner.train import Budget

DEFAULT_SECONDS = 600.0
DEFAULT_RECIPE = "default"


@dataclass(frozen=True)
class Wish:
    """What the command line asked for."""

    data: str | None
    out: Path
    recipe: str | None = None
    seconds: float | None = None
    images: int | None = None
    size: tuple[int, int] | None = None
    channels: int | None = None
    split: str = "train"
    assignments: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    device: str = "auto"
    seed: int = 0
    to: str = ""
    until: str | None = None
    threads: int | None = None


def begin(wish: Wish, device: str) -> tuple[Project, Images]:
    """A new run folder for the data, with the recipe's plan."""
    from limner.data.pairs import arrange
    from limner.project import Project, Settings
    from limner.recipes.base import plan
    from limner.selection import LEAST

    if wish.data is None:
        raise UserError("give DATA: a folder of pictures, a zip, or digits; or --resume a run")
    if (wish.out / "run.json").exists():
        raise UserError(f"{wish.out} already holds a run; add --resume to go on with it, or give another --out")
    load_files(wish.files)
    size = wish.size or _size_in_time(wish, wish.data, device)
    images, other = gathered_alike(wish.data, wish.to, size, wish.channels, wish.split)
    if len(images) < LEAST:
        raise UserError(f"{wish.data}: pictures: {len(images)}; training needs {LEAST} or more, better hundreds")
    recipe = wish.recipe or DEFAULT_RECIPE
    size = images.pixels.shape[1:3]
    domains = domains_of(plan(recipe, facts_of(images, device, wish.seed), wish.assignments))
    images = arrange(images, domains, other)
    run = plan(recipe, facts_of(images, device, wish.seed), wish.assignments)
    budget = _budget(wish)
    where = {"source": wish.data, "split": wish.split, "to": wish.to, "size": size, "threads": _threads(wish, budget)}
    settings = Settings.of(images, run, recipe, budget, **where)
    return Project.create(wish.out, settings, wish.files), images


def reopen(wish: Wish) -> tuple[Project, Images]:
    """A run folder that is there, and the data it was begun with."""
    from limner.project import Project

    if wish.assignments or wish.recipe:
        given = f"--recipe {wish.recipe}" if wish.recipe else f"-o {wish.assignments[0]}"
        raise UserError(f"{given}: a run is gone on with as it was begun; leave it out, or begin another --out")
    project = Project.open(wish.out)
    if wish.to and not wish.data:
        raise UserError(f"--to {wish.to}: give DATA too, or neither, to go on with the pictures of {wish.out}")
    if wish.seconds or wish.images:
        project = project.extend(_budget(wish))
    elif wish.until:
        project = project.extend(replace(project.settings.budget, flat=True))
    if wish.threads:
        project = Project(project.folder, replace(project.settings, threads=wish.threads))
        project.write_settings()
    source, to = (wish.data, wish.to) if wish.data else (project.settings.source, project.settings.to)
    return project, _read_again(project, source, to, project.settings.split)


def _read_again(project: Project, source: str, to: str, split: str) -> Images:
    """Pictures in the shape and form that a run was begun with."""
    from limner.data.pairs import arrange

    said = project.settings
    shape = next(iter(said.run["nets"].values()))["image"]
    size = said.size[0] if said.size else shape["height"], said.size[1] if said.size else shape["width"]
    images, other = gathered_alike(source, to, size, shape["channels"], split)
    return arrange(images, domains_of(said.run), other)


def domains_of(run: Spec) -> Domains:
    """What the batches of a run hold."""
    from limner.core.spec import build
    from limner.objectives.base import Objective

    return build(run["objective"], Objective).domains


def facts_of(images: Images, device: str, seed: int) -> Facts:
    """What a recipe may depend on."""
    from limner.recipes.base import Facts

    classes = 0 if images.told is None else len(images.names)
    return Facts(images.image, len(images), classes, device.partition(":")[0], seed)


def held_out_of(project: Project, images: Images) -> Images | None:
    """The `val` split, if there is one; `test` is left for limner evaluate."""
    to = project.settings.to
    if project.settings.split == "train" and all("val" in splits(source) for source in (images.source, to) if source):
        return _read_again(project, images.source, to, "val")
    return None


def balance_of(project: Project, device: str, asked: int | None) -> Balance | None:
    """How the number of threads is chosen in this session; threads that are asked for, or that a run keeps, are taken.

    Nothing chooses it on a GPU, among several processes, and where OMP_NUM_THREADS says it.
    """
    import torch

    from limner.core import parallel, threads

    kept = asked or (0 if threads.told() else project.settings.threads)
    if device != "cpu" or parallel.size() > 1 or (threads.told() and not kept):
        return None
    if kept:
        torch.set_num_threads(kept)
    now = torch.get_num_threads()
    return threads.Balance(most=kept or threads.most(), count=now, held=bool(kept))


def _threads(wish: Wish, budget: Budget) -> int:
    """Threads that a run keeps: those asked for, or, where it ends after a number of images, those of the beginning.

    So it can be repeated and resumed to the last bit, which hangs on the number of threads.
    """
    import torch

    return wish.threads or (torch.get_num_threads() if budget.seconds is None else 0)


def _size_in_time(wish: Wish, data: str, device: str) -> tuple[int, int] | None:
    """The size that can be done in the time, where the command gives a time, as it does unless it gives images."""
    from limner.cli.sizing import size_in_time
    from limner.core import parallel

    seconds = _budget(wish).seconds
    if seconds is None or wish.to or parallel.size() > 1:
        return None
    recipe = wish.recipe or DEFAULT_RECIPE
    return size_in_time(data, wish.split, wish.channels, seconds, recipe, wish.assignments, device, wish.seed)


def _budget(wish: Wish) -> Budget:
    from limner.train import Budget

    seconds = wish.seconds if wish.seconds or wish.images else DEFAULT_SECONDS
    return Budget(wish.images, seconds, flat=wish.until == "flat")
