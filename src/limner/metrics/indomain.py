"""In-domain features: a small network trained once on the pictures themselves, then cached.

Where pictures have labels it learns to tell the classes apart; where not, to recognise a picture among others after
it was moved, turned and scaled (Chen et al. 2020, "SimCLR"). Neither view is noised or blurred, so noise and blur
remain visible in the features. How well it does on pictures kept back is recorded with it.
"""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from limner.core.errors import UserError
from limner.core.pixels import to_float
from limner.core.rng import derived, generator
from limner.data.cache import cache_folder
from limner.data.images import Images as Data
from limner.metrics.base import LONGEST, Extractor, Features, Images
from limner.metrics.inputs import at_most, digest_of, three_channels

VERSION = 1
WIDTH = 64
BATCH = 256
PIXELS_SEEN = 100_000 * 28 * 28
"""Training budget: 100,000 images of 28×28, or as many pixels of another size."""
EPOCHS = 25
"""At most, where the pictures are few."""


class Trunk(nn.Module):
    """Images (n, 3, h, w) → 64 features; `head` reads them through a rectifier."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 32, 4, 2, 1), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Conv2d(32, 64, 3, 2, 1), nn.BatchNorm2d(64), nn.ReLU(),
            nn.Conv2d(64, 96, 3, 1, 1), nn.BatchNorm2d(96), nn.ReLU(),
            nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(9 * 96, WIDTH), nn.BatchNorm1d(WIDTH),
        )  # fmt: skip
        self.head = nn.Linear(WIDTH, outputs)

    def forward(self, x: Images) -> Features:
        return self.body(at_most(three_channels(x.float()), LONGEST))

    def answers(self, x: Images) -> Float[Tensor, "n outputs"]:
        """Class scores, or what pictures are recognised by."""
        return self.head(F.relu(self(x)))


@dataclass(frozen=True, eq=False)
class InDomain(Extractor):
    """Features of a network trained on one data set.

    trunk: the trained network, in evaluation mode
    task: `classes`, or `instances` where there are no labels
    accuracy: share answered right on pictures kept back, 0 to 1 (of a class, or of one picture among 256)
    """

    trunk: Trunk
    task: str
    accuracy: float
    name: str = "in-domain"
    resize = f"to at most {LONGEST} px, bilinear, antialiased"

    @classmethod
    def of(cls, data: Data) -> InDomain:
        """The network of this data: from the cache, else trained and cached. Raises UserError under 64 pictures."""
        path = cache_folder() / "features" / f"in-domain-{VERSION}-{data.fingerprint[:32]}.safetensors"
        try:
            return cls.load(path)
        except (OSError, SafetensorError, KeyError, RuntimeError, ValueError):
            made = cls.fit(data)
        # an unwritable cache costs time, not the result
        with contextlib.suppress(OSError):
            made.save(path)
        return made

    @classmethod
    def fit(cls, data: Data, seed: int = 0) -> InDomain:
        """Train on nine tenths of the data (at most 2,000 kept back) for a fixed number of pixels."""
        if len(data) < 64:
            raise UserError(f"{data.source}: {len(data)} pictures are too few to train features on; --features random")
        usable = _labelled(data)
        task = "instances" if usable is None else "classes"
        rows = np.arange(len(data)) if usable is None else usable
        rows = rows[np.random.RandomState(seed).permutation(len(rows))]
        back = min(2000, len(rows) // 10)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived(seed, 0, "in-domain"))
            trunk = _laid_out(WIDTH if usable is None else len(data.names))
        _train(trunk, data, rows[back:], task, seed)
        trunk.eval()
        return cls(trunk, task, _accuracy(trunk, data, rows[:back], task, seed))

    @cached_property
    def digest(self) -> str:  # type: ignore[override]
        """Hash of the weights and of this file's rules."""
        return digest_of(f"in-domain/{VERSION}/at-most-{LONGEST}", self.trunk.body.state_dict().values())

    def __call__(self, x: Images) -> Features:
        """Features of images in [-1, 1], float32 (n, 64)."""
        with torch.inference_mode():
            return self.trunk.to(x.device)(x.contiguous(memory_format=torch.channels_last))

    def answers(self, features: Features) -> Float[Tensor, "_ k"] | None:
        """p(class), where it was trained on classes."""
        if self.task != "classes":
            return None
        with torch.inference_mode():
            return self.trunk.head.to(features.device)(F.relu(features)).double().softmax(1)

    def save(self, path: Path) -> None:
        """Write one safetensors file, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}")
        state = {k: v.contiguous().cpu() for k, v in self.trunk.state_dict().items()}
        save_file(state, part, {"task": self.task, "accuracy": repr(self.accuracy)})
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> InDomain:
        """Read what `save` wrote."""
        with safe_open(path, "pt") as file:
            state = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
            about = file.metadata()
        trunk = _laid_out(len(state["head.bias"]))
        trunk.load_state_dict(state)
        return cls(trunk.eval(), about["task"], float(about["accuracy"]))


def _laid_out(outputs: int) -> Trunk:
    return Trunk(outputs).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _labelled(data: Data) -> np.ndarray | None:
    """The rows that have a label, if most do and they are of two classes or more."""
    if data.labels is None:
        return None
    rows = np.flatnonzero(data.labels >= 0)
    enough = 2 * len(rows) > len(data) and len(np.unique(data.labels[rows])) > 1
    return rows if enough else None


def _train(trunk: Trunk, data: Data, rows: np.ndarray, task: str, seed: int) -> None:
    h, w = (min(side, LONGEST) for side in data.pixels.shape[1:3])
    batch = min(BATCH, len(rows))
    per_image = h * w * (2 if task == "instances" else 1)
    steps = math.ceil(min(PIXELS_SEEN / per_image, max(EPOCHS * len(rows), 100 * batch)) / batch)
    optimizer = torch.optim.AdamW(trunk.parameters(), 3e-3, weight_decay=0.05)
    curve = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps + 1, pct_start=0.2)
    rng = generator(seed, 0, "in-domain batches")
    trunk.train()
    for _ in range(steps):
        # sorted, because neighbouring rows of a memory map are read together
        picked = np.sort(rows[torch.randint(len(rows), (batch,), generator=rng).numpy()])
        loss = _loss(trunk, data, picked, task, rng)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        curve.step()


def _loss(trunk: Trunk, data: Data, picked: np.ndarray, task: str, rng: torch.Generator) -> Tensor:
    x = to_float(data.pixels[picked])
    if task == "classes" and data.labels is not None:
        return F.cross_entropy(trunk.answers(moved(x, 0.5, rng)), torch.from_numpy(data.labels[picked]))
    similar = _similar(trunk, x, rng)
    right = torch.arange(len(x))
    return (F.cross_entropy(similar, right) + F.cross_entropy(similar.T, right)) / 2


def _similar(trunk: Trunk, x: Images, rng: torch.Generator) -> Float[Tensor, "n n"]:
    """Cosines of two moved views of the same pictures over a temperature of 0.1."""
    views = trunk.answers(torch.cat([moved(x, 1.0, rng), moved(x, 1.0, rng)]))
    a, b = F.normalize(views, dim=1).chunk(2)
    return a @ b.T / 0.1


def _accuracy(trunk: Trunk, data: Data, rows: np.ndarray, task: str, seed: int) -> float:
    rng = generator(seed, 0, "in-domain accuracy")
    right = 0
    with torch.inference_mode():
        for start in range(0, len(rows), BATCH):
            picked = np.sort(rows[start : start + BATCH])
            x = to_float(data.pixels[picked])
            if task == "classes" and data.labels is not None:
                answer, truth = trunk.answers(x).argmax(1), torch.from_numpy(data.labels[picked])
            else:
                answer, truth = _similar(trunk, x, rng).argmax(1), torch.arange(len(x))
            right += int((answer == truth).sum())
    return right / max(1, len(rows))


def moved(x: Images, strength: float, rng: torch.Generator) -> Images:
    """Each image turned by up to 15°, shifted by up to 10 % and scaled by up to 15 %, times `strength`."""

    def uniform(reach: float) -> Tensor:
        return (torch.rand(len(x), generator=rng) * 2 - 1) * reach * strength

    angle, scale = uniform(math.radians(15)), 1 + uniform(0.15)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    matrix = torch.stack([cos, -sin, uniform(0.2), sin, cos, uniform(0.2)], 1).view(-1, 2, 3)
    # drawn on the CPU, the same on every device
    grid = F.affine_grid(matrix.to(x.device), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)
