"""What a piecewise linear critic says, its slope, and the gradient of both for hardly more than that of one.

Between the kinks of its rectifiers such a critic D is affine: a layer makes y = W x + b of its own x, and the same
δ = ∂D/∂y serves D and its slope s = ∂D/∂x₀. A loss f(D, s), with c = ∂f/∂D and u = ∂f/∂s, has at that layer

    ∂f/∂W = Σ δ (c x + v)ᵀ,    ∂f/∂b = Σ c δ,

where v is u sent forward through the layers without their b. Differentiating twice, as any smooth network needs, goes
back through the layers once more and takes two such sums, which cost most. Whether a critic is of that kind is told by
its own operations (`trace`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from limner.models.base import Labels
from limner.objectives.trace import Rows, Trace

TRIAL = 5
"""Rows on which a critic is tried."""
_KNOWN: WeakKeyDictionary[nn.Module, dict[object, bool]] = WeakKeyDictionary()


@dataclass
class Said:
    """What a critic says of rows.

    logits: (n,)
    look: finds their slopes
    """

    logits: Float[Tensor, " n"]
    look: Callable[[], Rows]

    @cached_property
    def slope(self) -> Rows:
        """d logit / d x of each row."""
        return self.look()


def ask(critic: nn.Module, x: Rows, label: Labels | None) -> Said:
    """What a critic that is `piecewise_linear` says. Weights can learn of it once; slopes are found when asked for."""
    trace, logits = _traced(critic, x, label)
    if not trace.knows(logits):  # it changes its ways as it is trained
        return Said(logits, lambda: torch.autograd.grad(logits.sum(), trace.x, create_graph=True)[0])
    trace.back(logits)
    learned: tuple[Tensor, Tensor] = _Learned.apply(trace, logits.detach(), *critic.parameters())  # pyright: ignore
    return Said(learned[0], lambda: _Kept.apply(learned[1], trace.slope()))  # pyright: ignore[reportReturnType]


def ask_both(critic: nn.Module, a: Rows, b: Rows, label: Labels | None) -> tuple[Said, Said]:
    """What it says of two batches with the same labels, asked at once: faster where the slopes of both are needed."""
    x = torch.cat([a, b.to(a.dtype)])
    x = x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x
    whole = ask(critic, x, None if label is None else torch.cat([label, label]))
    n = len(a)
    return Said(whole.logits[:n], lambda: whole.slope[:n]), Said(whole.logits[n:], lambda: whole.slope[n:])


def piecewise_linear(critic: nn.Module, x: Rows, label: Labels | None) -> bool:
    """Whether a critic is, and judges each row by itself; found out on a copy, once for each shape of rows."""
    known = _KNOWN.setdefault(critic, {})
    key = (x.shape[1:], None if label is None else label.dtype, critic.training)
    if key not in known:
        rows = torch.zeros(TRIAL, *x.shape[1:], device=x.device, dtype=x.dtype)
        labels = None if label is None else label[:1].expand(TRIAL, *label.shape[1:])
        with torch.random.fork_rng([x.device] if x.device.type == "cuda" else []):
            try:
                trace, logits = _traced(copy.deepcopy(critic), rows, labels)
                known[key] = trace.knows(logits)
            except Exception:  # what cannot be copied, or judge so few rows, is asked as it always was
                known[key] = False
    return known[key]


def _traced(critic: nn.Module, x: Rows, label: Labels | None) -> tuple[Trace, Tensor]:
    with torch.enable_grad(), Trace(x.detach().requires_grad_()) as trace:
        return trace, critic(trace.x, label)


class _Learned(torch.autograd.Function):
    """Logits that are known and the promise of their slopes: the trace tells what weights learn of both together."""

    @staticmethod
    def forward(ctx: Any, trace: Trace, logits: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.trace, ctx.weights = trace, weights
        return logits.view_as(logits), trace.x.new_zeros(()).expand_as(trace.x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *by: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore
        free = [w for w in ctx.weights if w.requires_grad]
        # a layer's weight may be made of the critic's: rounded, spread over more taps, picked by a label
        made, gradients = zip(*ctx.trace.gradients(*by), strict=True)
        found = dict(zip(free, torch.autograd.grad(made, free, gradients, allow_unused=True), strict=True))
        return None, None, *(found.get(w) for w in ctx.weights)


class _Kept(torch.autograd.Function):
    """The slopes that were promised."""

    @staticmethod
    def forward(ctx: Any, promise: Tensor, slope: Tensor) -> Tensor:
        return slope.view_as(slope)

    @staticmethod
    def backward(ctx: Any, *by: Tensor) -> tuple[Tensor, None]:
        return by[0], None
