"""Which share of trainings converges, over seeds and drawn settings: the default objective beside two classics.

    python benchmarks/stability.py ring grid digits --trials 50     50 drawn settings each, for every contestant
    python benchmarks/stability.py digits --only default --trials 200
    python benchmarks/stability.py                                  sums up the rows that are there
    python benchmarks/stability.py --picture docs/pictures/stability.png

Each finished training is a line of --rows (benchmarks/stability.jsonl), and none that is there is done again: stop the
command whenever you like, give it more trials later. Trial k has the same settings for every contestant: networks,
code, batch and rate are shared; game, penalties, Adam's momenta and the critic's turns are the contestant's own. All
see the same number of images, WGAN-GP twice as many: its critic's five turns each see new ones.

Said before the study, on pilots of trials 900 to 999: the settings (`drawn`), the budgets (`IMAGES`), the rate's
curve and what it is to converge (`converged`). A training that ends in weights that are no numbers has not converged.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import read, work
from torch import Tensor

from limner.core.pixels import Image, to_float
from limner.core.rng import generator
from limner.core.shares import wilson
from limner.core.spec import Spec, build, spec
from limner.data.batches import Batches
from limner.data.gather import gather
from limner.metrics.fixed import RandomFeatures
from limner.metrics.frechet import FrechetDistance
from limner.objectives.base import generator_of
from limner.proofs.mixtures import GAMMA, LATENT, MIXTURES, follow
from limner.run import Run
from limner.train import Budget, GaveUp, State, train

Settings = dict[str, Any]
Found = dict[str, float]
IMAGES = {"ring": 100_000, "grid": 200_000, "digits": 12_000}
"""What a training sees; WGAN-GP twice as many."""
CHOICES: dict[str, dict[str, tuple[int, ...]]] = {
    "ring": {"width": (48, 64, 96), "depth": (4, 5, 6, 7), "batch": (128, 256)},
    "grid": {"width": (48, 64, 96), "depth": (4, 5, 6, 7), "batch": (128, 256)},
    "digits": {"width": (8, 16, 24), "batch": (32, 64)},
}
RATE = {"ring": 2e-3, "grid": 2e-3, "digits": 1e-3}
"""Base rates: those of the proof `mixtures` and of the recipe `default`."""
PENALTY = {"ring": GAMMA, "grid": GAMMA, "digits": "1.0"}
MODES = {"ring": 7, "grid": 22}
ENOUGH = {"ring": 80.0, "grid": 60.0, "digits": 0.2}
"""High quality in percent of 2,500 samples; Fréchet distance as a share of that of the untrained networks."""
SIDE = 16


def contestants(problem: str) -> dict[str, tuple[Spec, float, float, int]]:
    """Name → objective, Adam's β₁ and β₂, turns of the critic."""
    gamma = PENALTY[problem]
    return {
        "default": ({"is": "GAN", "game": "Relativistic", "penalties": [f"R1({gamma})", f"R2({gamma})"]}, 0.0, 0.99, 1),
        "textbook GAN": ({"is": "GAN", "game": "NonSaturating", "penalties": []}, 0.5, 0.999, 1),
        "WGAN-GP": ({"is": "GAN", "game": "Wasserstein", "penalties": ["GradientPenalty(10.0)"]}, 0.0, 0.9, 5),
    }


def converged(problem: str, found: Found) -> bool:
    """Enough modes and enough samples within 3σ of one; or a fifth of the first Fréchet distance."""
    if problem == "digits":
        return found["distance"] <= ENOUGH["digits"]
    return found["modes"] >= MODES[problem] and found["quality"] >= ENOUGH[problem]


def drawn(problem: str, trial: int) -> Settings:
    """What a trial is told: equally likely choices, and a rate from a quarter to four times the base."""
    rng = np.random.default_rng([trial, sorted(IMAGES).index(problem)])
    chosen = {name: int(rng.choice(values)) for name, values in CHOICES[problem].items()}
    return chosen | {"factor": round(float(4 ** rng.uniform(-1, 1)), 4)}


def planned(problem: str, name: str, told: Settings, seed: int) -> Run:
    """The training: networks of the problem, the contestant's objective and optimizer."""
    objective, beta1, beta2, turns = contestants(problem)[name]
    rate = RATE[problem] * told["factor"]
    points = problem != "digits"
    curve = {"is": "Cosine", "start": rate, "end": rate / (200 if points else 10), "begin": 0.0 if points else 0.5}
    adam = {"is": "Adam", "lr": curve, "beta1": beta1, "beta2": beta2}
    image = spec(Image(2, 1, 1) if points else Image(1, SIDE, SIDE))
    net = {"image": image, "width": told["width"]} | ({"depth": told["depth"]} if points else {})
    kind = "Plain" if points else "Light"
    own = {"latent": LATENT, "output": "linear"} if points else {}
    described = {
        "is": "Run",
        "objective": objective,
        "nets": {"generator": net | {"is": f"{kind}Generator"} | own, "critic": net | {"is": f"{kind}Critic"}},
        "players": {
            "generator": {"is": "Player", "optimizer": adam},
            "critic": {"is": "Player", "optimizer": adam, "steps": turns},
        },
        "batch": told["batch"],
        "average": IMAGES[problem] / 10,
        "seed": seed,
    }
    return build(described, Run)


