"""What Limner does on a GPU, in the minutes that one is lent: checks, a model of photographs, climbs and speed.

    python benchmarks/gpu.py --minutes 10                          writes gpu-results/results.json and pictures
    python benchmarks/gpu.py --minutes 10 --data flowers.zip       pictures of your own
    python benchmarks/gpu.py --device cpu --tiny                   everything in little, in seconds

It runs from a checkout and needs torch, numpy, Pillow, safetensors and jaxtyping. The minutes are divided among the
parts by weight; a part that takes longer leaves less to those after it. A part that fails is written down, and the next
begins. What was found is in the file after every part: a machine that is taken away early leaves what there is.
Speed is that of `benchmarks/train_speed.py`: Limner's loop and the textbook's in turn, warmed up, with a device that
has nothing left to do at either end.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.util
import itertools
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NEEDED = {"torch": "torch", "numpy": "numpy", "PIL": "pillow", "safetensors": "safetensors", "jaxtyping": "jaxtyping"}
"""Modules without which nothing runs, and the packages that hold them."""
FLOWERS = ROOT.parent / "shared" / "data" / "flowers" / "flowers128.zip"
SIZES = (64, 128, 256)
TRAINED = 0.85
"""Share of its time for which the model of photographs trains; the rest is for its score."""
FEATURES = "photographs"
"""Features to score by: those of the evaluation backbone, which no critic uses."""
SCORED = 3_000
"""Pictures of either kind in a score: more than the 1,280 features of the evaluation backbone."""
TARGETS, STARTS = 64, 8


@dataclass(frozen=True)
class Job:
    """What was asked.

    device: where
    images: pictures to train on
    held_out: pictures to score against
    note: what pictures those are
    out: folder for the results
    seed: of everything random
    tiny: whether everything is as small as it can be
    """

    device: Any
    images: Any
    held_out: Any
    note: str
    out: Path
    seed: int
    tiny: bool


@dataclass(frozen=True)
class Part:
    """One thing to measure.

    name: what a table calls it
    weight: of its share of the time
    measure: seconds that it may take → numbers
    """

    name: str
    weight: float
    measure: Callable[[float], dict[str, Any]]


def main() -> int:
    """Measure everything; 0 when every part worked, 1 when one failed, 2 for a wrong option."""
    asked = options()
    try:
        job = prepare(asked)
        chosen = named(list(parts(job)), asked.only)
    except Wrong as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    results: dict[str, Any] = {"machine": machine(job, asked), "parts": []}
    for found in measured(chosen, 60 * asked.minutes, job.device):
        results["parts"].append(found)
        print(line(found), flush=True)
        write(job.out / "results.json", json.dumps(results, indent=1))
    print(f"\n{markdown(results)}\n\n{job.out / 'results.json'}")
    return int(any("error" in found for found in results["parts"]))


class Wrong(Exception):
    """An option or a machine with which nothing can be done, in one line."""


class Parser(argparse.ArgumentParser):
    """Options; what is wrong with one is said in one line."""

    def error(self, message: str) -> Any:
        self.exit(2, f"error: {message}; see --help\n")


def options() -> argparse.Namespace:
    """What was typed."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of all parts together (default 10)")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu (default cuda)")
    parser.add_argument("--data", help="a folder, zip or file of pictures; by default ../shared/data/flowers")
    parser.add_argument("--out", type=Path, default=Path("gpu-results"), help="folder for the results")
    parser.add_argument("--only", default="", help="parts whose names begin so, such as speed or check")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tiny", action="store_true", help="everything in little: to try this program")
    return parser.parse_args()


def prepare(asked: argparse.Namespace) -> Job:
    """The device and the pictures. Raises Wrong."""
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise Wrong(f"{', '.join(missing)} missing; type: python -m pip install {' '.join(missing)}")
    if not 0 < asked.minutes < 24 * 60:
        raise Wrong(f"--minutes {asked.minutes:g}: give minutes above 0, such as 10")
    if asked.seed < 0:
        raise Wrong(f"--seed {asked.seed}: give 0 or more")
    # before torch wakes the GPU: with it matrix products can be asked to be the same every time
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    sys.path[:0] = [str(ROOT / "src"), str(ROOT / "benchmarks")]
    device = usable(asked.device)
    if asked.out.exists() and not asked.out.is_dir():
        raise Wrong(f"--out {asked.out} is a file; give a folder")
    images, held_out, note = pictures(asked)
    return Job(device, images, held_out, note, asked.out, asked.seed, asked.tiny)


