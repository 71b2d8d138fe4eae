"""Are the alarms right? Healthy and sabotaged short trainings, and what was said of them.

    python benchmarks/alarms.py --first 1000 --seeds 6       6 seeds of each sabotage, and as many healthy runs in all
    python benchmarks/alarms.py                              sums up the rows that are there

Every training is a line of --rows (benchmarks/alarms.jsonl), and none that is there is done again. All are dense
networks on built-in digits at 8×8, looked at as in `limner train`; looks are free, as they nearly are in a long run.
Thresholds in limner/alarms.py were chosen on seeds below 1000 and are reported on seeds from 1000 on.

A sabotage is *heard* when one of the alarms meant for it (`CASES`) is raised; its delay is counted from its first
moment, in shares of the run. An alarm of a healthy run, or before the sabotage, is false. What a smaller rate could
heal is *rescued* when the last look has a fifth of the first distance or less; `--rescues 0` shows what heals itself.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from rows import read, work
from torch import Tensor, nn

from limner.alarms import ill, worried
from limner.core.events import Alarm, Event, Scores
from limner.core.health import Health
from limner.core.pace import Pace
from limner.core.shares import wilson
from limner.core.spec import build, register
from limner.data.batches import Batches
from limner.data.gather import gather
from limner.data.images import Images
from limner.monitor import monitor
from limner.objectives.base import Penalty, Scene
from limner.objectives.penalties import squared
from limner.project import as_good_as_any, fewer, set_aside
from limner.recipes.base import Facts, plan
from limner.run import Run
from limner.train import Budget, State, train

SIDE, COUNT = 8, 12_800
BASE = ("generator.width=64", "critic.width=64", "batch=32", "average=640", "lr=0.002", "precision=fp32")
FRESH = 1000
"""Seeds from here on are for reporting."""
FREE = ("critic.width=256", "critic.dropout=0", "augment=none", "objective.penalties=[R1(0.1), R2(0.1)]")
"""A critic that may know pictures by heart."""
WELL = 0.2
"""Share of the first distance at which a training counts as rescued."""
fired: set[str] = set()
"""Accidents that have happened in this training: going back does not bring them again."""


@register
@dataclass(frozen=True)
class Reversed(Penalty):
    """A slope penalty with the wrong sign, between two shares of the run."""

    begin: float = 0.5
    end: float = 1.0

    def __call__(self, scene: Scene) -> Tensor:
        wrong = self.begin <= scene.at.progress < self.end
        return -2.0 * wrong * squared(scene.real_slope)


@register
@dataclass(frozen=True)
class Accident(Penalty):
    """One step whose loss is no number, or after which the critic's weights are gone; once, or from then on."""

    begin: float = 0.5
    what: str = "nan"
    once: bool = True

    def __call__(self, scene: Scene) -> Tensor:
        due = scene.at.progress >= self.begin and not (self.once and self.what in fired)
        if due:
            fired.add("due" if self.what == "blank" else self.what)
        return torch.full_like(scene.real_logits, float("nan") if due and self.what == "nan" else 0.0)

    @torch.no_grad()
    def project(self, critic: nn.Module) -> None:
        if "due" in fired:
            fired.discard("due")
            fired.add("blank")
            for weight in critic.parameters():
                weight.zero_()


@dataclass(frozen=True)
class Case:
    """One kind of training: what is changed, the alarms meant for it, and whether a smaller rate could heal it.

    changes: assignments, given the share of the run at which trouble begins
    data: pictures, given healthy ones and a generator of random numbers
    early: whether trouble begins with the run
    """

    alarms: tuple[str, ...]
    changes: Callable[[float], tuple[str, ...]] = lambda begin: ()
    data: Callable[[Images, np.random.Generator], Images] = lambda images, rng: images
    early: bool = True
    curable: bool = False


def penalties(extra: str) -> tuple[str, ...]:
    return (f"objective.penalties=[R1(1.0), R2(1.0), {extra}]",)


