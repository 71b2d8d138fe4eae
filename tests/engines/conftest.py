"""Small runs: planted pictures, tiny networks, and how to compare two states to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from limner.core import store
from limner.core.latent import Gaussian
from limner.core.pace import Pace
from limner.core.pixels import Image
from limner.core.spec import options
from limner.data.batches import Batches
from limner.data.images import Images
from limner.models.plain import PlainCritic, PlainGenerator
from limner.objectives.gan import GAN
from limner.run import Run
from limner.train import State

CPU = torch.device("cpu")
TINY = {"width": 4, "widest": 8, "depth": 2, "features": 8, "dropout": 0.3}


def pictures(n: int = 100, side: int = 8, seed: int = 0) -> Images:
    """Bright squares somewhere on black, three classes by size."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((n, side, side, 1), np.uint8)
    labels = rng.integers(0, 3, n)
    for picture, label in zip(pixels, labels, strict=True):
        top, left = rng.integers(0, side - 3, 2)
        picture[top : top + 2 + label, left : left + 2 + label] = rng.integers(150, 256)
    return Images(pixels, labels.astype(np.int64), ("a", "b", "c"), f"planted-{n}-{side}-{seed}", "planted")


def tiny(kind: type, image: Image, classes: int) -> Any:
    """The smallest network of a class that still has all of its parts."""
    names = {o.name for o in options(kind)}
    more = {"latent": Gaussian(8)} if "latent" in names else {}
    return kind(image=image, classes=classes, **more, **{k: v for k, v in TINY.items() if k in names})


def tiny_run(generator: type = PlainGenerator, critic: type = PlainCritic, classes: int = 3, **more: Any) -> Run:
    """A GAN with the default objective on 8×8 grey pictures, 8 a batch."""
    image = Image(1, 8, 8)
    nets = {"generator": tiny(generator, image, classes), "critic": tiny(critic, image, classes)}
    return Run(**({"objective": GAN(), "nets": nets, "batch": 8, "average": 50.0, "seed": 3} | more))


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of everything in a nested state; when it was looked at is left out, and clocks are."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key not in ("seconds", "reserve", "looked"):
                yield from leaves(value, f"{path}/{key}")
    elif isinstance(tree, (list, tuple)):
        for i, value in enumerate(tree):
            yield from leaves(value, f"{path}/{i}")
    else:
        yield path, tree


def differences(a: Any, b: Any) -> list[str]:
    """Paths at which two trees are not equal bit for bit."""
    one, other = dict(leaves(a)), dict(leaves(b))
    paths = sorted(one.keys() ^ other.keys())
    for path in sorted(one.keys() & other.keys()):
        x, y = one[path], other[path]
        same = torch.equal(x, y) and x.dtype == y.dtype if isinstance(x, torch.Tensor) else x == y
        paths += [] if same else [path]
    return paths


def through_disk(state: State, run: Run, folder: Path) -> State:
    """A new state, as another process would find it."""
    store.save_state(folder, state.tree())
    again = State(run, CPU)
    again.load(store.load_state(folder))
    return again


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """The above, for test modules, which cannot import each other."""
    found: dict[str, Callable[..., Any] | Any] = dict(
        pictures=pictures,
        tiny_run=tiny_run,
        differences=differences,
        through_disk=through_disk,
        state=lambda run: State(run, CPU),
        source=lambda run, n=100: Batches(pictures(n), run.batch, run.seed),
    )
    return SimpleNamespace(**found)


@pytest.fixture
def free_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks count as if they took no time, so that when they happen does not depend on the machine."""
    monkeypatch.setattr(Pace, "took", lambda *_: 0.0)
