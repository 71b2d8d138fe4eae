"""Every test run checks the shapes and types that Limner's signatures declare, and computes on one thread."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest

# Before anything imports limner. The numeric tower lets 1 stand for 1.0, as Python itself does.
jaxtyping.install_import_hook("limner", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

ROOT = Path(__file__).parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """One cache for the whole run, shared by the workers of pytest-xdist, gone afterwards."""
    if not hasattr(config, "workerinput"):
        config.limner_cache = tempfile.TemporaryDirectory(prefix="limner-tests-", ignore_cleanup_errors=True)
        os.environ["LIMNER_CACHE"] = config.limner_cache.name


def pytest_unconfigure(config: pytest.Config) -> None:
    if hasattr(config, "limner_cache"):
        config.limner_cache.cleanup()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Two workers with a thread each are faster than two that fight for both cores."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def untouched_globals() -> Iterator[None]:
    """Nothing in Limner may depend on torch's global generator, nor leave gradients switched off."""
    import torch

    before = torch.get_rng_state()
    torch.manual_seed(0)
    yield
    assert torch.is_grad_enabled(), "a test or what it tests left gradients switched off"
    torch.set_rng_state(before)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data that lies beside the repository."""
    path = ROOT.parent / "shared"
    if not (path / "data").is_dir():
        pytest.skip("needs the real data in ../shared/data, which is not here")
    return path


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT
