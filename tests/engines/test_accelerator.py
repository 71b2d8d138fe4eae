"""A step of training never asks a GPU what it has computed, and never makes a tensor on the wrong side of the bus.

There is no GPU here. Networks and batches lie on a device that only pretends: its tensors have shapes and a place but
no numbers. Reading one fails, mixing it with a CPU's tensor fails, and what is copied to it is seen. Torch has no such
CUDA device where it is built for CPUs (autograd needs its streams), so the device is called `lazy`, and all that is
replaced is what would refuse that name: autocast, fused optimizers, and generators of random numbers.
`benchmarks/gpu.py` asks the same of a real GPU.
"""

from __future__ import annotations

import functools
import importlib
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from limner import train
from limner.core.ema import Average
from limner.core.pixels import Image
from limner.core.spec import build
from limner.data.batches import Batch
from limner.data.pairs import Pair
from limner.models import backbone
from limner.objectives.base import Examples
from limner.recipes.base import Facts, plan, recipes
from limner.run import Run
from limner.train import State

THERE = torch.device("lazy", 0)
SIDE, CLASSES = 16, 5
QUICK = ("cyclegan", "default", "infogan", "photos", "semisupervised", "sparse")
"""Recipes whose steps once waited or copied, and the default; the others are tried by `make slow`."""
UNTRIED = {"restorer": "its damage is drawn on the CPU, whose numbers are pretended too"}


class Pretended(FakeTensorMode):
    """One mode for all tensors; a copy of a network is of the same one."""

    def __deepcopy__(self, memo: Any) -> Pretended:
        return self


class Random(torch.Generator):
    """A generator of random numbers that says it is there."""

    @property
    def device(self) -> torch.device:
        return THERE


class Copies(TorchDispatchMode):
    """Fails where a step copies from the CPU: without pinned memory, that waits for all that was begun before."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if "copy" in str(func) and isinstance(made, Tensor) and made.device == THERE:
            given = [a for a in args if isinstance(a, Tensor)]
            assert given[-1].device == THERE, "a step copies a tensor from the CPU"
        return made


class Source:
    """The same batch again and again."""

    def __init__(self, batch: Examples) -> None:
        self.batch = batch

    def at(self, nimg: int, rows: slice | None = None) -> Examples:
        return self.batch


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces what refuses a device of that name."""

    class Off(torch.autocast):
        def __init__(self, kind: str, *args: Any, **kwargs: Any) -> None:
            super().__init__("cpu", enabled=False)

    monkeypatch.setattr(torch, "autocast", Off)
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind=None: False)
    monkeypatch.setattr(train, "generator", lambda *of: _seeded())
    monkeypatch.setattr(train, "reseed", lambda *of: None)
    for module in (importlib.import_module(f"torch.optim.{name}") for name in ("adam", "sgd", "optimizer")):
        monkeypatch.setattr(module, "_device_dtype_check_for_fused", lambda *of, **more: None)
    shapes = {name: weight.shape for name, weight in backbone._weights().items()}
    monkeypatch.setattr(backbone, "_weights", lambda: {name: torch.empty(shape) for name, shape in shapes.items()})
    monkeypatch.setattr(backbone, "_built", functools.cache(backbone._built.__wrapped__))
    for name in ("Adam", "AdamW", "SGD"):
        monkeypatch.setattr(torch.optim, name, _unfused(getattr(torch.optim, name)))


@pytest.mark.usefixtures("pretend")
@pytest.mark.parametrize(
    "recipe", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in recipes()]
)
def test_a_step_neither_waits_nor_copies(recipe: str) -> None:
    if recipe in UNTRIED:
        pytest.skip(UNTRIED[recipe])
    known = Facts(Image(3, SIDE, SIDE), 500, CLASSES, "cpu")
    run = build(plan(recipe, known, ("batch=8", "precision=fp32")), Run)
    state = State(run, torch.device("cpu"))
    with Pretended():
        move(state, run)
        source = Source(batch(run))
        train._step(state, run, source, 0.0)  # the first may find out what it has to do with
        for share in (0.3, 0.9):
            with Copies():
                values = train._step(state, run, source, share)
        assert {value.device for value in values.values()} == {THERE}


def test_the_pretended_device_notices() -> None:
    with Pretended():
        there = torch.ones(3, device=THERE)
        with pytest.raises(DataDependentOutputException):
            there.sum().item()
        with pytest.raises(RuntimeError, match="same device"):
            there + torch.ones(3)
        with Copies(), pytest.raises(AssertionError, match="copies a tensor"):
            torch.ones(3).to(THERE)


def move(state: State, run: Run) -> None:
    """A state's networks, averages and optimizers, there; made on the CPU, because some look at their weights then."""
    for module in state.nets.modules():
        module.__dict__.pop("arguments", None)  # may hold networks of its own, which nothing computes with
        for kept in (module._parameters, module._buffers):
            for name, tensor in kept.items():
                if tensor is None:
                    continue
                moved = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=THERE)
                kept[name] = torch.nn.Parameter(moved, tensor.requires_grad) if kept is module._parameters else moved
    state.average = Average(state.nets, run.average)
    players = run.objective.players
    state.weights = {turn: [p for role in players[turn] for p in state.nets[role].parameters()] for turn in players}
    state.optimizers = {turn: run.player(turn).optimizer.make(weights) for turn, weights in state.weights.items()}
    state.device = SimpleNamespace(type="cuda")  # type: ignore[assignment]


def batch(run: Run) -> Examples:
    """Pictures there, labelled, or of two domains."""
    sheet = torch.rand(run.batch, 3, SIDE, SIDE, device=THERE).contiguous(memory_format=torch.channels_last)
    if run.objective.domains == "one":
        return Batch(sheet, torch.zeros(run.batch, dtype=torch.int64, device=THERE))
    halves = sheet.chunk(2, dim=3) if run.objective.domains == "matched" else (sheet, sheet.clone())
    return Pair(*(half.contiguous(memory_format=torch.channels_last) for half in halves), matched=True)


def _seeded() -> Random:
    rng = Random()
    rng.manual_seed(0)
    return rng


def _unfused(kind: Any) -> Any:
    return lambda weights, fused=None, **more: kind(weights, foreach=False, **more)
