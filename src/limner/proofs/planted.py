"""A planted translation: digits in amber on blue, and other digits with their hue turned by a third of the circle.

The truth is known for each: red becomes green, green blue, and blue red. In two of the three channels what was bright
becomes dark, so no curve a channel can do it.

Also what a user would try first: leaving pictures alone, and giving them the colour statistics of the other domain.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limner.core.pixels import Bytes, to_float
from limner.core.store import replacing
from limner.metrics.lenet import LeNet5
from limner.metrics.weights import WeightsFile
from limner.proofs.base import Bench

SIDE = (14, 14)
PAPER, INK = np.array([30.0, 20.0, 120.0]), np.array([255.0, 200.0, 80.0])


def painted(grey: Bytes) -> Bytes:
    """(n, h, w, 1) → (n, h, w, 3): black becomes dark blue and white amber."""
    return np.round(PAPER + (INK - PAPER) * (grey / 255.0)).astype(np.uint8)


def turned(colour: Bytes) -> Bytes:
    """The planted translation of (n, h, w, 3): hues turned by a third of the circle."""
    return np.roll(colour, 1, axis=3)


def read_back(colour: Bytes, was_turned: bool) -> Bytes:
    """(n, h, w, 3) → grey (n, h, w, 1): each colour is led to the nearest one between paper and ink."""
    paper, ink = (np.roll(c, 1) if was_turned else c for c in (PAPER, INK))
    share = ((colour - paper) @ (ink - paper) / ((ink - paper) @ (ink - paper))).clip(0, 1)
    return np.round(255 * share)[..., None].astype(np.uint8)


def domains(bench: Bench) -> tuple[Bytes, Bytes]:
    """The first half of the training digits, and the second with hues turned: no picture is in both."""
    digits = painted(np.asarray(bench.images("mnist", size=SIDE).pixels))
    half = len(digits) // 2
    return digits[:half], turned(digits[half:])


def held_out(bench: Bench, n: int) -> tuple[Bytes, Bytes, NDArray[np.int64]]:
    """Test digits of both domains, and their labels."""
    test = bench.images("mnist", "test", size=SIDE)
    assert test.labels is not None
    digits = painted(np.asarray(test.pixels[:n]))
    return digits, turned(digits), test.labels[:n]


def unmatched(bench: Bench) -> str:
    """A file of both domains, as `limner train` takes it."""
    a, b = domains(bench)
    path = bench.work / "hues.npz"
    if not path.exists():
        labels = np.repeat([0, 1], [len(a), len(b)])
        _write(path, images=np.concatenate([a, b]), labels=labels, names=np.array(["amber", "turned"]))
    return str(path)


def matched(bench: Bench) -> str:
    """A file of digits beside their truth, as `limner train` takes it."""
    a, _ = domains(bench)
    path = bench.work / "hues-matched.npz"
    if not path.exists():
        _write(path, images=np.concatenate([a, turned(a)], 2))
    return str(path)


def _write(path: Path, **arrays: NDArray[Any]) -> None:
    """An .npz, whole or not at all: it is made once, and a run that is killed must not leave half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]


def psnr(x: Bytes, y: Bytes) -> float:
    """Mean peak signal-to-noise ratio in dB."""
    squared = (x.astype(np.float64) - y).__pow__(2).reshape(len(x), -1).mean(1)
    return float((10 * np.log10(255**2 / np.maximum(squared, 1e-3))).mean())


def preserved(bench: Bench, grey: Bytes, labels: NDArray[np.int64]) -> float:
    """Percentage of digits (n, h, w, 1) that a LeNet-5 trained on MNIST still reads right."""
    network = WeightsFile(str(bench.shared / "weights" / "mnist-lenet5.safetensors")).network
    assert isinstance(network, LeNet5)
    with torch.no_grad():
        read = network.logits(to_float(grey)).argmax(1).numpy()
    return float(100 * (read == labels).mean())


def colour_matched(x: Bytes, source: Bytes, target: Bytes) -> Bytes:
    """Mean and deviation of each channel led from those of one domain to those of the other (Reinhard et al. 2001)."""
    (m, s), (p, t) = ((d.mean((0, 1, 2)), d.std((0, 1, 2))) for d in (source, target))
    return np.round((x - m) / np.maximum(s, 1e-9) * t + p).clip(0, 255).astype(np.uint8)


def histogram_matched(x: Bytes, source: Bytes, target: Bytes) -> Bytes:
    """Each channel's levels led to those of the same rank in the other domain."""
    made = np.empty_like(x)
    for channel in range(x.shape[3]):
        ranks = np.cumsum(np.bincount(source[..., channel].ravel(), minlength=256)) / source[..., channel].size
        theirs = np.cumsum(np.bincount(target[..., channel].ravel(), minlength=256)) / target[..., channel].size
        levels = np.searchsorted(theirs, ranks - 1e-9).clip(0, 255).astype(np.uint8)
        made[..., channel] = levels[x[..., channel]]
    return made


def baselines(x: Bytes, truth: Bytes, source: Bytes, target: Bytes) -> dict[str, float]:
    """PSNR of what a user would try first."""
    return {
        "identity": psnr(x, truth),
        "mean and deviation": psnr(colour_matched(x, source, target), truth),
        "histogram": psnr(histogram_matched(x, source, target), truth),
    }


def told(scores: dict[str, float]) -> str:
    """`identity 6.1, histogram 8.0`."""
    return ", ".join(f"{name} {score:.1f}" for name, score in scores.items())