def usable(name: str) -> Any:
    """The device of this name. Raises Wrong where there is none."""
    import torch

    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise Wrong(f"--device {name}: give cuda, cuda:1 or cpu") from error
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise Wrong(f"--device {name}: torch {torch.__version__} finds no such GPU; without one, --device cpu --tiny")
    if device.type not in ("cuda", "cpu"):
        raise Wrong(f"--device {name}: give cuda, cuda:1 or cpu")
    return device


def pictures(asked: argparse.Namespace) -> tuple[Any, Any, str]:
    """Pictures to train on, others of the same kind, and what they are. Raises Wrong."""
    from limner.core.errors import UserError
    from limner.data.gather import gather

    side = 16 if asked.tiny else 128
    source = asked.data or (str(FLOWERS) if FLOWERS.exists() and not asked.tiny else None)
    if source is None:
        n = 96 if asked.tiny else 4096
        return synthetic(n, side, 0), synthetic(n, side, 1), "synthetic: gradients with blobs, no photographs"
    try:
        images = gather(source, size=(side, side), channels=3)
        with contextlib.suppress(UserError):
            held_out = gather(source, size=(side, side), channels=3, split="test")
            if len(held_out) >= SCORED:
                return images, held_out, f"{Path(source).name}, {len(images):,} pictures"
    except UserError as problem:
        raise Wrong(str(problem)) from problem
    note = f"{Path(source).name}, {len(images):,} pictures, scored against those that it was trained on"
    return images, images, note


def synthetic(n: int, side: int, seed: int) -> Any:
    """Some of what photographs have: a ground that changes slowly, soft blobs of colour, a little grain."""
    import numpy as np

    from limner.data.gather import of_arrays

    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:1:side * 1j, 0:1:side * 1j][..., None]
    made = np.empty((n, side, side, 3), np.uint8)
    for k in range(n):
        a, b, c = rng.uniform(40, 215, (3, 3))
        ground = a + (b - a) * x + (c - a) * y
        for _ in range(3):
            cx, cy, reach = *rng.uniform(0.1, 0.9, 2), rng.uniform(0.05, 0.3)
            near = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * reach**2))
            ground = ground + near * (rng.uniform(0, 255, 3) - ground)
        made[k] = np.clip(ground + rng.normal(0, 4, ground.shape), 0, 255)
    return of_arrays(made, source=f"synthetic-{n}-{side}-{seed}")


def parts(job: Job) -> Iterator[Part]:
    """Everything, in the order of the table; the most numerous last, because it can do with what is left."""
    from gpu_checks import CHECKS, Where

    shown = Where(job.device, synthetic(64, 16 if job.tiny else 32, 2), job.tiny)
    for check in CHECKS:
        yield Part(f"check {check.__name__.replace('_', ' ')}", 1.0, lambda _, check=check: check(shown))
    yield Part("photos", 45.0, lambda seconds: photos(job, seconds))
    yield Part("climb", 3.0, lambda seconds: climbing(job, seconds))
    from train_speed import FAMILIES

    families, sizes = (("light",), (16,)) if job.tiny else (FAMILIES, SIZES)
    for size, family in itertools.product(sizes, families):
        yield Part(f"speed {family} {size}", 2.0, lambda seconds, f=family, s=size: speed(job, f, s, seconds))
    for size, recipe in itertools.product(sizes, ("photos",) if job.tiny else ("photos", "flow")):
        yield Part(f"alone {recipe} {size}", 1.0, lambda seconds, r=recipe, s=size: alone(job, r, s, seconds))


def named(every: list[Part], beginning: str) -> list[Part]:
    """Those whose names begin so. Raises Wrong where there is none."""
    chosen = [part for part in every if part.name.startswith(beginning)]
    if not chosen:
        raise Wrong(f"--only {beginning}: no part has such a name; try check, photos, climb or speed")
    return chosen


