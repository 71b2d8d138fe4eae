"""Pictures of compressed sensing: errors over the number of measurements, and digits, from what was verified.

    limner verify sensing --data ../shared/data --out runs/verify
    python benchmarks/sensing.py --out runs/verify --picture docs/pictures/sensing.png

The curves are the rows of runs/verify/sensing.json; the digits are the first test digits, measured and found as in
the proof, by the model that it trained.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from limner.core.pixels import grid, to_bytes
from limner.proofs.base import Bench
from limner.proofs.sensing import PUBLISHED, cosines, lasso, measured, pixels, solver, trained, tuned
from limner.restoring.beyond import Rest

CURVES = {
    "Lasso in pixels": ("Lasso, pixels", "tab:gray", "-"),
    "Lasso in cosines": ("Lasso, cosines", "tab:gray", "--"),
    "in the model": ("in the model", "tab:blue", "-"),
    "and beyond it": ("and beyond it", "tab:red", "-"),
}
SHOWN = (25, 100, 200)
LINES = ["Lasso, pixels", "Lasso, cosines", "in the model", "beyond it", "truth"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/verify"), help="where the proof was written")
    parser.add_argument("--picture", type=Path, default=Path("sensing.png"))
    parser.add_argument("--digits", type=int, default=7)
    given = parser.parse_args()
    figure = Figure(figsize=(10, 7.2), layout="constrained")
    FigureCanvasAgg(figure)
    top, below = figure.subfigures(2, 1, height_ratios=[1.5, 1])
    curves(top.subplots(), json.loads((given.out / "sensing.json").read_text())["rows"])
    bench = Bench(given.data, given.out / "runs")
    for k, (axes, m) in enumerate(zip(below.subplots(1, len(SHOWN)), SHOWN, strict=True)):
        axes.imshow(digits(bench, m, given.digits), cmap="gray", vmin=0, vmax=255)
        axes.set_title(f"{m} numbers of 784", fontsize=10)
        axes.set_xticks([])
        height = axes.get_ylim()[0] / len(LINES)
        axes.set_yticks([height * (line + 0.5) for line in range(len(LINES))], LINES if k == 0 else [""] * len(LINES))
        axes.tick_params(length=0)
    figure.savefig(given.picture, dpi=90)


def curves(axes, rows) -> None:
    """Errors a pixel over measurements, both in logarithms."""
    axes.plot(list(PUBLISHED), list(PUBLISHED.values()), "k:", marker=".", label="VAE, Bora et al. 2017")
    for start, (label, colour, style) in CURVES.items():
        here = [row for row in rows if row["what"].startswith(start)]
        m = [int(row["what"].split(", ")[1].split()[0]) for row in here]
        axes.plot(m, [row["ours"][0] for row in here], style, color=colour, marker=".", label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(list(PUBLISHED), [str(m) for m in PUBLISHED])
    axes.minorticks_off()
    axes.set_xlabel("measurements of 784 pixels")
    axes.set_ylabel("squared error a pixel")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)


def digits(bench: Bench, m: int, count: int) -> np.ndarray:
    """A row each: both Lassos, in the model, beyond it, the truth."""
    cases = measured(bench.images("mnist", "test"), count, m, 0)
    tuning = measured(bench.images("mnist"), 8, m, 1)
    weights = [(basis, tuned(tuning, m, basis)) for basis in (pixels, cosines)]
    answers = solver(bench, trained(bench))(cases)
    lines = [[lasso(case, m, weight, basis) for case in cases] for basis, weight in weights]
    lines += [[a.samples for a in answers], [a.samples for a in Rest()(cases, answers)]]
    lines.append([case.truth for case in cases if case.truth is not None])
    return grid(np.concatenate([to_bytes(x) for line in lines for x in line]), count)[..., 0]


if __name__ == "__main__":
    main()
