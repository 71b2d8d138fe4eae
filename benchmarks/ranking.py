"""Do scores put deliberately worse generators in order? The evaluation network beside the Fréchet distance.

    python benchmarks/ranking.py                         the built-in digits, four kinds of damage, six grades of each
    python benchmarks/ranking.py --seeds 0 1 2 --picture docs/pictures/ranking.png
    python benchmarks/ranking.py --data DATA --weights FILE      other pictures; a file of weights as further features

The generators are real pictures that no score is computed against, damaged: noise, blur, classes left out, few
pictures repeated. The first grade of each is no damage. A score that ranks them has a rank correlation of 1 (Spearman)
with the grade. The table has the correlation of each score, by kind and seed; rows on stderr come as they are made.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Tensor

from limner.core.pixels import to_float
from limner.core.rng import generator
from limner.data.gather import gather
from limner.data.images import Images
from limner.metrics.base import Extractor, Seen, small
from limner.metrics.distinguisher import Distinguisher
from limner.metrics.features import choose
from limner.metrics.frechet import FrechetDistance
from limner.metrics.kernel import KernelDistance

GRADES: dict[str, tuple[float, ...]] = {
    "noise": (0, 0.05, 0.1, 0.2, 0.4, 0.8),
    "blur": (0, 0.4, 0.6, 0.8, 1.2, 2.0),
    "classes left out": (0, 0.1, 0.2, 0.4, 0.6, 0.8),
    "few pictures": (1, 0.2, 0.05, 0.02, 0.005, 0.0015),
}
"""Sigma in the [-1, 1] range, sigma in pixels, share of the classes, share of the pictures that are different."""
Scores = dict[str, float]


def damaged(x: Tensor, labels: np.ndarray, kind: str, grade: float, n: int, seed: int) -> Tensor:
    """n pictures in [-1, 1] of a generator with one fault."""
    rng = generator(seed, 0, f"damage {kind} {grade}")
    if kind == "classes left out":
        x = x[torch.from_numpy(labels >= round(grade * (labels.max() + 1)))]
    x = x[torch.randperm(len(x), generator=rng)[:n]]
    if kind == "noise":
        return (x + grade * torch.randn(x.shape, generator=rng)).clamp(-1, 1)
    if kind == "blur" and grade:
        return blurred(x, grade)
    return x[torch.arange(n) % max(1, round(grade * n))] if kind == "few pictures" else x


def blurred(x: Tensor, sigma: float) -> Tensor:
    """Smoothed by a Gaussian, the border continued."""
    reach = max(1, round(3 * sigma))
    bell = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * sigma**2))
    kernel = (bell / bell.sum()).view(1, 1, 1, -1).expand(x.shape[1], 1, 1, -1)
    x = F.conv2d(F.pad(x, (reach,) * 4, mode="replicate"), kernel, groups=x.shape[1])
    return F.conv2d(x, kernel.transpose(2, 3), groups=x.shape[1])


def judges(extractors: dict[str, Extractor], real: Tensor, seen: int, seed: int) -> Callable[[Tensor], Scores]:
    """What gives every score of a set of generated pictures; all are lower for better ones."""
    features = {name: extract(real) for name, extract in extractors.items()}
    network, pixels = Distinguisher(seen=seen, seed=seed), Seen(torch.empty(len(real), 0), small(real))

    def judge(fake: Tensor) -> Scores:
        right = network.told(pixels, Seen(torch.empty(len(fake), 0), small(fake))).mean(0)
        scores = {"evaluation network": float(right.mean()), "its accuracy without noise": float(right[0])}
        for name, extract in extractors.items():
            made = extract(fake)
            scores[f"Fréchet, {name}"] = FrechetDistance()(features[name], made)
            scores[f"kernel, {name}"] = KernelDistance()(features[name], made)
        return scores

    return judge


def ranked(data: Images, extractors: dict[str, Extractor], n: int, seen: int, seed: int) -> dict[str, list[Scores]]:
    """Scores by kind of damage, grade after grade."""
    assert data.labels is not None
    order = torch.randperm(len(data), generator=generator(seed, 0, "ranking")).numpy()
    judge = judges(extractors, to_float(data.pixels[np.sort(order[:n])]), seen, seed)
    rest, start, found = np.sort(order[n:]), time.process_time(), dict[str, list[Scores]]()
    x, labels = to_float(data.pixels[rest]), data.labels[rest]
    whole = judge(damaged(x, labels, "noise", 0, n, seed))
    for kind, grades in GRADES.items():
        worse = [damaged(x, labels, kind, grade, n, seed) for grade in grades[1:]]
        found[kind] = [whole, *map(judge, worse)]
        for grade, scores in zip(grades, found[kind], strict=True):
            row = "  ".join(f"{name} {value:.4g}" for name, value in scores.items())
            print(f"seed {seed} {kind} {grade}: {row}", file=sys.stderr, flush=True)
    print(f"seed {seed}: {time.process_time() - start:.0f} CPU seconds", file=sys.stderr, flush=True)
    return found


def table(runs: list[dict[str, list[Scores]]]) -> str:
    """Rank correlations with the grade, mean over seeds and the least, one row a score."""
    lines = ["| score | " + " | ".join(GRADES) + " | least |", "| --- |" + " --- |" * (len(GRADES) + 1)]
    for name in runs[0]["noise"][0]:
        by_kind = [[spearmanr(range(len(g)), [s[name] for s in run[k]])[0] for run in runs] for k, g in GRADES.items()]
        cells = [f"{mean(found):.3f}" for found in by_kind]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {min(map(min, by_kind)):.3f} |")
    return "\n".join(lines)


def draw(runs: list[dict[str, list[Scores]]], path: Path) -> None:
    """Each kind of damage: the accuracy over its grades, and the Fréchet distance beside it."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(GRADES), figsize=(11, 2.9), sharey=True, layout="constrained")
    for axis, (kind, grades) in zip(axes, GRADES.items(), strict=True):
        steps, other = range(len(grades)), axis.twinx()
        for run in runs:
            axis.plot(steps, [s["evaluation network"] for s in run[kind]], "o-", color="#1f5fa8", lw=1.5, ms=4)
            name = next(name for name in run[kind][0] if name.startswith("Fréchet"))
            other.plot(steps, [s[name] for s in run[kind]], "s--", color="#c05a1c", lw=1, ms=3)
        other.set_yscale("log")
        axis.set(title=kind, xlabel="grade of damage", xticks=steps, xticklabels=[f"{g:g}" for g in grades])
        axis.tick_params(axis="x", labelsize=7)
        other.tick_params(labelsize=7, colors="#c05a1c")
    axes[0].set_ylabel("evaluation network\n(mean accuracy)", color="#1f5fa8")
    figure.text(1.005, 0.5, name, rotation=90, va="center", color="#c05a1c", fontsize=8)
    figure.savefig(path, dpi=110, bbox_inches="tight")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("-n", type=int, default=2000, help="pictures of each kind")
    parser.add_argument("--seen", type=int, default=25_000, help="pictures that the evaluation network is shown")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--weights", help="a file of weights: more features")
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = gather(given.data)
    extractors = {name: choose(name, data) for name in ("in-domain", "random")}
    if given.weights:
        extractors[Path(given.weights).stem] = choose(given.weights, data)
    runs = [ranked(data, extractors, given.n, given.seen, seed) for seed in given.seeds]
    print(f"{platform.machine()}, one core, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}: {given.data}, "
          f"n = {given.n:,}, network shown {given.seen:,} pictures, {len(runs)} seeds\n")  # fmt: skip
    print(table(runs))
    if given.picture:
        draw(runs, given.picture)


if __name__ == "__main__":
    main()