def on_points(problem: str, name: str, told: Settings, seed: int) -> Found:
    """Modes and high quality of the best look."""
    data = MIXTURES[problem](told["batch"], seed)
    found = follow(planned(problem, name, told, seed), data, budget(problem, name), looks=10)
    return {"modes": found.modes, "quality": round(found.quality, 2)}


def on_digits(problem: str, name: str, told: Settings, seed: int) -> Found:
    """Fréchet distance at the end, as a share of that of the untrained networks."""
    run = planned(problem, name, told, seed)
    seen, held_out = (gather("digits", split=split, size=(SIDE, SIDE)) for split in ("train", "test"))
    state, extract = State(run, torch.device("cpu")), RandomFeatures()
    real = extract(to_float(np.ascontiguousarray(held_out.pixels)))

    def distance() -> float:
        return FrechetDistance()(real, extract(samples(state, len(held_out), seed)))

    first = distance()
    until = Budget(images=budget(problem, name))
    for _ in train(state, run, Batches(seen, run.batch, seed), until=until, looks=10):
        pass
    return {"distance": round(distance() / first, 5)}


@torch.no_grad()
def samples(state: State, n: int, seed: int) -> Tensor:
    """(n, 1, 16, 16) of the averaged generator."""
    net = generator_of(state.averaged)
    z = net.latent.sample(n, generator(seed, 0, "samples"))
    return torch.cat([net(part) for part in z.split(500)])


def budget(problem: str, name: str) -> int:
    """Images that a contestant's critic sees."""
    return IMAGES[problem] * (2 if name == "WGAN-GP" else 1)


PROBLEMS: dict[str, Callable[[str, str, Settings, int], Found]] = {
    "ring": on_points,
    "grid": on_points,
    "digits": on_digits,
}


def attempt(problem: str, name: str, trial: int) -> dict[str, Any]:
    """One line of the rows."""
    told, started = drawn(problem, trial), time.process_time()
    try:
        found = PROBLEMS[problem](problem, name, told, trial)
        good = all(map(math.isfinite, found.values())) and converged(problem, found)
    except (GaveUp, ValueError, np.linalg.LinAlgError) as error:
        found, good = {"gave up": str(error)}, False
    seconds = round(time.process_time() - started, 1)
    row = {"problem": problem, "contestant": name, "trial": trial, "converged": good, "images": budget(problem, name)}
    return row | told | found | {"cpu seconds": seconds}


def summary(rows: list[dict[str, Any]]) -> str:
    """Converged of tried with Wilson's 95 % interval, for each problem and over all."""
    head = "| contestant | problem | converged | share, 95 % interval | CPU minutes |"
    lines = [head, "| --- | --- | --- | --- | --- |"]
    for name in dict.fromkeys(row["contestant"] for row in rows):
        for problem in (*IMAGES, "all"):
            chosen = [r for r in rows if r["contestant"] == name and problem in ("all", r["problem"])]
            if chosen:
                good = sum(r["converged"] for r in chosen)
                low, high = wilson(good / len(chosen), len(chosen), 1.96)
                cells = [name, problem, f"{good} of {len(chosen)}"]
                cells += [f"{good / len(chosen):.1%} ({low:.1%} … {high:.1%})"]
                cells += [f"{sum(r['cpu seconds'] for r in chosen) / 60:.1f}"]
                lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Every training as a dot: its rate across, what came of it up; filled where it converged."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(row["contestant"] for row in rows))
    figure = Figure(figsize=(9, 7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(IMAGES), len(names), squeeze=False, sharex=True, sharey="row")
    for row_of, problem in zip(axes, IMAGES, strict=True):
        field, label = ("distance", "Fréchet, of the first") if problem == "digits" else ("quality", "high quality, %")
        for axis, name in zip(row_of, names, strict=True):
            chosen = [r for r in rows if (r["problem"], r["contestant"]) == (problem, name)]
            for good, colour in ((True, "tab:blue"), (False, "tab:red")):
                shown = [r for r in chosen if r["converged"] is good]
                heights = [r.get(field, 1.0 if problem == "digits" else 0.0) for r in shown]
                axis.scatter([r["factor"] for r in shown], heights, s=14, color=colour, alpha=0.7)
            axis.set_title(f"{name}, {problem}: {sum(r['converged'] for r in chosen)} of {len(chosen)}", fontsize=9)
            axis.set_xscale("log", base=2)
            axis.spines[["top", "right"]].set_visible(False)
            axis.set_yscale("log" if problem == "digits" else "linear")
            axis.axhline(ENOUGH[problem], color="grey", linewidth=0.6)
        row_of[0].set_ylabel(label)
    for axis in axes[-1]:
        axis.set_xlabel("rate, times the base")
    figure.savefig(path, dpi=90)


def main() -> None:
    """Do the trials asked for, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", nargs="*", choices=[*IMAGES, []], metavar="|".join(IMAGES))
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--first", type=int, default=0, help="first trial; pilots are those from 900 on")
    parser.add_argument("--only", nargs="*", default=["default", "textbook GAN", "WGAN-GP"], metavar="CONTESTANT")
    parser.add_argument("--rows", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    trials = range(given.first, given.first + given.trials)
    tasks = ((problem, name, trial) for trial in trials for problem in given.problems for name in given.only)
    for row in work(given.rows, ("problem", "contestant", "trial"), tasks, attempt):
        print(json.dumps(row), flush=True)
    rows = read(given.rows)
    print(summary(rows) if rows else "no rows yet: name a problem")
    if given.picture:
        draw(rows, given.picture)


if __name__ == "__main__":
    main()
