"""Train, evaluate, append a row: how good a recipe is after a stated time.

    python benchmarks/quality.py digits --for 90s
    python benchmarks/quality.py mnist fashion flowers --for 5m --recipe default textbook --seeds 0 1 2
    python benchmarks/quality.py flowers --size 128 --for 60m
    python benchmarks/quality.py                     sums up what the table holds

MNIST, Fashion-MNIST, CIFAR-10 and the flowers are looked for in ../shared/data (or --shared FOLDER); `digits` is built
in. Recipes take turns on the same machine for the same seconds; nothing else should run. Samples are scored against the
test split (the training split where the test split has under 2,000 images) on in-domain features and, where there is
a network that was trained elsewhere, on its features: a file of weights for digits, `photographs` for flowers. Rows
are appended to benchmarks/quality.md with seed, machine and date.
"""

from __future__ import annotations

import argparse
import gzip
import platform
import tempfile
import time
from pathlib import Path
from statistics import mean

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray

from limner.cli.values import DURATION
from limner.core.events import Finished
from limner.core.pixels import enlarge, grid, save_png
from limner.data.gather import gather
from limner.data.images import Images
from limner.evaluate import Score, Scored, evaluate
from limner.likeness import load
from limner.metrics.features import choose
from limner.project import Project, Settings
from limner.recipes.base import Facts, plan
from limner.train import Budget

SOURCES = {"mnist": "mnist", "fashion": "fashion-mnist", "flowers": "flowers/flowers128.zip", "cifar10": "cifar10"}
SIZES = {"flowers": (64, 64)}
ELSEWHERE = {"mnist": "weights/mnist-lenet5.safetensors", "flowers": "photographs", "cifar10": "photographs"}
"""A file in the folder of shared data, or a name of features."""
HEAD = ("data", "size", "recipe", "for", "seed", "images", "Fréchet (in-domain)", "floor", "precision", "recall",
        "Fréchet (weights)", "floor (weights)", "machine", "date")  # fmt: skip


def source_of(name: str, shared: Path, scratch: Path) -> str:
    """What `limner train` would be given."""
    if name == "cifar10":
        return str(unpacked(shared / SOURCES[name], scratch))
    return name if name == "digits" else str(shared / SOURCES[name])


def unpacked(folder: Path, scratch: Path) -> Path:
    """CIFAR-10's mosaics of 100 × 100 pictures as one .npz file, with names of its classes."""
    file = scratch / "cifar10.npz"
    if file.exists():
        return file
    held: dict[str, NDArray[np.generic]] = {"names": np.array((folder / "classes.txt").read_text().split())}
    for split, mosaics in (("train", sorted(folder.glob("train-*of5-*.webp"))), ("test", [folder / "test-10000.webp"])):
        parts = [np.asarray(PIL.Image.open(m).convert("RGB")).reshape(100, 32, 100, 32, 3) for m in mosaics]
        held[f"{split}_images"] = np.concatenate([p.transpose(0, 2, 1, 3, 4).reshape(-1, 32, 32, 3) for p in parts])
        labels = gzip.decompress((folder / f"{split}-labels-idx1-ubyte.gz").read_bytes())
        held[f"{split}_labels"] = np.frombuffer(labels, np.uint8)[8:]
    np.savez(file, **held)
    return file


def trained(source: str, images: Images, held_out: Images, recipe: str, seconds: float, seed: int, out: Path) -> int:
    """Train into `out`; the images seen."""
    facts = Facts(images.image, len(images), len(images.names), "cpu", seed)
    settings = Settings.of(images, plan(recipe, facts), recipe, Budget(seconds=seconds), source=source)
    seen = 0
    for event in Project.create(out, settings).work(images, held_out):
        if isinstance(event, Finished):
            seen = event.nimg
    return seen


def scores(out: Path, real: Images, other: Images, features: str, seed: int, n: int) -> dict[str, Score]:
    """Scores of a run's model by metric, on one kind of features."""
    model = load(out)
    samples = model.sample(n, seed)
    save_png(enlarge(grid(samples[:64], 8), 2), out / "grid.png")
    for event in evaluate(lambda first, count: samples[first : first + count], real, other=other,
                          extractor=choose(features, other), n=n, seed=seed,
                          metrics=("FrechetDistance", "Precision", "Recall")):  # fmt: skip
        if isinstance(event, Scored):
            return {s.metric: s for s in event.scores}
    raise RuntimeError("evaluate ended without scores")


