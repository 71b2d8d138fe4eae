"""Whether a network is piecewise linear, told by what it does with rows, written down as it does it.

Each operation is known by a rule: how a tangent passes it, and what is learned in it. What no rule knows, and what
mixes rows, is not followed any further: then nothing is claimed of the network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Rows = Float[Tensor, "n ..."]
Push = Callable[..., Tensor]
Pull = Callable[[Tensor, Tensor], Tensor]


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


class Trace(TorchFunctionMode):
    """Writes down what is done with rows as long as it is linear between kinks and keeps rows apart.

    x: the rows
    """

    def __init__(self, x: Rows) -> None:
        super().__init__()
        self.x = x
        self.steps: list[Step] = []
        self.places = {id(x): (0, x._version)}
        """Of each tensor of rows: where it is among the steps' results, and its version when it was made."""
        self.untouched = {id(x)}
        """Rows that no layer has seen."""
        self.tainted: dict[int, Tensor] = {}
        """What was made of rows in other ways."""

    def knows(self, x: object) -> bool:
        """Whether these are rows, x or made of it step by step, and were not written over since."""
        return isinstance(x, Tensor) and self.places.get(id(x), (0, -1))[1] == x._version

    def apart(self, x: object) -> bool:
        """Whether rows have no part in this."""
        if not isinstance(x, Tensor):
            return True
        return not (self.knows(x) or id(x) in self.tainted or _reaches(x, self.x))

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        given = _flattened((*args, *kwargs.values()))
        rows = [a for a in given if self.knows(a)]
        into = [self.places[id(a)][0] for a in rows]
        untouched = [id(a) in self.untouched for a in rows]
        rule = RULES.get(func) if rows and not kwargs.keys() & UNUSUAL else None
        step = rule(self, func, *args, **kwargs) if rule else func(*args, **kwargs)
        if not isinstance(step, Step):
            if func not in SHAPE_ONLY and any(self.knows(a) or id(a) in self.tainted for a in given):
                self.tainted |= {id(made): made for made in _flattened((step,)) if isinstance(made, Tensor)}
            return step
        step.into, step.first, out = into, any(untouched), step.out
        apart = out.ndim > 0 and len(out) == len(self.x) and out.requires_grad
        if not apart or (step.first and not step.layer and not all(untouched)):
            self.tainted[id(out)] = out  # rows were mixed, or x with what layers made of it
            return out
        self.steps.append(step)
        self.places[id(out)] = len(self.steps), out._version
        if step.first and not step.layer:
            self.untouched.add(id(out))
        return out

    def back(self, logits: Float[Tensor, " n"]) -> None:
        """Find each layer's δ, as far as to the first of them; there is none where the logits do not depend on it."""
        layers = [step for step in self.steps if step.layer]
        deltas = torch.autograd.grad(logits.sum(), [step.out for step in layers], allow_unused=True)
        for step, delta in zip(layers, deltas, strict=True):
            step.delta = delta

    def slope(self) -> Rows:
        """∂D/∂x, from the layers that see x itself."""
        first = [step for step in self.steps if step.first and step.delta is not None]
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


def _reaches(made: Tensor, x: Tensor) -> bool:
    """Whether autograd would come from one to the other."""
    todo, seen = [made.grad_fn], set[object]()
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        if getattr(node, "variable", None) is x:
            return True
        seen.add(node)
        todo += [following for following, _ in node.next_functions]
    return False


def _weighed(c: Tensor | None, x: Tensor, v: Tensor | None, delta: Tensor) -> tuple[Tensor, Tensor]:
    """c x + v, and δ; where there is no v, the smaller of x and δ takes c."""
    if c is None:
        assert v is not None
        return v.to(x.dtype), delta
    if v is not None:
        return torch.addcmul(v.to(x.dtype), x, _beside(c, x)), delta
    return (x, delta * _beside(c, delta)) if delta.numel() < x.numel() else (x * _beside(c, x), delta)


def _added_up(c: Tensor, delta: Tensor, shape: torch.Size) -> Tensor:
    """Σ c δ, of a bias's shape; places first, which are many."""
    if len(shape) == 3 and delta.ndim == 4 and shape[1:] == (1, 1):
        delta = delta.sum((2, 3), keepdim=True)
    delta = delta.to(torch.promote_types(delta.dtype, torch.float32))
    return (delta * _beside(c, delta)).sum_to_size(shape)


def _beside(c: Float[Tensor, " n"], x: Rows) -> Tensor:
    """(n,) → (n, 1, …) of the kind of x."""
    return c.to(x.dtype).view(-1, *(1,) * (x.ndim - 1))


def _flattened(values: Sequence[Any]) -> list[Any]:
    return [v for value in values for v in (value if isinstance(value, (list, tuple)) else (value,))]


# Each rule gives a Step, or what the operation gives where it does not apply.


