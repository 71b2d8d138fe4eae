"""What a piecewise linear critic says, its slope, and the gradient of both for hardly more than that of one.

Between the kinks of its rectifiers such a critic D is affine: a layer makes y = W x + b of its own x, and the same
δ = ∂D/∂y serves D and its slope s = ∂D/∂x₀. A loss f(D, s), with c = ∂f/∂D and u = ∂f/∂s, has at that layer

    ∂f/∂W = Σ δ (c x + v)ᵀ,    ∂f/∂b = Σ c δ,

where v is u sent forward through the layers without their b. Differentiating twice, as any smooth network needs, goes
back through the layers once more and takes two such sums, which cost most. Whether a critic is of that kind is told by
its own operations, written down as it judges.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from limner.models.base import Labels

Rows = Float[Tensor, "n ..."]
Push = Callable[..., Tensor]
Pull = Callable[[Tensor, Tensor], Tensor]

TRIAL = 5
"""Rows on which a critic is tried: a number that no other size is likely to be."""
_KNOWN: WeakKeyDictionary[nn.Module, dict[object, bool]] = WeakKeyDictionary()


@dataclass
class Judged:
    """What a critic that is `piecewise_linear` says of rows; what follows can be differentiated by its weights, once.

    logits: (n,)
    look: finds their slopes
    """

    logits: Float[Tensor, " n"]
    look: Callable[[], Rows]

    @cached_property
    def slope(self) -> Rows:
        """d logit / d x of each row."""
        return self.look()


def judge(critic: nn.Module, x: Rows, label: Labels | None) -> Judged:
    """Ask a critic that is `piecewise_linear`; slopes are found when they are asked for."""
    with torch.enable_grad(), Tape(x.detach().requires_grad_()) as tape:
        logits = critic(tape.x, label)
    if not tape.knows(logits):  # it changes its ways as it is trained
        return Judged(logits, lambda: torch.autograd.grad(logits.sum(), tape.x, create_graph=True)[0])
    tape.back(logits)
    learned: tuple[Tensor, Tensor] = _Learned.apply(tape, logits.detach(), *critic.parameters())  # pyright: ignore
    return Judged(learned[0], lambda: _Kept.apply(learned[1], tape.slope()))  # pyright: ignore[reportReturnType]


def judge_both(critic: nn.Module, a: Rows, b: Rows, label: Labels | None) -> tuple[Judged, Judged]:
    """The same of two batches, each with these labels, in one: faster where the slopes of both are needed."""
    x = torch.cat([a, b.to(a.dtype)]).contiguous(
        memory_format=torch.channels_last if a.ndim == 4 else torch.preserve_format
    )
    whole = judge(critic, x, None if label is None else torch.cat([label, label]))
    n = len(a)
    return Judged(whole.logits[:n], lambda: whole.slope[:n]), Judged(whole.logits[n:], lambda: whole.slope[n:])


def piecewise_linear(critic: nn.Module, x: Rows, label: Labels | None) -> bool:
    """Whether a critic is, and judges each row by itself; found out on a copy, once for each shape of rows."""
    known = _KNOWN.setdefault(critic, {})
    key = (x.shape[1:], label is None, critic.training)
    if key not in known:
        devices = [x.device] if x.device.type == "cuda" else []
        rows = torch.zeros(TRIAL, *x.shape[1:], device=x.device, dtype=x.dtype, requires_grad=True)
        labels = None if label is None else label[:1].expand(TRIAL, *label.shape[1:])
        with torch.random.fork_rng(devices), torch.enable_grad(), Tape(rows, trial=True) as tape:
            logits = copy.deepcopy(critic).requires_grad_(False)(rows, labels)
        known[key] = tape.knows(logits)
    return known[key]


class _Learned(torch.autograd.Function):
    """Logits that are known and the promise of their slopes: the tape tells what weights learn from both together."""

    @staticmethod
    def forward(ctx: Any, tape: Tape, logits: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.tape, ctx.weights = tape, weights
        return logits.view_as(logits), tape.x.new_zeros(()).expand_as(tape.x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *by: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore
        # a layer's weight may be made of the critic's: rounded, spread over more taps, picked by a label
        made, gradients = zip(*ctx.tape.gradients(*by), strict=True)
        return None, None, *torch.autograd.grad(made, ctx.weights, gradients, allow_unused=True)


class _Kept(torch.autograd.Function):
    """The slopes that were promised."""

    @staticmethod
    def forward(ctx: Any, promise: Tensor, slope: Tensor) -> Tensor:
        return slope.view_as(slope)

    @staticmethod
    def backward(ctx: Any, *by: Tensor) -> tuple[Tensor, None]:
        return by[0], None


@dataclass
class Step:
    """One operation on rows.

    out: what it made
    push: tangents of the rows that it took → tangent of `out`
    x: these rows, where a weight is learned
    weight: what they were multiplied with
    pull: such rows and δ → gradient of the weight
    bias: what was added
    into: where on the tape the rows are that it took
    first: whether no layer was before it
    delta: δ, the slope of the logits by `out`
    """

    out: Tensor
    push: Push
    x: Tensor | None = None
    weight: Tensor | None = None
    pull: Pull | None = None
    bias: Tensor | None = None
    into: list[int] = field(default_factory=list[int])
    first: bool = False
    delta: Tensor | None = None

    @property
    def layer(self) -> bool:
        """Whether something is learned in it."""
        return self.pull is not None or self.bias is not None


class Tape(TorchFunctionMode):
    """Writes down what is done with rows as long as it is linear between kinks and keeps rows apart.

    x: the rows
    trial: whether nothing but rows can be differentiated, so that what can be is secretly made of them
    """

    def __init__(self, x: Rows, trial: bool = False) -> None:
        super().__init__()
        self.x, self.trial = x, trial
        self.steps: list[Step] = []
        self.places = {id(x): (0, x._version)}
        self.bare = {id(x)}

    def knows(self, x: object) -> bool:
        """Whether these are rows, or made of them, and were not written over since."""
        return isinstance(x, Tensor) and self.places.get(id(x), (0, -1))[1] == x._version

    def apart(self, x: object) -> bool:
        """Whether this is surely not made of rows."""
        return not self.knows(x) and not (self.trial and isinstance(x, Tensor) and x.requires_grad)

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        taken = [a for a in _flattened((*args, *kwargs.values())) if self.knows(a)]
        rule = RULES.get(func) if taken else None
        step = rule(self, func, *args, **kwargs) if rule else func(*args, **kwargs)
        if not isinstance(step, Step):
            return step
        step.into = [self.places[id(a)][0] for a in taken]
        bare = [id(a) in self.bare for a in taken]
        step.first = any(bare)
        if len(step.out) != len(self.x) or (step.first and not step.layer and not all(bare)):
            return step.out  # and nobody knows it: rows were mixed, or x with what layers made of it
        self.steps.append(step)
        self.places[id(step.out)] = len(self.steps), step.out._version
        if step.first and not step.layer:
            self.bare.add(id(step.out))
        return step.out

    def back(self, logits: Float[Tensor, " n"]) -> None:
        """Find each layer's δ, as far as to the first of them."""
        layers = [step for step in self.steps if step.layer]
        deltas = torch.autograd.grad(logits.sum(), [step.out for step in layers])
        for step, delta in zip(layers, deltas, strict=True):
            step.delta = delta

    def slope(self) -> Rows:
        """∂D/∂x, from the layers that see x itself."""
        first = [step for step in self.steps if step.layer and step.first]
        return torch.autograd.grad([s.out for s in first], self.x, [s.delta for s in first])[0]

    def gradients(self, c: Float[Tensor, " n"] | None, u: Rows | None) -> list[tuple[Tensor, Tensor]]:
        """Each layer's weight and bias, with its gradient."""
        tangents, found = [u], list[tuple[Tensor, Tensor]]()
        for step in self.steps:
            vs = [tangents[k] for k in step.into]
            if step.delta is not None and step.pull and step.weight is not None and step.x is not None:
                found.append((step.weight, step.pull(*_weighed(c, step.x, vs[0], step.delta))))
            if step.delta is not None and step.bias is not None and c is not None:
                found.append((step.bias, _added_up(c, step.delta, step.bias.shape)))
            tangents.append(None if u is None else step.push(*vs))
        return [(weight, gradient.to(weight.dtype)) for weight, gradient in found if weight.requires_grad]


