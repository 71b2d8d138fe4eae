"""Trains small runs in processes that a test may kill: everything is imported once, then each session is a fork.

python driver.py        reads "FOLDER OFTEN IMAGES SECONDS" lines; answers each with the wait status of its
                        session, which is killed after so many seconds if it has not ended by then
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch._dynamo  # this and the next, or each session would import them anew
import torch.utils.tensorboard

from limner import project as project_module
from limner.core.latent import Gaussian
from limner.core.optim import Adam
from limner.core.pace import Pace
from limner.core.pixels import Image
from limner.core.spec import spec
from limner.data.images import Images
from limner.models.plain import PlainCritic, PlainGenerator
from limner.objectives.gan import GAN
from limner.project import Project, Settings
from limner.run import Player, Run
from limner.train import Budget


def pictures() -> Images:
    """Squares on black."""
    rng = np.random.default_rng(0)
    pixels = np.zeros((60, 8, 8, 1), np.uint8)
    for picture in pixels:
        top, left = rng.integers(0, 5, 2)
        picture[top : top + 3, left : left + 3] = 200
    return Images(pixels, None, (), "squares", "squares")


def settings(images: int) -> Settings:
    """A tiny run on them."""
    nets = {
        "generator": PlainGenerator(Image(1, 8, 8), Gaussian(4), width=16, depth=2),
        "critic": PlainCritic(Image(1, 8, 8), width=16, depth=2, dropout=0.2),
    }
    players = {"critic": Player(Adam(1e-3), steps=2)}
    run = spec(Run(GAN(), nets, players, batch=8, average=100.0, precision="bf16", seed=5))
    return Settings(run, "tiny", "squares", "train", "squares", (), (), 60, Budget(images=images))


def session(folder: Path, often: bool, images: int) -> None:
    """Begin or go on, to the end. `often` looks and saves after every step."""
    torch.set_num_threads(1)
    # Drawing would take most of a session's time, and then most kills would hit it.
    project_module.draw_curve = lambda *_: None
    if often:
        Pace.due = lambda *_: True  # type: ignore[method-assign]
    begun = (folder / "run.json").exists()
    project = Project.open(folder) if begun else Project.create(folder, settings(images))
    for _ in project.work(pictures()):
        pass


def serve() -> None:
    """One session after another, each a process of its own."""
    print("ready", flush=True)
    for line in sys.stdin:
        folder, often, images, seconds = line.split()
        child = os.fork()
        if child == 0:
            try:
                session(Path(folder), often == "1", int(images))
                os._exit(0)
            except BaseException as error:
                print(type(error).__name__, error, file=sys.stderr, flush=True)
                os._exit(1)
        print(status_of(child, time.monotonic() + float(seconds)), flush=True)


def status_of(child: int, deadline: float) -> int:
    """How it ended, by itself or killed."""
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


if __name__ == "__main__":
    serve()
