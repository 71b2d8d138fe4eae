"""Cost of climbing: a step for 64 targets from 8 starts each, beside 512 plain decodes there and back, and a loop.

    python benchmarks/climb.py [--family DCGAN] [--side 28] [--steps 5]

Times are of the processor, not of the clock, on one thread: other programs hardly disturb them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator

import torch

from limner.core.memory import keep_freed_memory
from limner.core.pixels import Image
from limner.core.rng import generator
from limner.core.spec import build
from limner.explore.climb import climb
from limner.explore.spaces import space, starts
from limner.goals.base import Scene
from limner.goals.picture import Match
from limner.models.base import Generator

TARGETS, STARTS = 64, 8


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--family", default="DCGAN")
    asked.add_argument("--side", type=int, default=28)
    asked.add_argument("--channels", type=int, default=1)
    asked.add_argument("--steps", type=int, default=6)
    said = asked.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as the command line does
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