def _same(trace: Trace, func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Linear, and without weights: tangents go the same way."""
    out = func(x, *args, **kwargs)
    return Step(out, lambda v: func(v, *args, **kwargs)) if _alone(trace, x, args) else out


def _shaped(trace: Trace, func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    """The same numbers in another shape."""
    out = func(x, *args, **kwargs)
    shape = out.shape
    return Step(out, lambda v: v.reshape(shape)) if _alone(trace, x, args) else out


def _alone(trace: Trace, x: Tensor, args: Sequence[Any]) -> bool:
    """Whether an operation takes these rows, and nothing else that is a tensor."""
    return trace.knows(x) and not any(isinstance(a, Tensor) for a in _flattened(args))


def _summed(trace: Trace, func: Any, x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """Over anything but rows."""
    dims = [dim] if isinstance(dim, int) else list(dim or [0])
    within = all(d % x.ndim for d in dims)
    return _same(trace, func, x, dim, keepdim) if within else func(x, dim, keepdim)


def _pad(trace: Trace, func: Any, x: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    return _same(trace, func, x, pad, mode) if not value else func(x, pad, mode, value)


def _item(trace: Trace, func: Any, x: Tensor, index: Any) -> Any:
    """All rows of some column."""
    whole = isinstance(index, tuple) and index[:1] == (slice(None),)
    return _same(trace, func, x, index) if whole else func(x, index)


def _leaky_relu(trace: Trace, func: Any, x: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """What is to be written over is left as it is, and known no more."""
    if inplace:
        del trace.places[id(x)]
        trace.tainted[id(x)] = x
    kinks = x.detach()
    back = torch.ops.aten.leaky_relu_backward
    return Step(func(x, negative_slope), lambda v: back(v.to(kinks.dtype), kinks, negative_slope, False))


def _relu(trace: Trace, func: Any, x: Tensor, inplace: bool = False) -> Any:
    return _leaky_relu(trace, F.leaky_relu, x, 0.0, inplace)


def _linear(trace: Trace, func: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    if x.ndim != 2 or not (trace.knows(x) and trace.apart(weight) and trace.apart(bias)):
        return func(x, weight, bias)
    x, weight, bias = _rounded(x, weight, bias)
    w = weight.detach()
    out = func(x, weight, bias)
    return Step(out, lambda v: func(v.to(w.dtype), w), x.detach(), weight, lambda h, delta: delta.T @ h, bias)


def _conv2d(
    trace: Trace,
    func: Any,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    apart = trace.knows(x) and trace.apart(weight) and trace.apart(bias)
    if isinstance(padding, str) or x.ndim != 4 or not apart:
        return func(x, weight, bias, stride, padding, dilation, groups)
    x, weight, bias = _rounded(x, weight, bias)
    w = weight.detach()
    how = [list(n) if isinstance(n, (list, tuple)) else [n, n] for n in (stride, padding, dilation)]

    def pull(h: Tensor, delta: Tensor) -> Tensor:
        some = (False, True, False)
        return torch.ops.aten.convolution_backward(delta, h, w, None, *how, False, [0, 0], groups, some)[1]

    out = func(x, weight, bias, *how, groups)
    added = None if bias is None else bias.view(-1, 1, 1)
    return Step(out, lambda v: func(v.to(w.dtype), w, None, *how, groups), x.detach(), weight, pull, added)


def _rounded(*tensors: Tensor | None) -> list[Any]:
    """Tensors as autocast would take them."""
    kind = next(t.device.type for t in tensors if t is not None)
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
    return [t if t is None or dtype is None or t.dtype == torch.float64 else t.to(dtype) for t in tensors]


def _mul(trace: Trace, func: Any, a: Any, b: Any) -> Any:
    """Rows times a number, or a tensor in which rows have no part."""
    x, w = (b, a) if trace.knows(b) else (a, b)
    out = func(a, b)
    if not trace.apart(w) or x.ndim != out.ndim:
        return out
    if not isinstance(w, Tensor):
        return Step(out, lambda v: v * w)
    pull = (lambda h, delta: (h * delta).sum_to_size(w.shape)) if w.requires_grad else None
    return Step(out, lambda v: v * w.detach(), x.detach(), w, pull)


def _add(trace: Trace, func: Any, a: Any, b: Any) -> Any:
    """Rows and rows, or rows and what they have no part in."""
    out = func(a, b)
    x, rest = (b, a) if trace.knows(b) else (a, b)
    if x.ndim != out.ndim:
        return out
    if trace.knows(a) and trace.knows(b):
        return Step(out, lambda v, w: v + w) if a.ndim == b.ndim else out
    learned = isinstance(rest, Tensor) and rest.requires_grad
    return Step(out, lambda v: v.expand(out.shape), bias=rest if learned else None) if trace.apart(rest) else out


def _lerp(trace: Trace, func: Any, a: Tensor, b: Tensor, weight: Any) -> Any:
    """Two kinds of rows, blended by a number."""
    if isinstance(weight, Tensor) or a.ndim != b.ndim or not (trace.knows(a) and trace.knows(b)):
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
    **dict.fromkeys((Tensor.sum, Tensor.mean), _summed),
    **dict.fromkeys((Tensor.float, Tensor.to, F.avg_pool2d, F.adaptive_avg_pool2d), _same),
    **dict.fromkeys(
        (Tensor.flatten, torch.flatten, Tensor.view, Tensor.reshape, Tensor.squeeze, Tensor.contiguous), _shaped
    ),
}
UNUSUAL = {"input", "other", "alpha", "out", "dtype"}
"""Named arguments that no rule knows."""
SHAPE_ONLY = (torch.empty_like, torch.zeros_like, torch.ones_like)