def measured(todo: list[Part], seconds: float, device: Any) -> Iterator[dict[str, Any]]:
    """What each part found or why it failed, with its seconds and peak memory, within so many seconds in all."""
    end = time.monotonic() + seconds
    for k, part in enumerate(todo):
        left = end - time.monotonic()
        share = left * part.weight / sum(other.weight for other in todo[k:])
        if left <= 0:
            yield {"part": part.name, "skipped": "no time was left"}
            continue
        forget_peak(device)
        began = time.monotonic()
        found: dict[str, Any] = {"part": part.name}
        try:
            found |= part.measure(share)
        except Exception as error:  # whatever it is, the other parts are worth having
            found |= {"error": f"{type(error).__name__}: {error}", "where": traceback.format_exc(limit=-4)}
        yield found | {"seconds": round(time.monotonic() - began, 2), "peak_mib": round(peak_mib(device), 1)}


def photos(job: Job, seconds: float) -> dict[str, Any]:
    """The recipe `photos`: images a second, score, grid of samples."""
    from limner.core.pixels import grid, save_png

    run, state = begun(job, "photos", job.images.image)
    trained = trained_for(job, run, state, TRAINED * seconds)
    model = likeness_of(job, state)
    png = save_png(grid(model.sample(64, job.seed)), job.out / f"photos-{job.images.image.height}.png")
    return {"recipe": "photos", "batch": run.batch, "precision": run.precision, "data": job.note, "grid": png.name,
            **trained, **score(job, model)}  # fmt: skip


def begun(job: Job, recipe: str, image: Any) -> tuple[Any, Any]:
    """A recipe's run for these pictures, and its state on the device."""
    from limner.core.spec import build
    from limner.recipes.base import Facts, plan
    from limner.run import Run
    from limner.train import State

    facts = Facts(image, len(job.images), len(job.images.names), job.device.type, job.seed)
    run = build(plan(recipe, facts, ("batch=8",) if job.tiny else ()), Run)
    return run, State(run, job.device)


def trained_for(job: Job, run: Any, state: Any, seconds: float) -> dict[str, Any]:
    """Train; what became of it in numbers. What is computed before the second step is no part of the speed."""
    import torch

    from limner.core.events import Alarm, Progress
    from limner.data.batches import Batches
    from limner.train import Budget, train

    budget = Budget(images=4 * run.batch) if job.tiny else Budget(seconds=seconds)
    batches = Batches(job.images, run.batch, run.seed, job.device)
    alarms: list[str] = []
    moments: list[float] = []
    start = time.perf_counter()
    for event in train(state, run, batches, until=budget, looks=4):
        if isinstance(event, Alarm):
            alarms.append(event.words)
        if isinstance(event, Progress):
            moments.append(time.perf_counter())
    if job.device.type == "cuda":
        torch.cuda.synchronize(job.device)
    images = (len(moments) - 1) * state.nimg / len(moments)
    return {"images": state.nimg, "training_seconds": round(time.perf_counter() - start, 1), "alarms": alarms,
            "seconds_to_first_step": round(moments[0] - start, 1),
            "images_a_second": images / max(time.perf_counter() - moments[0], 1e-9)}  # fmt: skip


def likeness_of(job: Job, state: Any) -> Any:
    """The averaged networks as a model that can be sampled, with the classes as often as among the pictures."""
    from limner import likeness

    return likeness.of(state.averaged, job.images.names, {"counts": list(job.images.counts())})


def score(job: Job, model: Any) -> dict[str, Any]:
    """Fréchet distance and the like, on the evaluation backbone."""
    from limner.evaluate import Scored, evaluate
    from limner.metrics.features import choose

    extractor = choose(FEATURES, job.images)
    n = min(32 if job.tiny else SCORED, len(job.held_out))
    codes = model.codes(n, job.seed)
    told = model.labels(n, job.seed) if model.generator.classes else None

    def draw(first: int, count: int) -> Any:
        rows = slice(first, first + count)
        return model.decode(codes[rows], None if told is None else told[rows])

    other = None if job.held_out is job.images else job.images
    events = evaluate(draw, job.held_out, extractor=extractor, n=n, other=other, seed=job.seed, device=job.device)
    scored = next(event for event in events if isinstance(event, Scored))
    return {"features": f"{extractor.name} {extractor.digest}", "n": n,
            "scores": {s.label: {"value": s.value, "low": s.low, "high": s.high, "floor": s.floor}
                       for s in scored.scores},
            "withheld": {w.label: w.reason for w in scored.withheld}}  # fmt: skip


