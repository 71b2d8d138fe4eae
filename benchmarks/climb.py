"""Cost of climbing: a step for 64 targets from 8 starts each, beside 512 plain decodes there and back, and a loop.

    python benchmarks/climb.py [--family DCGAN] [--side 28] [--steps 5]
    python benchmarks/climb.py --model runs/vae --data ../shared/data/mnist --damage half noise x4 --pictures 16

The second restores test pictures in the codes of a model, in each of several ways: what they cost and how near they
come. Finished rows are kept in --rows, and a run that was stopped goes on with the next. --picture draws, for the
first damage, each way's answers to the first pictures.

Times are of the processor, not of the clock, on one thread: other programs hardly disturb them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import read, work

from limner.core.memory import keep_freed_memory
from limner.core.pixels import Image, enlarge, grid, save_png, to_bytes
from limner.core.rng import generator
from limner.core.spec import build
from limner.data.gather import gather
from limner.explore.climb import Stop, climb
from limner.explore.halving import Halving
from limner.explore.spaces import space, starts
from limner.goals.base import Scene
from limner.goals.picture import Match
from limner.likeness import load
from limner.models.base import Generator
from limner.operators.base import as_operator
from limner.restoring.cases import Case, damaged
from limner.restoring.climbing import ByClimbing

TARGETS, STARTS = 64, 8


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--family", default="DCGAN")
    asked.add_argument("--side", type=int, default=28)
    asked.add_argument("--channels", type=int, default=1)
    asked.add_argument("--steps", type=int, default=6)
    asked.add_argument("--model", help="a run in whose codes test pictures are restored, in each of several ways")
    asked.add_argument("--data", help="what it was trained on")
    asked.add_argument("--damage", nargs="+", choices=list(DAMAGES), default=list(DAMAGES))
    asked.add_argument("--ways", nargs="+", choices=list(WAYS), default=[BEFORE, NOW])
    asked.add_argument("--pictures", type=int, default=16)
    asked.add_argument("--rows", type=Path, default=Path("climb.jsonl"))
    asked.add_argument("--picture", type=Path)
    said = asked.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as the command line does
    if said.model:
        restoring(said)
        return
    image = Image(said.channels, said.side, said.side)
    net = build(f"{said.family}Generator", Generator, image=image).eval().requires_grad_(False)
    scene, numbers = Scene({"generator": net}), list(range(TARGETS))
    y = net(net.latent.sample(TARGETS, generator(1)))
    z = starts(space(scene), "prior", numbers, STARTS)
    rows = z.flatten(0, 1)

    def plain() -> None:
        given = rows.clone().requires_grad_()
        torch.autograd.grad((net(given) - y.repeat_interleave(STARTS, 0)).square().mean(), given)

    plain()
    once = statistics.median(seconds(plain) for _ in range(said.steps))
    together = a_step(climb(scene, Match(y), z, steps=said.steps))
    halved = 0.8 * a_step(climb(scene, Match(y), z, steps=said.steps, precision="bf16")) + 0.2 * together
    by_image = a_step(climb(scene, Match(y[:1]), z[:1], steps=4 * said.steps)) * TARGETS
    by_row = a_step(climb(scene, Match(y[:1]), z[:1, :1], steps=4 * said.steps)) * TARGETS * STARTS
    weights = sum(p.numel() for p in net.parameters()) / 1e6
    print(f"{said.family}, {image}, {weights:.2f} M weights, torch {torch.__version__}, one thread, Adam")
    print(f"512 plain decodes there and back       {once:8.3f} s")
    print(f"a step of 64 targets × 8 starts        {together:8.3f} s   {together / once:.2f} of it (to be at most 2)")
    print(f"the same with --precision bf16         {halved:8.3f} s   {halved / together:.2f} of that")
    print(f"the same, target after target          {by_image:8.3f} s   {by_image / together:.1f} times as long")
    ratios = f"{by_row / together:.1f} times as long (5 or more), {by_row / halved:.1f} times that with bf16"
    print(f"the same, row after row                {by_row:8.3f} s   {ratios}")


DAMAGES = {"half": "Mask(half=right)", "noise": "Noise(0.5)", "x4": "Downsample(4)"}
BEFORE, NOW = "as before: Adam, 200 steps", "L-BFGS, halving, stop (default)"
OLD: dict[str, Any] = {"optimizer": "Adam", "steps": 200, "halving": None, "stop": None}
WAYS: dict[str, dict[str, Any]] = {
    BEFORE: OLD,
    "bf16 alone": OLD | {"precision": "bf16"},
    "first 4 steps shared, alone": OLD | {"shared": 4},
    "stop alone": OLD | {"stop": Stop(patience=8)},
    "halving alone": OLD | {"halving": Halving()},
    "L-BFGS alone, 100 steps": {"halving": None, "stop": None},
    "L-BFGS, halving": {"stop": None},
    NOW: {},
    "and with one start": {"starts": 1},
    "and with first 4 steps shared": {"shared": 4},
    "and with bf16": {"precision": "bf16"},
}
"""What differs from the defaults of ByClimbing."""


def restoring(said: argparse.Namespace) -> None:
    """A table: each damage in each way."""
    likeness = load(said.model)
    image = likeness.image
    test = np.asarray(gather(said.data, size=(image.height, image.width), channels=image.channels, split="test").pixels)
    pixels = test[:: len(test) // said.pictures][: said.pictures]
    made: list[int] = []
    likeness.generator.register_forward_hook(lambda _net, _given, x: made.append(len(x)))
    shown: list[torch.Tensor] = []

    def row(model: str, damage: str, way: str, pictures: int) -> dict[str, Any]:
        cases = [damaged(one, as_operator(DAMAGES[damage]), 0, number) for number, one in enumerate(pixels)]
        made.clear()
        began = time.process_time()
        answers = ByClimbing(likeness.scene, **WAYS[way])(cases)
        spent = time.process_time() - began
        x = torch.stack([answer.samples for answer in answers])
        if damage == said.damage[0]:
            shown.extend(x[:8, k] for k in (0, 1))
        spread = statistics.mean(answer.spread().mean().item() for answer in answers)
        about = {"model": model, "damage": damage, "way": way, "pictures": pictures}
        return about | {"seconds": spent / pictures, "made": sum(made) / pictures, "spread": spread} | errors(cases, x)

    tasks = [(said.model, damage, way, said.pictures) for damage in said.damage for way in said.ways]
    for _ in work(said.rows, ("model", "damage", "way", "pictures"), tasks, row):
        pass
    print(f"{said.model}, {image}, {said.pictures} test pictures, torch {torch.__version__}, one thread")
    print("| damage | way | CPU s | pictures made | error: seen | error: all | spread |\n" + "| --- " * 7 + "|")
    for r in read(said.rows):
        if (r["model"], r["damage"], r["way"], r["pictures"]) in tasks:
            near = f"{r['seen']:.4f} | {r['all']:.4f} ± {r['off']:.4f} | {r['spread']:.3f}"
            print(f"| {r['damage']} | {r['way']} | {r['seconds']:.2f} | {r['made']:.0f} | {near} |")
    if said.picture and shown:
        lines = [*shown, torch.from_numpy(pixels[:8].copy()).permute(0, 3, 1, 2) / 127.5 - 1]
        drawn = grid(np.concatenate([to_bytes(line) for line in lines]), len(lines[0]))
        save_png(enlarge(drawn, 2), said.picture)


def errors(cases: Sequence[Case], x: torch.Tensor) -> dict[str, float]:
    """Mean squared errors in the [-1, 1] range: of what was measured, of all pixels, and how sure the latter is."""
    truth = torch.cat([case.truth for case in cases if case.truth is not None])
    seen = [
        (c.operator.measure(s) - c.operator.measure(c.truth)).square().mean() for c, s in zip(cases, x, strict=True)
    ]
    whole = (x - truth[:, None]).square().flatten(1).mean(1)
    off = whole.std().item() / len(whole) ** 0.5
    return {"seen": torch.stack(seen).mean().item(), "all": whole.mean().item(), "off": off}


def a_step(going: Iterator[object]) -> float:
    """The median time of a step, the first ones left out."""
    began, spans = time.process_time(), []
    for _ in going:
        spans.append(time.process_time() - began)
        began = time.process_time()
    return statistics.median(spans[2:])


def seconds(do: Callable[[], object]) -> float:
    began = time.process_time()
    do()
    return time.process_time() - began


if __name__ == "__main__":
    main()