def _weighed(c: Tensor | None, x: Tensor, v: Tensor | None, delta: Tensor) -> tuple[Tensor, Tensor]:
    """c x + v, and δ; where there is no v, the smaller of x and δ takes c."""
    if v is None:
        return (x, _scaled(delta, c)) if delta.numel() < x.numel() else (_scaled(x, c), delta)
    v = v.to(x.dtype)
    return (v if c is None else torch.addcmul(v, x, _beside(c, x))), delta


def _added_up(c: Tensor, delta: Tensor, shape: torch.Size) -> Tensor:
    """Σ c δ, of a bias's shape; places first, which are many."""
    if len(shape) == 3 and delta.ndim == 4 and shape[1:] == (1, 1):
        delta = delta.sum((2, 3), keepdim=True)
    return _scaled(delta.float(), c).sum_to_size(shape)


def _scaled(x: Tensor, c: Tensor | None) -> Tensor:
    return x if c is None else x * _beside(c, x)


def _beside(c: Float[Tensor, " n"], x: Rows) -> Tensor:
    """(n,) → (n, 1, …) of the kind of x."""
    return c.to(x.dtype).view(-1, *(1,) * (x.ndim - 1))


def _flattened(values: Sequence[Any]) -> list[Any]:
    return [v for value in values for v in (value if isinstance(value, (list, tuple)) else (value,))]


# Each rule gives a Step, or what the operation gives where it does not apply.