def row(name: str, size: int | None, recipe: str, seconds: float, seed: int, shared: Path, out: Path) -> str:
    """One line of the table."""
    source, wanted = source_of(name, shared, out.parent), (size, size) if size else SIZES.get(name)
    images = gather(source, size=wanted)
    held_out = gather(source, size=wanted, split="test")
    seen = trained(source, images, held_out, recipe, seconds, seed, out)
    real, other = (held_out, images) if len(held_out) >= 2000 else (images, held_out)
    n = min(5000, len(real))
    ours = scores(out, real, other, "in-domain", seed, n)
    cells = [name, str(images.image), recipe, f"{seconds:.0f} s", str(seed), f"{seen:,}",
             f"{ours['FrechetDistance'].value:.2f}", f"{ours['FrechetDistance'].floor:.2f}",
             f"{ours['Precision'].value:.2f}", f"{ours['Recall'].value:.2f}"]  # fmt: skip
    features = elsewhere(name, shared)
    theirs = scores(out, real, other, features, seed, n)["FrechetDistance"] if features else None
    cells += [f"{theirs.value:.2f} {theirs.features.split('-')[0]}", f"{theirs.floor:.2f}"] if theirs else ["–", "–"]
    machine = f"{torch.get_num_threads()} × {platform.machine()}, torch {torch.__version__}"
    cells += [machine, time.strftime("%Y-%m-%d")]
    return "| " + " | ".join(cells) + " |"


def elsewhere(name: str, shared: Path) -> str:
    """The features of a network that was trained elsewhere; empty where there is none for these data."""
    named = ELSEWHERE.get(name, "")
    file = shared / named
    return named if not named.endswith(".safetensors") else str(file) if file.exists() else ""


def summary(table: Path) -> str:
    """Mean, least and most over the seeds of each data set and recipe, as a table of its own."""
    told = [dict(zip(HEAD, map(str.strip, line.strip("|\n").split("|")), strict=True))
            for line in table.read_text().splitlines()[2:]]  # fmt: skip
    shown = ("Fréchet (in-domain)", "floor", "precision", "recall", "Fréchet (weights)")
    lines = [f"| data | recipe | for | seeds | images | {' | '.join(shown)} |", "|" + " --- |" * (5 + len(shown))]
    for key in dict.fromkeys(map(alike, told)):
        rows = [row for row in told if alike(row) == key]
        images = mean(float(row["images"].replace(",", "")) for row in rows)
        found = [span([row[name] for row in rows]) for name in shown]
        cells = [" ".join(key[:2]), *key[2:4], f"{len(rows)}", f"{images:,.0f}", *found]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def alike(row: dict[str, str]) -> tuple[str, ...]:
    """What rows have in common that are summed up together; scores of other features do not compare."""
    return row["data"], row["size"], row["recipe"], row["for"], row["Fréchet (weights)"].partition(" ")[2]


def span(cells: list[str]) -> str:
    """`0.94 mnist`, `0.88 mnist` → `0.91 (0.88–0.94) mnist`."""
    words = {cell.partition(" ")[2] for cell in cells}
    numbers = [float(cell.split(" ")[0]) for cell in cells if cell != "–"]
    if not numbers:
        return "–"
    digits = 0 if min(numbers) >= 100 else 2
    low, middle, high = (f"{x:.{digits}f}" for x in (min(numbers), mean(numbers), max(numbers)))
    return " ".join([middle, *([f"({low}–{high})"] if low != high else []), *words]).strip()


def main() -> None:
    """Fill the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = ", ".join(["digits", *SOURCES])
    parser.add_argument("data", nargs="*", metavar="DATA", help=f"of {known}; none to sum up")
    parser.add_argument("--for", dest="seconds", type=lambda text: DURATION.convert(text, None, None), default=300.0)
    parser.add_argument("--recipe", nargs="+", default=["default"])
    parser.add_argument("--size", type=int, help="side of the pictures; by default 64 for flowers, else their own")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[1] / "../shared/data")
    parser.add_argument("--keep", type=Path, help="folder for the runs; by default they are thrown away")
    parser.add_argument("--table", type=Path, default=Path(__file__).with_name("quality.md"))
    given = parser.parse_args()
    if unknown := set(given.data) - {"digits", *SOURCES}:
        parser.error(f"no data {', '.join(sorted(unknown))}; there are digits, {', '.join(SOURCES)}")
    runs = [f"{name}-{recipe}-{seed}" for name in given.data for recipe in given.recipe for seed in given.seeds]
    if given.keep and (there := [run for run in runs if (given.keep / run).exists()]):
        parser.error(f"{given.keep / there[0]} exists; give --keep another folder, or move it away")
    if not given.table.exists():
        given.table.write_text(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}\n")
    for seed in given.seeds:
        for name in given.data:
            for recipe in given.recipe:
                with tempfile.TemporaryDirectory() as scratch:
                    out = (given.keep or Path(scratch)) / f"{name}-{recipe}-{seed}"
                    line = row(name, given.size, recipe, given.seconds, seed, given.shared, out)
                print(line, flush=True)
                with given.table.open("a") as table:
                    table.write(line + "\n")
    print(summary(given.table))


if __name__ == "__main__":
    main()
