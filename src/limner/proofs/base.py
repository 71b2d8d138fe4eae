"""What a proof is: a function that reruns a published or exact result and yields rows, ours beside theirs.

A proof's name is its function's; its docstring says what is shown, by which protocol. It works at two sizes:
the whole thing, and `quick`, which shows on one core in about twenty seconds that the thing works at all.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Literal, TypeVar

from limner.core.errors import Missing, UserError
from limner.data.gather import gather
from limner.data.images import Images
from limner.likeness import Likeness, load
from limner.project import Project, Settings
from limner.proofs.mosaics import unpacked
from limner.recipes.base import Facts, plan
from limner.train import Budget

T = TypeVar("T")

FOLDERS = {
    "mnist": "mnist",
    "fashion": "fashion-mnist",
    "cifar10": "cifar10",
    "flowers": "flowers/flowers128.zip",
    "kodak": "kodak24",
}
"""Data sets by the name proofs use, and where they lie in the data folder. `digits` is built in."""


@dataclass(frozen=True)
class Row:
    """One line of the table: a number for each seed (one number where the result is exact).

    what: what was measured
    ours: the numbers
    unit: such as "%" or "nats"
    at_least: what the judged number must reach
    at_most: what it must not exceed
    judged: which of the numbers is compared
    published: the number in print and its source, such as "1.35 % (Makhzani & Frey 2014, table 1)"
    protocol: data, budget and how it was measured, in a line
    """

    what: str
    ours: tuple[float, ...]
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    judged: Literal["mean", "median", "best", "worst"] = "mean"
    published: str = ""
    protocol: str = ""

    @property
    def value(self) -> float:
        """The judged number."""
        if self.judged in ("mean", "median"):
            return (mean if self.judged == "mean" else median)(self.ours)
        return (max if (self.at_least is not None) == (self.judged == "best") else min)(self.ours)

    @property
    def met(self) -> bool | None:
        """Whether the target was met; None where there is none."""
        if self.at_least is None and self.at_most is None:
            return None
        low = self.at_least is None or self.value >= self.at_least
        return low and (self.at_most is None or self.value <= self.at_most)


@dataclass(frozen=True)
class Bench:
    """Where a proof works, and how large.

    shared: folder of the data sets
    work: folder for runs, which are gone on with when they are there
    quick: a short version that only shows that it works
    seeds: of the repetitions; a quick proof takes the first
    tick: told what is being done and which share of it is over, 0 to 1
    """

    shared: Path
    work: Path
    quick: bool = False
    seeds: tuple[int, ...] = (0, 1, 2)
    tick: Callable[[str, float], None] = lambda what, share: None

    def pick(self, quick: T, whole: T) -> T:
        """One of two sizes."""
        return quick if self.quick else whole

    def images(self, name: str, split: str = "train", size: tuple[int, int] | None = None) -> Images:
        """A data set by its name here. Raises Missing when it is not in the data folder."""
        return gather(self.source(name), split=split, size=size)

    def source(self, name: str) -> str:
        """What `limner train` would be given. Raises Missing when it is not in the data folder."""
        if name not in FOLDERS:
            return name
        path = self.shared / FOLDERS[name]
        if not path.exists():
            raise Missing(f"{path} is missing; give the folder of the data sets with --data")
        return str(unpacked(path, self.work / f"{name}.npz") if any(path.glob("*.webp")) else path)

    def train(
        self,
        data: str,
        recipe: str,
        seed: int,
        *,
        count: int | None = None,
        seconds: float | None = None,
        assignments: tuple[str, ...] = (),
        size: tuple[int, int] | None = None,
    ) -> Likeness:
        """A model trained by a recipe for `count` images or `seconds`, on one device; trained once, then loaded."""
        return load(self.run(data, recipe, seed, count=count, seconds=seconds, assignments=assignments, size=size))

    def run(
        self,
        data: str,
        recipe: str,
        seed: int,
        *,
        count: int | None = None,
        seconds: float | None = None,
        assignments: tuple[str, ...] = (),
        size: tuple[int, int] | None = None,
    ) -> Path:
        """The folder of such a training. Raises UserError when what was kept is untrained: it would prove nothing."""
        images = self.images(data, size=size)
        classes = len(images.names) if images.told is not None else 0
        facts = Facts(images.image, len(images), classes, "cpu", seed)
        run, budget = plan(recipe, facts, assignments), Budget(count, seconds)
        asked = json.dumps([run, images.fingerprint, count, seconds], sort_keys=True)
        folder = self.work / f"{data}-{recipe}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}-{seed}"
        if (folder / "run.json").exists():
            project = Project.open(folder)
        else:
            settings = Settings.of(images, run, recipe, budget, source=self.source(data))
            project = Project.create(folder, settings)
        for event in project.work(images):
            if (share := getattr(event, "share", None)) is not None:
                self.tick(f"{recipe} on {data}, seed {seed}", share)
        if not load(folder).header["nimg"]:
            raise UserError(f"{folder}: no look scored better than the untrained networks, so those were kept")
        return folder


Proof = Callable[[Bench], Iterator[Row]]

_proofs: dict[str, Proof] = {}


def proof(function: Proof) -> Proof:
    """File a function as the proof of its name."""
    _proofs[function.__name__] = function
    return function


def proofs() -> dict[str, Proof]:
    """Every proof by name."""
    _import_all()
    return dict(sorted(_proofs.items()))


@functools.cache
def _import_all() -> None:
    package = importlib.import_module("limner.proofs")
    for found in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"limner.proofs.{found.name}")