def doubled(images: Images, rng: np.random.Generator) -> Images:
    """Forty pictures, again and again."""
    return chosen(images, rng.choice(rng.integers(0, len(images), 40), 1000))


def shuffled(images: Images, rng: np.random.Generator) -> Images:
    """Labels of other pictures."""
    assert images.labels is not None
    return dataclasses.replace(images, labels=rng.permutation(images.labels))


def chosen(images: Images, rows: np.ndarray) -> Images:
    labels = None if images.labels is None else images.labels[rows]
    return dataclasses.replace(images, pixels=np.ascontiguousarray(images.pixels[rows]), labels=labels, files=())


BROKEN = ("collapse", "worse than untrained", "coming apart", "dead critic", "fooled critic", "no progress")
BROKEN += ("not finite", "standstill")
CASES = {
    "broken penalty": Case(BROKEN, lambda begin: penalties(f"Reversed({begin})"), early=False),
    "broken penalty for a while": Case(
        BROKEN, lambda begin: penalties(f"Reversed({begin}, {begin + 0.1})"), early=False, curable=True
    ),
    "rate × 50": Case(BROKEN, lambda begin: ("lr=0.1",), curable=True),
    "rate × 50 midway": Case(BROKEN, lambda begin: (f"lr=Step(0.002, 0.1, 0.0, {begin})",), early=False, curable=True),
    "critic erased": Case(BROKEN, lambda begin: penalties(f"Accident({begin}, blank)"), early=False, curable=True),
    "critic frozen": Case(
        BROKEN, lambda begin: (f"players.critic.optimizer.lr=Step(0.002, 0.0, 0.0, {begin})",), early=False
    ),
    "doubled pictures": Case(("doubles",), data=doubled),
    "50 pictures": Case(("by heart", "over-fitting", "memorising"), lambda begin: (*FREE, "pictures=50")),
    "shuffled labels": Case(("labels",), data=shuffled),
    "not a number": Case(("not finite",), lambda begin: penalties(f"Accident({begin})"), early=False, curable=True),
}


def healthy(rng: np.random.Generator) -> tuple[str, ...]:
    """Settings that ought to work."""
    rate = 0.002 * 2 ** rng.uniform(-1, 1)
    game = rng.choice(["Relativistic", "Relativistic", "NonSaturating", "Hinge"])
    few = rng.random() < 0.25
    changes = (f"lr={rate:.6f}", f"generator.width={rng.choice([48, 64, 96])}", f"objective.game={game}")
    changes += (f"batch={rng.choice([32, 64])}",)
    return (*changes, "pictures=1000" if few else f"augment={rng.choice(['none', 'DiffAugment'])}")


def trial(name: str, seed: int, rescues: int | None) -> dict[str, Any]:
    """One training in a run folder of its own, and what was said."""
    case, rng = CASES.get(name, Case(())), np.random.default_rng([seed, [*CASES, "healthy"].index(name)])
    begin = 0.0 if case.early else round(float(rng.uniform(0.3, 0.6)), 3)
    images = gather("digits", size=(SIDE, SIDE))
    images = case.data(chosen(images, np.sort(rng.permutation(len(images))[:4000])), rng)
    extra = healthy(rng) if name == "healthy" else case.changes(begin)
    told = len(images.names) if (name in ("shuffled labels", "healthy") and seed % 2 == 0) or "labels" in name else 0
    run = plan("plain", Facts(images.image, len(images), told, "cpu", seed), (*BASE, *extra))
    run |= {"rescues": 3 if rescues is None else rescues}
    fired.clear()
    started = time.process_time()
    found = listen(watched(build(run, Run), images))
    heard = [a for a in found["alarms"] if a["share"] >= begin and a["kind"] in case.alarms]
    row = {"case": name, "seed": seed, "rescues": rescues, "begin": begin, "heard": heard[0]["kind"] if heard else ""}
    row["delay"] = round(heard[0]["share"] - begin, 4) if heard else None
    row["false"] = sorted({a["kind"] for a in found["alarms"] if name == "healthy" or a["share"] < begin})
    return row | found | {"cpu seconds": round(time.process_time() - started, 1)}


