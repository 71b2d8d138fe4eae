"""Modes covered on the 8-Gaussian ring and the 25-Gaussian grid, the default objective beside a control.

    python benchmarks/mixtures.py                    both mixtures, 10 seeds (about 50 minutes on one core)
    python benchmarks/mixtures.py ring --seeds 2     one of them, fewer seeds

The protocol and the settings are those of `limner verify mixtures` (limner/proofs/mixtures.py), which takes three
seeds; this takes ten that the settings were not chosen on.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from statistics import mean, stdev

import torch

from limner.proofs.mixtures import CONTROL, DEFAULT, LATENT, MIXTURES, PLAIN, POINTS, trial

CONTESTANTS = {
    "default: relativistic, R1, R2": (DEFAULT, LATENT),
    "control: no penalty": (CONTROL, LATENT),
    "control: no penalty, Gaussian(2)": (CONTROL, PLAIN),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mixtures", nargs="*", default=list(MIXTURES), metavar="ring|grid")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--controls", type=int, help="seeds of the controls, by default as many")
    parser.add_argument("--first", type=int, default=10, help="first seed; the settings were chosen on others")
    parser.add_argument("--points", type=int, help="seen by each training; by default as many as the proof takes")
    given = parser.parse_args()
    torch.set_num_threads(1)
    machine = f"{platform.machine()}, one core, torch {torch.__version__}"
    print(f"{machine}, {time.strftime('%Y-%m-%d')}\n", flush=True)
    print("| mixture | objective | modes | high quality | spread | points | seeds | seconds a seed |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for mixture in given.mixtures:
        for title, (objective, latent) in CONTESTANTS.items():
            start, points = time.process_time(), given.points or POINTS[mixture]
            seeds = given.seeds if objective is DEFAULT or given.controls is None else given.controls
            found = []
            for seed in range(given.first, given.first + seeds):
                found.append(trial(mixture, objective, seed, points, latent))
                print(f"  {mixture} {title} seed {seed}: {found[-1]}", file=sys.stderr, flush=True)
            quality, modes = [t.quality for t in found], [t.modes for t in found]
            spread = stdev(quality) if len(found) > 1 else 0.0
            seconds = (time.process_time() - start) / seeds
            cells = [mixture, title, f"{mean(modes):.2f} (least {min(modes)})", f"{mean(quality):.1f} ± {spread:.1f} %"]
            cells += [f"{mean(t.spread for t in found):.2f}", f"{points:,}", f"{seeds}", f"{seconds:.0f}"]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
