"""Near-duplicates and odd ones out: what was planted is found, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

import limner
from limner.data.gather import of_arrays
from limner.data.images import Images
from limner.metrics.oddities import oddities


def leaves(n: int) -> np.ndarray:
    """Smooth coloured patches, each picture its own."""
    rng = torch.Generator().manual_seed(0)
    coarse = torch.rand(n, 3, 6, 6, generator=rng)
    smooth = F.interpolate(coarse, size=(48, 48), mode="bicubic").clamp(0, 1)
    return (smooth * 255).byte().permute(0, 2, 3, 1).numpy()


def planted(n: int = 80) -> tuple[Images, set[tuple[int, int]], int]:
    """Copies that were mirrored, darkened, moved and made noisy; and a chequerboard among patches."""
    rng = np.random.default_rng(0)
    pixels = leaves(n)
    mirrored, darker, moved = pixels[3][:, ::-1], (pixels[7] * 0.9).astype(np.uint8), np.roll(pixels[11], 1, 1)
    noisy = np.clip(pixels[20].astype(int) + rng.integers(-6, 7, pixels[20].shape), 0, 255).astype(np.uint8)
    y, x = np.mgrid[:48, :48]
    chequered = np.repeat(((((x // 3) + (y // 3)) % 2) * 255).astype(np.uint8)[:, :, None], 3, 2)
    more = np.stack([mirrored, darker, moved, noisy, chequered])
    pairs = {(3, n), (7, n + 1), (11, n + 2), (20, n + 3)}
    return of_arrays(np.concatenate([pixels, more])), pairs, n + 4


def test_what_was_planted_is_found_and_nothing_else() -> None:
    images, pairs, odd = planted()
    found = oddities(images)
    assert set(found.near) == pairs and found.odd == (odd,) and found.looked == len(images)


def test_where_nothing_was_planted_nothing_is_found() -> None:
    found = oddities(of_arrays(leaves(80)))
    assert found.near == () and found.odd == ()


def test_larger_sets_are_sampled_and_tiny_ones_left_alone() -> None:
    images = of_arrays(leaves(60))
    assert oddities(images, most=20).looked == 20
    assert oddities(of_arrays(leaves(4))).near == ()


def test_grey_pictures_and_flowers(shared: Path) -> None:
    """Of real photographs and digits few are nearly the same; a mirrored copy is."""
    flowers = limner.gather(str(shared / "data" / "flowers" / "flowers128.zip"), size=(64, 64), split="test")
    pixels = np.concatenate([flowers.pixels, flowers.pixels[5:6, :, ::-1]])
    found = oddities(of_arrays(pixels))
    assert (5, len(flowers)) in found.near and len(found.near) <= 8
    assert len(found.odd) <= 8
    assert len(oddities(of_arrays(limner.gather("digits", split="test").pixels[:400])).near) <= 20