def _same(tape: Tape, func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Step:
    """Linear, and without weights: tangents go the same way."""
    return Step(func(x, *args, **kwargs), lambda v: func(v, *args, **kwargs))


def _shaped(tape: Tape, func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Step:
    """The same numbers in another shape."""
    out = func(x, *args, **kwargs)
    shape = out.shape
    return Step(out, lambda v: v.reshape(shape))


def _pad(tape: Tape, func: Any, x: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    return _same(tape, func, x, pad, mode) if not value else func(x, pad, mode, value)


def _item(tape: Tape, func: Any, x: Tensor, index: Any) -> Any:
    """All rows of some column."""
    whole = isinstance(index, tuple) and index[:1] == (slice(None),) and not any(isinstance(i, Tensor) for i in index)
    return _same(tape, func, x, index) if whole else func(x, index)


def _leaky_relu(tape: Tape, func: Any, x: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    if inplace:
        return func(x, negative_slope, inplace)
    kinks = x.detach()
    back = torch.ops.aten.leaky_relu_backward
    return Step(func(x, negative_slope), lambda v: back(v.to(kinks.dtype), kinks, negative_slope, False))


def _relu(tape: Tape, func: Any, x: Tensor, inplace: bool = False) -> Any:
    return func(x, inplace) if inplace else _leaky_relu(tape, F.leaky_relu, x, 0.0)


def _linear(tape: Tape, func: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    if not (tape.apart(weight) and tape.apart(bias)) or x.ndim != 2:
        return func(x, weight, bias)
    x, weight, bias = _rounded(x, weight, bias)
    w = weight.detach()
    out = func(x, weight, bias)
    return Step(out, lambda v: func(v.to(w.dtype), w), x.detach(), weight, lambda h, delta: delta.T @ h, bias)


def _conv2d(
    tape: Tape,
    func: Any,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    if not (tape.apart(weight) and tape.apart(bias)) or isinstance(padding, str):
        return func(input, weight, bias, stride, padding, dilation, groups)
    x, weight, bias = _rounded(input, weight, bias)
    w = weight.detach()
    how = [list(n) if isinstance(n, (list, tuple)) else [n, n] for n in (stride, padding, dilation)]

    def pull(h: Tensor, delta: Tensor) -> Tensor:
        some = (False, True, False)
        return torch.ops.aten.convolution_backward(delta, h, w, None, *how, False, [0, 0], groups, some)[1]

    out = func(x, weight, bias, *how, groups)
    into = None if bias is None else bias.view(-1, 1, 1)
    return Step(out, lambda v: func(v.to(w.dtype), w, None, *how, groups), x.detach(), weight, pull, into)


def _rounded(*tensors: Tensor | None) -> list[Any]:
    """Tensors as autocast would take them."""
    kind = next(t.device.type for t in tensors if t is not None)
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
    return [t if t is None or dtype is None else t.to(dtype) for t in tensors]


def _mul(tape: Tape, func: Any, a: Any, b: Any) -> Any:
    """Rows times a number, or a tensor that is not made of rows."""
    x, w = (b, a) if tape.knows(b) else (a, b)
    if not tape.apart(w):
        return func(a, b)
    if not isinstance(w, Tensor):
        return Step(func(x, w), lambda v: v * w)
    pull = (lambda h, delta: (h * delta).sum_to_size(w.shape)) if w.requires_grad else None
    return Step(func(x, w), lambda v: v * w.detach(), x.detach(), w, pull)


def _add(tape: Tape, func: Any, a: Any, b: Any) -> Any:
    """Rows and rows, or rows and what is not made of them."""
    if tape.knows(a) and tape.knows(b):
        return Step(func(a, b), lambda v, w: v + w)
    rest = a if tape.knows(b) else b
    if not tape.apart(rest):
        return func(a, b)
    out = func(a, b)
    learned = isinstance(rest, Tensor) and rest.requires_grad
    return Step(out, lambda v: v.expand(out.shape), bias=rest if learned else None)


def _lerp(tape: Tape, func: Any, a: Tensor, b: Tensor, weight: Any) -> Any:
    """Two kinds of rows, blended by a number."""
    if isinstance(weight, Tensor) or not (tape.knows(a) and tape.knows(b)):
        return func(a, b, weight)
    return Step(func(a, b, weight), lambda v, w: func(v.to(w.dtype), w, weight))


RULES: dict[Any, Callable[..., Any]] = {
    torch.conv2d: _conv2d,
    F.linear: _linear,
    F.leaky_relu: _leaky_relu,
    F.relu: _relu,
    torch.relu: _relu,
    F.pad: _pad,
    Tensor.add: _add,
    Tensor.mul: _mul,
    Tensor.__getitem__: _item,
    torch.lerp: _lerp,
    **dict.fromkeys((Tensor.float, Tensor.to, Tensor.sum, Tensor.mean, F.avg_pool2d, F.adaptive_avg_pool2d), _same),
    **dict.fromkeys((Tensor.flatten, Tensor.view, Tensor.reshape, Tensor.squeeze, Tensor.contiguous), _shaped),
}