def climbing(job: Job, seconds: float) -> dict[str, Any]:
    """Steps of an inversion of 64 pictures from 8 starts each, beside decoding as many rows there and back."""
    import torch

    from limner.core.pixels import Image
    from limner.explore.climb import climb
    from limner.explore.spaces import space, starts
    from limner.goals.base import Scene
    from limner.goals.picture import Match

    targets, each, side = (4, 2, 16) if job.tiny else (TARGETS, STARTS, 64)
    net = likeness_of(job, begun(job, "default", Image(3, side, side))[1]).generator
    scene, numbers = Scene({"generator": net}), list(range(targets))
    told = None if not net.classes else torch.full((targets,), -1, device=job.device)
    y = net(net.latent.sample(targets, torch.Generator().manual_seed(job.seed)).to(job.device), told)
    z = starts(space(scene, "z", told), "prior", numbers, each, seed=job.seed, label=told)
    rows, aim = z.flatten(0, 1), y.repeat_interleave(each, 0)
    rows_told = None if told is None else told.repeat_interleave(each)

    def plain() -> Iterator[None]:
        while True:
            given = rows.clone().requires_grad_()
            torch.autograd.grad((net(given, rows_told) - aim).square().mean(), given)
            yield

    def climbs(precision: Any) -> Iterator[Any]:
        while True:
            yield from climb(scene, Match(y), z, steps=10_000, label=told, precision=precision)

    each_takes = {name: pace(loop, seconds / 3, job) for name, loop in
                  (("decode", plain()), ("fp32", climbs("fp32")), ("bf16", climbs("bf16")))}  # fmt: skip
    return {"targets": targets, "starts": each, "side": side, "decodes_a_second": 1 / each_takes["decode"],
            "steps_a_second": 1 / each_takes["fp32"], "steps_a_second_bf16": 1 / each_takes["bf16"],
            "ratio": each_takes["fp32"] / each_takes["decode"]}  # fmt: skip


def pace(loop: Iterator[Any], seconds: float, job: Job) -> float:
    """Seconds of one round of a loop, the first three left out, with an idle device at both ends."""
    import torch

    wait = torch.cuda.synchronize if job.device.type == "cuda" else lambda: None
    for _ in range(3):
        next(loop)
    wait()
    began, done = time.perf_counter(), 0
    while not done or time.perf_counter() - began < (0.05 if job.tiny else min(seconds, 5.0)):
        next(loop)
        done += 1
        if done % 8 == 0:
            wait()  # what is only queued is not done
    wait()
    return (time.perf_counter() - began) / done


def speed(job: Job, family: str, size: int, seconds: float) -> dict[str, Any]:
    """Images a second of both loops on the same networks, in two turns each, and what memory each takes."""
    import statistics

    from train_speed import contest, images_a_second

    run, _, *loops = contest(family, size, 8 if job.tiny else 64, job.device)
    span = 0.1 if job.tiny else min(max(seconds / 6, 0.5), 6.0)
    peaks: list[float] = []
    for loop in loops:  # warms up as well
        forget_peak(job.device)
        images_a_second(loop, span, job.device)
        peaks.append(round(peak_mib(job.device), 1))
    turns = [[images_a_second(loop, span, job.device) for loop in loops] for _ in range(2)]
    ours, theirs = (statistics.fmean(column) for column in zip(*turns, strict=True))
    return {"family": family, "size": size, "batch": run.batch, "precision": run.precision, "limner": ours,
            "textbook": theirs, "ratio": ours / theirs, "limner_mib": peaks[0], "textbook_mib": peaks[1]}  # fmt: skip


