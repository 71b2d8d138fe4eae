"""Real digits, planted damage, and torch-fidelity's own functions where it is installed."""

from __future__ import annotations

import gzip
import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from limner.data.images import Images


def read_idx(path: Path) -> np.ndarray:
    raw = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(raw, ">i4", count=raw[3], offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def images(pixels: np.ndarray, labels: np.ndarray | None = None, source: str = "made") -> Images:
    names = () if labels is None else tuple(str(i) for i in range(int(labels.max()) + 1))
    return Images(pixels, labels, names, f"{hash(pixels.tobytes()) & (2**64 - 1):016x}", source)


@pytest.fixture(scope="session")
def mnist_test(shared: Path) -> Images:
    """The 10,000 test digits, shuffled: the file has the easy ones in its second half."""
    folder = shared / "data" / "mnist"
    order = np.random.RandomState(0).permutation(10_000)
    pixels = read_idx(folder / "t10k-images-idx3-ubyte.gz")[order][..., None]
    labels = read_idx(folder / "t10k-labels-idx1-ubyte.gz")[order].astype(np.int64)
    return images(pixels, labels, "mnist test")


@pytest.fixture(scope="session")
def mnist_train(shared: Path) -> Images:
    """6,000 training digits."""
    folder = shared / "data" / "mnist"
    pixels = read_idx(folder / "train-images-idx3-ubyte.gz")[:6000][..., None]
    labels = read_idx(folder / "train-labels-idx1-ubyte.gz")[:6000].astype(np.int64)
    return images(pixels, labels, "mnist train")


@pytest.fixture
def fidelity(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch_fidelity's arithmetic becomes importable: only its plumbing (`utils`, the package) asks for torchvision."""
    found = importlib.util.find_spec("torch_fidelity")
    if found is None or not found.submodule_search_locations:
        pytest.skip("torch-fidelity is not installed: pip install --no-deps torch-fidelity")
    for name in [m for m in sys.modules if m.startswith("torch_fidelity")]:
        monkeypatch.delitem(sys.modules, name)
    package = types.ModuleType("torch_fidelity")
    package.__path__ = list(found.submodule_search_locations)
    plumbing = types.ModuleType("torch_fidelity.utils")
    plumbing.__getattr__ = lambda name: None  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "torch_fidelity", package)
    monkeypatch.setitem(sys.modules, "torch_fidelity.utils", plumbing)
