"""Restoring beside the classical methods, on the same measurements: PSNR and SSIM of 8-bit pictures.

    python benchmarks/restore.py denoise --for 15m
    python benchmarks/restore.py denoise enlarge fill --images 60k [--on flowers]
    python benchmarks/restore.py digits --model runs/vae --pictures 100

Restorers are trained on the training flowers, in grey, by the recipe `restorer` for so long or so many images (squares
of 48 pixels); nothing of Kodak is seen before the end. A rival's parameter is the one that does best on flowers of the
test split. The photographs are Kodak24 in grey at full size, for `fill` their middle 256×256 (biharmonic takes minutes
for more); or flowers of the test split, others than those. `digits` is MNIST's test split with a half missing,
restored by climbing in a generator's codes.
Rivals need: pip install 'limner[rivals]'. Data: ../shared/data, or --data FOLDER.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from rivals import (
    Dictionary,
    Rival,
    as_seen,
    biharmonic,
    lanczos,
    linear,
    navier_stokes,
    non_local_means,
    richardson_lucy,
    telea,
    total_variation,
    unit,
    wavelet,
    wiener,
)

from limner.baselines.base import vectors
from limner.baselines.completion import Completer, Neighbours, Ridge, complete
from limner.cli import run
from limner.cli.values import COUNT
from limner.core.pixels import enlarge, grid, save_png, to_bytes
from limner.data.gather import gather
from limner.data.whole import how_many, wholes
from limner.likeness import load
from limner.operators.base import as_operator
from limner.restoring.cases import Answer, Case, damaged
from limner.restoring.climbing import ByClimbing
from limner.restoring.trained import ByTranslator

ONCE = (0.0,)
VIEWS = (1, 8)
SETTINGS = ("objective.crop=48", "average=2000")


@dataclass(frozen=True)
class Task:
    """A damage, the rivals with the values that are tried of their parameter, and the part of a photograph used."""

    damage: str
    rivals: dict[str, tuple[Rival, tuple[float, ...]]]
    side: int = 0
    tuned_on: int = 4


DAMAGES = {
    "denoise": "Noise(0.19608)",
    "enlarge": "Downsample(4)",
    "fill": "Mask(random=0.5)",
    "deblur": "Noise(0.02) @ Blur(1.5)",
}


def planned(name: str, learning: Path) -> Task:
    """What is compared; a dictionary is learnt from flowers that nothing is tuned on."""
    atoms = Dictionary(lambda: [unit(c.truth) for c in pictures(learning, "train", "Noise(0.0)", 60, 0, 0)])
    seen = {"as measured": (as_seen, ONCE)}
    rivals: dict[str, dict[str, tuple[Rival, tuple[float, ...]]]] = {
        "denoise": seen
        | {
            "wavelet (BayesShrink)": (wavelet, (0.6, 0.8, 1.0)),
            "total variation": (total_variation, (0.05, 0.08, 0.12)),
            "non-local means": (non_local_means, (0.5, 0.6, 0.7, 0.8)),
            "dictionary": (atoms.denoise, (1.0, 1.1, 1.2)),
        },
        "enlarge": {"bicubic": (as_seen, ONCE), "Lanczos": (lanczos, ONCE)},
        "fill": seen
        | {
            "OpenCV Telea": (telea, (1, 2, 3, 5)),
            "OpenCV Navier–Stokes": (navier_stokes, (1, 2, 3, 5)),
            "linear": (linear, ONCE),
            "dictionary": (atoms.fill, (2, 4, 8, 12)),
            "biharmonic": (biharmonic, ONCE),
        },
        "deblur": seen
        | {
            "Richardson–Lucy": (richardson_lucy, (5, 10, 20, 40, 80)),
            "Wiener": (wiener, (0.0003, 0.001, 0.003, 0.01, 0.03)),
        },
    }
    return Task(DAMAGES[name], rivals[name], side=256 if name == "fill" else 0)


def pictures(source: Path, split: str, damage: str, most: int, side: int, seed: int) -> list[Case]:
    """Grey pictures, damaged the same way each time."""
    cases: list[Case] = []
    # spread over the whole set: neighbours by name are of one class
    every = max(1, how_many(str(source), split) // most)
    for number, whole in enumerate(islice(wholes(str(source), split), 0, every * most, every)):
        x = whole.colours.astype(np.float64) @ ([0.299, 0.587, 0.114] if whole.colours.shape[2] == 3 else [1.0])
        height, width = x.shape
        if side:
            top, left = (height - side) // 2, (width - side) // 2
            x = x[top : top + side, left : left + side]
        cases.append(damaged(x.round().astype(np.uint8)[:, :, None], as_operator(damage), seed, number, whole.name))
    return cases


def score(
    rival: Callable[[Case], torch.Tensor], cases: list[Case]
) -> tuple[tuple[float, float, float], list[torch.Tensor]]:
    """Mean PSNR and SSIM, seconds of computing a picture; and the pictures."""
    began = time.process_time()
    made = [rival(case) for case in cases]
    seconds = (time.process_time() - began) / len(cases)
    told = [Answer(x).scores(case) for x, case in zip(made, cases, strict=True)]
    return (mean(t["PSNR"] for t in told), mean(t["SSIM"] for t in told), seconds), made


def restorer(name: str, task: Task, arguments: argparse.Namespace) -> Path:
    """A run of the recipe, which is gone on with where it was stopped."""
    length = ("--for", arguments.time) if arguments.time else ("--images", str(arguments.images))
    folder = Path(arguments.work) / f"restorer-{name}-{length[1]}-{arguments.seed}"
    flowers = Path(arguments.data) / "flowers" / "flowers128.zip"
    if (folder / "run.json").exists():
        command = ["train", "--out", str(folder), "--resume"]
    else:
        command = ["train", str(flowers), "--channels", "1", "--recipe", "restorer", "--out", str(folder)]
        command += [*length, "--seed", str(arguments.seed), "--device", "cpu"]
        settings = (f"damage={task.damage}", f"batch={arguments.batch}", *SETTINGS)
        command += [word for setting in settings for word in ("-o", setting)]
    if run(command):
        raise SystemExit(2)
    return folder


def photographs(name: str, arguments: argparse.Namespace) -> None:
    """One task's table, and a sheet of the first pictures."""
    data = Path(arguments.data)
    flowers = data / "flowers" / "flowers128.zip"
    task = planned(name, flowers)
    folder = Path(arguments.model) if arguments.model else restorer(name, task, arguments)
    torch.set_num_threads(1)
    side = arguments.side or task.side
    tuning = pictures(flowers, "test", task.damage, task.tuned_on, 0, arguments.seed + 1)
    if arguments.on == "flowers":
        others = pictures(flowers, "test", task.damage, arguments.pictures + task.tuned_on, 0, arguments.seed)
        tests = [case for case in others if case.name not in {known.name for known in tuning}][: arguments.pictures]
    else:
        tests = pictures(data / "kodak24", "train", task.damage, arguments.pictures, side, arguments.seed)
    rows: list[tuple[str, ...]] = []
    made: list[tuple[float, list[torch.Tensor]]] = []
    for rival, (method, values) in task.rivals.items():
        best = max(values, key=lambda v: score(lambda c: method(c, v), tuning)[0][0]) if len(values) > 1 else values[0]  # noqa: B023
        told, answers = score(lambda c: method(c, best), tests)  # noqa: B023
        rows.append((rival, f"{best:g}" if len(values) > 1 else "", *(f"{v:.3f}" for v in told)))
        made.append((told[0], answers))
    likeness = load(folder)
    about = f"{likeness.header['nimg']:,} images, {likeness.header['seconds']:.0f} s"
    restored: list[torch.Tensor] = []
    for views in VIEWS:
        solve = ByTranslator(likeness.translator(), views=views)
        told, restored = score(lambda c: solve([c])[0].samples, tests)  # noqa: B023
        rows.append((f"restorer ({about}), --views {views}", "", *(f"{v:.3f}" for v in told)))
    where = f"{arguments.on} pictures in grey, {f'{side}×{side}' if side and arguments.on == 'kodak' else 'full size'}"
    print(f"\n{task.damage} on {len(tests)} {where}\n")
    print("| method | tuned to | PSNR dB | SSIM | s a picture |\n| --- | --- | --- | --- | --- |")
    print("\n".join(f"| {' | '.join(row)} |" for row in rows))
    classical = max(made, key=lambda one: one[0])[1]
    lines = ([c.seen for c in tests], classical, restored, [c.truth for c in tests if c.truth is not None])
    shown = [middle(x, c) for line in lines for x, c in zip(line[:4], tests[:4], strict=True)]
    sheet = Path(arguments.work) / f"{name}{'' if arguments.on == 'kodak' else '-' + arguments.on}.png"
    save_png(grid(np.concatenate(shown), min(4, len(tests))), sheet)