def alone(job: Job, recipe: str, size: int, seconds: float) -> dict[str, Any]:
    """Images a second of a recipe that no textbook loop plays, without what it computes before the first step."""
    from train_speed import images_a_second, limner_loop

    from limner.core.pixels import Image

    run, state = begun(job, recipe, Image(3, size, size))
    state.looked = 0  # as if that had been computed: its numbers do not matter to the speed
    loop = limner_loop(run, state, synthetic(8 if job.tiny else 512, size, 3).pixels)
    span = 0.1 if job.tiny else min(max(seconds / 2, 0.5), 6.0)
    images_a_second(loop, span / 2, job.device)
    return {"recipe": recipe, "size": size, "batch": run.batch, "precision": run.precision,
            "images_a_second": images_a_second(loop, span, job.device)}  # fmt: skip


def forget_peak(device: Any) -> None:
    """Begin to count a GPU's peak memory anew, with nothing kept from the part before."""
    import gc

    import torch

    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_mib(device: Any) -> float:
    """Most memory that was taken: of the GPU since it was forgotten, on a CPU of the process since it began; MiB."""
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def machine(job: Job, asked: argparse.Namespace) -> dict[str, Any]:
    """Where and with what this was measured."""
    import numpy as np
    import torch

    import limner

    cuda = job.device.type == "cuda"
    gpu = {} if not cuda else {
        "gpu": torch.cuda.get_device_name(job.device),
        "gpu_mib": torch.cuda.get_device_properties(job.device).total_memory // 2**20,
        "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(),
    }  # fmt: skip
    return {"device": str(job.device), **gpu, "cpu": platform.machine(), "cores": os.cpu_count(),
            "threads": torch.get_num_threads(), "python": platform.python_version(), "torch": str(torch.__version__),
            "numpy": np.__version__, "limner": limner.__version__, "date": datetime.date.today().isoformat(),
            "seed": job.seed, "minutes": asked.minutes, "tiny": job.tiny, "data": job.note}  # fmt: skip


def line(found: dict[str, Any]) -> str:
    """A part's result as a line on the screen."""
    if said := found.get("error") or found.get("skipped"):
        return f"{found['part']:24} {'FAILED: ' if 'error' in found else 'skipped: '}{said.splitlines()[0][:160]}"
    kept = {name: found[name] for name in WORDS if name in found}
    distances = {k: v["value"] for k, v in found.get("scores", {}).items() if "distance" in k}
    said = "  ".join(f"{WORDS.get(name, name)} {short(value)}" for name, value in (kept | distances).items())
    return f"{found['part']:24} {said or 'holds'}  ({found['seconds']:.0f} s, {found['peak_mib']:.0f} MiB)"


WORDS = {"recipe": "recipe", "images_a_second": "images/s", "limner": "Limner images/s", "textbook": "textbook",
         "steps_a_second": "steps/s", "steps_a_second_bf16": "bf16 steps/s", "ratio": "ratio", "exact": "exact",
         "largest difference": "largest difference"}  # fmt: skip
"""Numbers that the screen shows, and what it calls them."""


def short(value: Any) -> str:
    """A number with three digits or so."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def markdown(results: dict[str, Any]) -> str:
    """Everything as Markdown, to be pasted into benchmarks/speed.md."""
    said = results["machine"]
    who = said.get("gpu") or f"{said['threads']} threads {said['cpu']}"
    how = f"torch {said['torch']}, {said['date']}, seed {said['seed']}, {said['minutes']:g} minutes"
    lines = [f"{who}, {how}, {said['data']}"]
    lines += ["", "| part | found | seconds | MiB |", "| --- | --- | --- | --- |"]
    rest = [found for found in results["parts"] if "family" not in found]
    for found in rest:
        words = line(found)[25:].rpartition("  (")[0] or line(found)[25:]
        lines.append(f"| {found['part']} | {words} | {found.get('seconds', 0):.0f} | {found.get('peak_mib', 0):.0f} |")
    rows = [found for found in results["parts"] if "family" in found]
    if rows:
        heads = ("family", "size", "batch", "arithmetic", "Limner, images/s", "textbook", "ratio", "MiB", "its MiB")
        lines += ["", f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
        lines += [f"| {r['family']} | {r['size']} | {r['batch']} | {r['precision']} | {r['limner']:.0f} | "
                  f"{r['textbook']:.0f} | {r['ratio']:.1f} | {r['limner_mib']:.0f} | {r['textbook_mib']:.0f} |"
                  for r in rows]  # fmt: skip
    return "\n".join(lines)


def write(path: Path, text: str) -> None:
    """A file, whole or as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
