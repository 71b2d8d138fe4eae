"""Batches: each epoch visits each image exactly once, and a batch depends on (seed, nimg) alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.core.pixels import to_float
from limner.data.batches import Batches
from limner.data.gather import of_arrays
from limner.data.images import Images


def numbered(n: int, labelled: bool = True) -> Images:
    """Image i has the value i in its first byte (and i // 256 in its second) and the label i mod 3."""
    pixels = np.zeros((n, 4, 6, 3), np.uint8)
    pixels[:, 0, 0, 0], pixels[:, 0, 0, 1] = np.arange(n) % 256, np.arange(n) // 256
    return of_arrays(pixels, np.arange(n) % 3 if labelled else None, ("a", "b", "c"))


def identities(batch: Any) -> list[int]:
    values = batch.x[:, :2, 0, 0].add(1).mul(127.5).round().long()
    return (values[:, 0] + 256 * values[:, 1]).tolist()


@given(st.integers(1, 40), st.integers(1, 100), st.integers(0, 5))
@settings(deadline=None)
def test_each_epoch_visits_each_image_once(n: int, size: int, seed: int) -> None:
    batches = Batches(numbered(n), size, seed)
    seen: list[int] = []
    while len(seen) < 3 * n:
        seen += identities(batches.at(len(seen)))
    for epoch in range(3):
        assert sorted(seen[epoch * n : (epoch + 1) * n]) == list(range(n))


@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 200))
@settings(deadline=None)
def test_a_batch_is_a_function_of_seed_and_nimg(n: int, size: int, nimg: int) -> None:
    images = numbered(n)
    used = Batches(images, size, 7)
    for k in (5, 3, 0):  # backwards too: no state may leak
        used.at(k * size)
    fresh = Batches(images, size, 7)
    assert torch.equal(used.at(nimg).x, fresh.at(nimg).x)
    assert torch.equal(fresh.at(nimg).x, fresh.at(nimg).x)


def test_the_stream_does_not_depend_on_the_batch_size() -> None:
    images = numbered(50)
    small, large = Batches(images, 5, 0), Batches(images, 25, 0)
    assert [i for k in range(5) for i in identities(small.at(5 * k))] == identities(large.at(0))


@pytest.mark.parametrize("parts", [1, 2, 3, 4])
def test_rows_of_all_processes_are_the_batch(parts: int) -> None:
    batches = Batches(numbered(30), 24, 1)
    whole = batches.at(17)
    step = 24 // parts
    pieces = [batches.at(17, slice(i * step, (i + 1) * step)) for i in range(parts)]
    assert torch.equal(torch.cat([piece.x for piece in pieces]), whole.x)
    assert torch.equal(torch.cat([piece.label for piece in pieces if piece.label is not None]), whole.label)


def test_pixels_and_labels_belong_together() -> None:
    images = numbered(300)
    batch = Batches(images, 64, 3).at(640)
    chosen = identities(batch)
    assert batch.label is not None and batch.label.tolist() == [i % 3 for i in chosen]
    assert torch.equal(batch.x, to_float(images.pixels[chosen]))
    assert len(batch) == 64


def test_orders_differ_between_epochs_and_seeds() -> None:
    images = numbered(100)
    orders = [identities(Batches(images, 100, seed).at(nimg)) for seed in (0, 1) for nimg in (0, 100)]
    assert len({tuple(order) for order in orders}) == 4


def test_what_a_batch_is() -> None:
    batch = Batches(numbered(8, labelled=False), 4, 0).at(0)
    assert batch.label is None
    assert batch.x.dtype == torch.float32 and batch.x.shape == (4, 3, 4, 6)
    assert batch.x.is_contiguous(memory_format=torch.channels_last)
    assert batch.x.min() >= -1 and batch.x.max() <= 1


def test_images_that_live_on_the_device_give_the_same_batches() -> None:
    images = numbered(40)
    mapped, resident = Batches(images, 16, 0), Batches(images, 16, 0)
    resident._resident = torch.from_numpy(images.pixels.copy())
    assert all(torch.equal(mapped.at(n).x, resident.at(n).x) for n in range(0, 100, 16))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("part", [0.25, 0.0])
def test_cuda_gives_the_same_batches(part: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limner.data.batches.RESIDENT", part)
    images = numbered(40)
    there, here = Batches(images, 16, 0, "cuda"), Batches(images, 16, 0)
    assert (there._resident is not None) == (part > 0)
    for nimg in range(0, 100, 16):
        ours, theirs = here.at(nimg), there.at(nimg)
        assert torch.allclose(ours.x, theirs.x.cpu(), atol=1e-6)
        assert theirs.label is not None and torch.equal(ours.label, theirs.label.cpu())
        assert theirs.x.is_contiguous(memory_format=torch.channels_last)


def test_mirrored_batches_hold_the_same_images_half_of_them_turned() -> None:
    images = of_arrays(np.random.default_rng(0).integers(0, 255, (64, 4, 6, 3), np.uint8))
    plain, mirrored = (Batches(images, 16, 3, mirror=m) for m in (False, True))
    turned = 0
    for nimg in range(0, 640, 16):
        a, b = plain.at(nimg).x, mirrored.at(nimg).x
        same, other = ((x == b).flatten(1).all(1) for x in (a, a.flip(3)))
        assert (same ^ other).all()
        turned += int(other.sum())
        assert torch.equal(mirrored.at(nimg).x, b), "a batch depends on seed and images alone"
        assert torch.equal(torch.cat([mirrored.at(nimg, rows).x for rows in (slice(0, 8), slice(8, 16))]), b)
    assert 250 < turned < 390
