"""Restoring beside the classical methods, on the same measurements: PSNR and SSIM of 8-bit pictures.

    python benchmarks/restore.py denoise enlarge fill --images 60k
    python benchmarks/restore.py digits --model runs/vae --pictures 100

Restorers are trained on the training flowers, in grey, by the recipe `restorer` for so many images (squares of 48
pixels); nothing of Kodak is seen before the end. A rival's parameter is the one that does best on flowers of the test
split. The photographs are Kodak24 in grey at full size, for `fill` their middle 256×256 (biharmonic takes minutes for
more). `digits` is MNIST's test split with a half missing, restored by climbing in a generator's codes.
Rivals need: pip install 'limner[rivals]'. Data: ../shared/data, or --data FOLDER.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import torch

from limner.baselines.base import vectors
from limner.baselines.completion import Neighbours, Ridge, complete
from limner.cli import run
from limner.cli.values import COUNT
from limner.core.pixels import grid, save_png, to_bytes
from limner.data.gather import gather
from limner.data.whole import wholes
from limner.likeness import load
from limner.operators.base import as_operator
from limner.restoring.cases import Answer, Case, damaged
from limner.restoring.climbing import ByClimbing
from limner.restoring.trained import ByTranslator

Rival = Callable[[Case, float], torch.Tensor]
SETTINGS = ("batch=4", "objective.crop=48", "average=2000")


@dataclass(frozen=True)
class Task:
    """A damage, the rivals with the values that are tried of their parameter, and the part of a photograph used."""

    damage: str
    rivals: dict[str, tuple[Rival, tuple[float, ...]]]
    side: int = 0
    tuned_on: int = 4


def unit(x: torch.Tensor) -> np.ndarray:
    """(1, 1, h, w) in [-1, 1] → (h, w) in [0, 1]."""
    return (x[0, 0].double().numpy() + 1) / 2


def back(x: np.ndarray) -> torch.Tensor:
    """The way back."""
    return torch.from_numpy(np.asarray(x, np.float64))[None, None].float() * 2 - 1


def non_local_means(case: Case, h: float) -> torch.Tensor:
    from skimage.restoration import denoise_nl_means

    sigma = case.operator.deviation / 2
    return back(
        denoise_nl_means(unit(case.seen), patch_size=5, patch_distance=6, h=h * sigma, sigma=sigma, fast_mode=True)
    )


def total_variation(case: Case, weight: float) -> torch.Tensor:
    from skimage.restoration import denoise_tv_chambolle

    return back(denoise_tv_chambolle(unit(case.seen), weight=weight))


def wavelet(case: Case, share: float) -> torch.Tensor:
    from skimage.restoration import denoise_wavelet

    sigma = case.operator.deviation / 2
    return back(denoise_wavelet(unit(case.seen), sigma=share * sigma, mode="soft", method="BayesShrink"))


def richardson_lucy(case: Case, steps: float) -> torch.Tensor:
    from skimage.restoration import richardson_lucy as deconvolved

    kernel = as_operator("Blur(1.5)").kernel().numpy()
    return back(deconvolved(unit(case.seen).clip(0, 1), kernel, num_iter=int(steps)))


def biharmonic(case: Case, _: float) -> torch.Tensor:
    from skimage.restoration import inpaint_biharmonic

    missing = case.operator.kept(case.seen)[0, 0].numpy() == 0
    return back(inpaint_biharmonic(unit(case.seen), missing))


def linear(case: Case, _: float) -> torch.Tensor:
    from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator

    there, x = case.operator.kept(case.seen)[0, 0].numpy() > 0, unit(case.seen)
    at = np.argwhere(there)
    filled = LinearNDInterpolator(at, x[there])(*np.indices(x.shape))
    return back(np.where(np.isnan(filled), NearestNDInterpolator(at, x[there])(*np.indices(x.shape)), filled))


def as_seen(case: Case, _: float) -> torch.Tensor:
    return case.seen


TASKS = {
    "denoise": Task(
        "Noise(0.19608)",
        {
            "as measured": (as_seen, (0,)),
            "wavelet (BayesShrink)": (wavelet, (0.6, 0.8, 1.0)),
            "total variation": (total_variation, (0.05, 0.08, 0.12)),
            "non-local means": (non_local_means, (0.5, 0.6, 0.7, 0.8)),
        },
    ),
    "enlarge": Task("Downsample(4)", {"bicubic": (as_seen, (0,))}),
    "fill": Task(
        "Mask(random=0.5)",
        {"as measured": (as_seen, (0,)), "linear": (linear, (0,)), "biharmonic": (biharmonic, (0,))},
        side=256,
    ),
    "deblur": Task(
        "Noise(0.02) @ Blur(1.5)",
        {"as measured": (as_seen, (0,)), "Richardson–Lucy": (richardson_lucy, (3, 5, 10, 20))},
    ),
}


def pictures(source: Path, split: str, damage: str, most: int, side: int, seed: int) -> list[Case]:
    """Grey pictures, damaged the same way each time."""
    cases: list[Case] = []
    for number, whole in enumerate(wholes(str(source), split)):
        if number == most:
            break
        x = whole.colours.astype(np.float64) @ ([0.299, 0.587, 0.114] if whole.colours.shape[2] == 3 else [1.0])
        height, width = x.shape
        if side:
            top, left = (height - side) // 2, (width - side) // 2
            x = x[top : top + side, left : left + side]
        cases.append(damaged(x.round().astype(np.uint8)[:, :, None], as_operator(damage), seed, number, whole.name))
    return cases


def score(rival: Callable[[Case], torch.Tensor], cases: list[Case]) -> tuple[float, float, float]:
    """Mean PSNR and SSIM, and seconds of computing a picture."""
    began = time.process_time()
    made = [Answer(rival(case)) for case in cases]
    seconds = (time.process_time() - began) / len(cases)
    told = [answer.scores(case) for answer, case in zip(made, cases, strict=True)]
    return mean(t["PSNR"] for t in told), mean(t["SSIM"] for t in told), seconds


def restorer(name: str, task: Task, arguments: argparse.Namespace) -> Path:
    """A run of the recipe, which is gone on with where it was stopped."""
    folder = Path(arguments.work) / f"restorer-{name}-{arguments.images}-{arguments.seed}"
    flowers = Path(arguments.data) / "flowers" / "flowers128.zip"
    if (folder / "run.json").exists():
        command = ["train", "--out", str(folder), "--resume"]
    else:
        command = ["train", str(flowers), "--channels", "1", "--recipe", "restorer", "--out", str(folder)]
        command += ["--images", str(arguments.images), "--seed", str(arguments.seed), "--device", "cpu"]
        command += [word for setting in (f"damage={task.damage}", *SETTINGS) for word in ("-o", setting)]
    if run(command):
        raise SystemExit(2)
    return folder


def photographs(name: str, arguments: argparse.Namespace) -> None:
    """One task's table, and a sheet of the first pictures."""
    task, data = TASKS[name], Path(arguments.data)
    side = arguments.side or task.side
    tests = pictures(data / "kodak24", "train", task.damage, arguments.pictures, side, arguments.seed)
    tuning = pictures(data / "flowers" / "flowers128.zip", "test", task.damage, task.tuned_on, 0, arguments.seed + 1)
    rows: list[tuple[str, ...]] = []
    for rival, (method, values) in task.rivals.items():
        best = max(values, key=lambda v: score(lambda c: method(c, v), tuning)[0]) if len(values) > 1 else values[0]  # noqa: B023
        told = score(lambda c: method(c, best), tests)  # noqa: B023
        rows.append((rival, f"{best:g}" if len(values) > 1 else "", *(f"{v:.3f}" for v in told)))
    folder = Path(arguments.model) if arguments.model else restorer(name, task, arguments)
    likeness = load(folder)
    solve = ByTranslator(likeness.translator())
    told = score(lambda c: solve([c])[0].samples, tests)
    about = f"{likeness.header['nimg']:,} images, {likeness.header['seconds']:.0f} s"
    rows.append((f"restorer ({about})", "", *(f"{v:.3f}" for v in told)))
    print(f"\n{task.damage} on {len(tests)} Kodak pictures in grey, {f'{side}×{side}' if side else 'full size'}\n")
    print("| method | tuned to | PSNR dB | SSIM | s a picture |\n| --- | --- | --- | --- | --- |")
    print("\n".join(f"| {' | '.join(row)} |" for row in rows))
    methods = [lambda c, m=m, v=v: m(c, v[len(v) // 2]) for m, v in list(task.rivals.values())[-1:]]
    shown = [middle(c.seen, c) for c in tests[:4]]
    for method in [*methods, lambda c: solve([c])[0].samples]:
        shown += [middle(method(c), c) for c in tests[:4]]
    shown += [middle(c.truth, c) for c in tests[:4] if c.truth is not None]
    save_png(grid(np.concatenate(shown), 4), Path(arguments.work) / f"{name}.png")


def middle(x: torch.Tensor, case: Case, side: int = 160) -> np.ndarray:
    """The middle of a picture."""
    top, left = ((length - side) // 2 for length in case.seen.shape[2:])
    return to_bytes(x)[:, top : top + side, left : left + side]


def digits(arguments: argparse.Namespace) -> None:
    """Half of each digit, by regression on 5,000 training digits and by climbing in a generator's codes."""
    if not arguments.model:
        raise SystemExit("digits needs --model: limner train MNIST --recipe vae --out RUN")
    source, operator = str(Path(arguments.data) / "mnist"), as_operator("Mask(half=right)")
    train, test = gather(source), gather(source, split="test")
    cases = [damaged(p, operator, 0, k, str(k)) for k, p in enumerate(np.asarray(test.pixels[: arguments.pictures]))]
    some = np.random.default_rng(0).permutation(len(train))[:5000]
    known = vectors(np.asarray(train.pixels[np.sort(some)]))
    seen = np.concatenate([c.seen.flatten(1).double().numpy() for c in cases])
    missing = (operator.kept(cases[0].seen)[0, 0].numpy() == 0).ravel()
    shape = cases[0].seen.shape
    answers = {
        method: [Answer(torch.from_numpy(x).float().view(shape)) for x in complete(kind, known, seen, missing)]
        for method, kind in (("ridge", Ridge()), ("k-NN", Neighbours()))
    }
    solver = ByClimbing(load(arguments.model).scene, samples=1, starts=arguments.starts, steps=arguments.steps)
    answers["climbing"] = [a.kept(c) for a, c in zip(solver(cases), cases, strict=True)]
    print("\nMask(half=right) on MNIST's test digits\n\n| method | PSNR dB | SSIM |\n| --- | --- | --- |")
    for method, some_answers in answers.items():
        told = [a.scores(c) for a, c in zip(some_answers, cases, strict=True)]
        print(f"| {method} | {mean(t['PSNR'] for t in told):.2f} | {mean(t['SSIM'] for t in told):.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+", choices=[*TASKS, "digits"])
    parser.add_argument("--data", default="../shared/data", help="folder of the data sets")
    parser.add_argument("--work", default="runs/restore", help="folder for runs and sheets")
    parser.add_argument("--images", type=lambda t: COUNT.convert(t, None, None), default=60_000, help="to train on")
    parser.add_argument("--pictures", type=int, default=24, help="to test on")
    parser.add_argument("--side", type=int, default=0, help="middle part of each photograph that is used")
    parser.add_argument("--model", default="", help="a run that is there already, for one task")
    parser.add_argument("--starts", type=int, default=8)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.tasks:
        digits(arguments) if name == "digits" else photographs(name, arguments)


if __name__ == "__main__":
    main()