def middle(x: torch.Tensor, case: Case, side: int = 160) -> np.ndarray:
    """The middle of a picture, or all of a smaller one."""
    side = min(side, *case.seen.shape[2:])
    top, left = ((length - side) // 2 for length in case.seen.shape[2:])
    return to_bytes(x)[:, top : top + side, left : left + side]


COMPLETERS: dict[str, tuple[Completer, ...]] = {
    "ridge": tuple(Ridge(alpha) for alpha in (1.0, 10.0, 100.0, 1000.0)),
    "k-NN": tuple(Neighbours(k) for k in (1, 3, 5, 10, 20)),
}
KNOWN, HELD = 5000, 200
"""Training digits that regressions learn from, and others that their option is chosen on."""


def digits(arguments: argparse.Namespace) -> None:
    """Half of each digit, by regression on 5,000 training digits and by climbing in a generator's codes."""
    if not arguments.model:
        raise SystemExit("digits needs --model: limner train MNIST --recipe vae --out RUN")
    source, operator = str(Path(arguments.data) / "mnist"), as_operator("Mask(half=right)")
    train, test = gather(source), gather(source, split="test")
    cases = [damaged(p, operator, 0, k, str(k)) for k, p in enumerate(np.asarray(test.pixels[: arguments.pictures]))]
    some = np.random.default_rng(0).permutation(len(train))[: KNOWN + HELD]
    known = vectors(np.asarray(train.pixels[some]))
    seen = np.concatenate([c.seen.flatten(1).double().numpy() for c in cases])
    missing = (operator.kept(cases[0].seen)[0, 0].numpy() == 0).ravel()
    shape = cases[0].seen.shape
    answers: dict[str, list[Answer]] = {"as measured": [Answer(c.seen) for c in cases]}
    for method, kinds in COMPLETERS.items():
        best = min(kinds, key=lambda kind: held_out(kind, known, missing))
        made = complete(best, known[:KNOWN], seen, missing)
        answers[f"{method}, {best}"] = [Answer(torch.from_numpy(x).float().view(shape)) for x in made]
    torch.set_num_threads(1)
    # every start to its last step: what the published table was made with
    to_the_end: dict[str, Any] = {"optimizer": "Adam", "halving": None, "stop": None}
    effort = {"samples": 1, "starts": arguments.starts, "steps": arguments.steps}
    solver = ByClimbing(load(arguments.model).scene, **effort, **to_the_end)
    began = time.process_time()
    answers["climbing"] = [a.kept(c) for a, c in zip(solver(cases), cases, strict=True)]
    print(f"climbing took {(time.process_time() - began) / len(cases):.2f} s a digit")
    print("\nMask(half=right) on MNIST's test digits\n\n| method | PSNR dB | SSIM |\n| --- | --- | --- |")
    for method, some_answers in answers.items():
        told = [a.scores(c) for a, c in zip(some_answers, cases, strict=True)]
        print(f"| {method} | {mean(t['PSNR'] for t in told):.2f} | {mean(t['SSIM'] for t in told):.3f} |")
    rows = [to_bytes(torch.cat([a.samples for a in some_answers[:16]])) for some_answers in answers.values()]
    rows.append(to_bytes(torch.cat([c.truth for c in cases[:16] if c.truth is not None])))
    save_png(enlarge(grid(np.concatenate(rows), len(rows[0])), 2), Path(arguments.work) / "digits.png")


def held_out(kind: Completer, known: np.ndarray, missing: np.ndarray) -> float:
    """Squared error of the missing part of training digits that were kept back."""
    whole = known[KNOWN:]
    made = complete(kind, known[:KNOWN], np.where(missing, 0, whole), missing)
    return float(np.square(made - whole).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+", choices=[*DAMAGES, "digits"])
    parser.add_argument("--data", default="../shared/data", help="folder of the data sets")
    parser.add_argument("--work", default="runs/restore", help="folder for runs and sheets")
    parser.add_argument("--images", type=lambda t: COUNT.convert(t, None, None), default=60_000, help="to train on")
    parser.add_argument("--for", dest="time", default="", help="train for so long instead, for example 15m")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--on", choices=["kodak", "flowers"], default="kodak", help="photographs to test on")
    parser.add_argument("--pictures", type=int, default=24, help="to test on")
    parser.add_argument("--side", type=int, default=0, help="middle part of each photograph that is used")
    parser.add_argument("--model", default="", help="a run that is there already, for one task")
    parser.add_argument("--starts", type=int, default=8)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for name in arguments.tasks:
        digits(arguments) if name == "digits" else photographs(name, arguments)


if __name__ == "__main__":
    main()