def watched(run: Run, images: Images) -> Iterator[Event]:
    """What a project does, without its folder: training, looks, alarms, rescues."""
    state = State(run, torch.device("cpu"))
    among, held_out = set_aside(images, None, run.seed)
    known = chosen(images, fewer(among, run))

    def health() -> Health:
        return Health(not as_good_as_any(state.history), worried(state.history), ill(state.history))

    events = train(state, run, Batches(known, run.batch, run.seed), until=Budget(images=COUNT), health=health)
    return monitor(events, state, known, held_out, n=256, seed=run.seed)


def listen(events: Iterator[Event]) -> dict[str, Any]:
    """Alarms and the last score as a share of the first."""
    alarms: list[dict[str, Any]] = []
    scores: list[float] = []
    ended = "budget"
    try:
        for event in events:
            if isinstance(event, Alarm):
                alarms.append({"kind": event.kind, "share": round(event.nimg / COUNT, 4), "action": event.action})
            if isinstance(event, Scores):
                scores.append(event.score)
    except ValueError as error:
        ended = str(error)
    return {"alarms": alarms, "last": round(scores[-1] / scores[0], 4), "ended": ended}


def share(good: int, n: int) -> str:
    """`38 of 40, 95.0% (83.5% … 98.6%)`."""
    if not n:
        return "–"
    low, high = wilson(good / n, n, 1.96)
    return f"{good} of {n}, {good / n:.1%} ({low:.1%} … {high:.1%})"


def summary(rows: list[dict[str, Any]]) -> str:
    """What was heard, how late, and what was rescued, by sabotage and over all; then false alarms."""
    lines = ["| sabotage | heard | median delay | rescued | heals without |", "| --- | --- | --- | --- | --- |"]
    default = [row for row in rows if row["rescues"] is None]
    for name in (*CASES, "all"):
        of = [r for r in default if r["case"] != "healthy" and name in ("all", r["case"])]
        curable = [r for r in of if CASES[r["case"]].curable]
        alone = [r for r in rows if r["rescues"] == 0 and name in ("all", r["case"])]
        delays = [r["delay"] for r in of if r["heard"]]
        cells = [name, share(sum(bool(r["heard"]) for r in of), len(of)), f"{median(delays):.1%}" if delays else "–"]
        cells += [share(sum(rescued(r) for r in curable), len(curable))]
        cells += [share(sum(rescued(r) for r in alone), len(alone))]
        lines.append("| " + " | ".join(cells) + " |")
    well = [r for r in default if r["case"] == "healthy"]
    early = [r for r in default if r["case"] != "healthy" and r["false"]]
    lines += ["", f"healthy runs with an alarm: {share(sum(bool(r['false']) for r in well), len(well))}",
              f"sabotaged runs with an alarm before the sabotage: {len(early)}",
              f"CPU minutes: {sum(r['cpu seconds'] for r in rows) / 60:.1f}"]  # fmt: skip
    return "\n".join(lines)


def rescued(row: dict[str, Any]) -> bool:
    """Whether a training ended well."""
    return row["ended"] == "budget" and row["last"] <= WELL


def main() -> None:
    """Do the seeds asked for, then print the table of the fresh ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=FRESH)
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=["healthy", *CASES], metavar="CASE")
    parser.add_argument("--rescues", type=int, help="by default what the recipe says")
    parser.add_argument("--rows", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    Pace.took = lambda *_: 0.0
    seeds = range(given.first, given.first + given.seeds)
    tasks = ((name, seed, given.rescues) for seed in seeds for name in given.only)
    for row in work(given.rows, ("case", "seed", "rescues"), tasks, trial):
        print(json.dumps(row), flush=True)
    rows = read(given.rows)
    print(summary(rows) if rows else "no rows yet: give --seeds 6")


if __name__ == "__main__":
    main()
