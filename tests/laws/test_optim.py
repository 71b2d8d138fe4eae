"""Optimizers against the papers' updates, written in NumPy float64, and against torch's by the same arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from limner.core.optim import SGD, AdaGrad, Adam, AdamW, Optimizer, RMSprop
from limner.core.rng import generator
from limner.core.schedule import Cosine
from limner.core.spec import catalog

Array = NDArray[np.float64]
Rule = Callable[[Array, Iterator[Array]], Iterator[Array]]
LR, STEPS, SIZE = 0.05, 12, 7


def sgd(momentum: float, nesterov: bool, decay: float) -> Rule:
    """Polyak 1964 as in Sutskever et al. 2013, with torch's convention that the rate multiplies the whole step."""

    def steps(w: Array, slopes: Iterator[Array]) -> Iterator[Array]:
        v = np.zeros_like(w)
        for g in slopes:
            g = g + decay * w
            v = momentum * v + g
            w = w - LR * (g + momentum * v if nesterov else v)
            yield w

    return steps


def adagrad(eps: float) -> Rule:
    """Duchi et al. 2011, diagonal."""

    def steps(w: Array, slopes: Iterator[Array]) -> Iterator[Array]:
        total = np.zeros_like(w)
        for g in slopes:
            total = total + g * g
            w = w - LR * g / (np.sqrt(total) + eps)
            yield w

    return steps


def rmsprop(alpha: float, momentum: float, eps: float) -> Rule:
    """Tieleman & Hinton 2012, lecture 6.5."""

    def steps(w: Array, slopes: Iterator[Array]) -> Iterator[Array]:
        square, v = np.zeros_like(w), np.zeros_like(w)
        for g in slopes:
            square = alpha * square + (1 - alpha) * g * g
            v = momentum * v + g / (np.sqrt(square) + eps)
            w = w - LR * v
            yield w

    return steps


def adam(beta1: float, beta2: float, eps: float, decay: float = 0.0, decoupled: bool = False) -> Rule:
    """Kingma & Ba 2015, algorithm 1; decoupled: Loshchilov & Hutter 2019, algorithm 2."""

    def steps(w: Array, slopes: Iterator[Array]) -> Iterator[Array]:
        m, v = np.zeros_like(w), np.zeros_like(w)
        for t, g in enumerate(slopes, start=1):
            if decoupled:
                w = w - LR * decay * w
            else:
                g = g + decay * w
            m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
            w = w - LR * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
            yield w

    return steps


Namesake = tuple[type[torch.optim.Optimizer], dict[str, Any]]
CASES: list[tuple[Optimizer, Rule, Namesake]] = [
    (SGD(LR), sgd(0, False, 0), (torch.optim.SGD, {})),
    (SGD(LR, 0.9), sgd(0.9, False, 0), (torch.optim.SGD, {"momentum": 0.9})),
    (
        SGD(LR, 0.8, True, 0.1),
        sgd(0.8, True, 0.1),
        (torch.optim.SGD, {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1}),
    ),
    (AdaGrad(LR), adagrad(1e-10), (torch.optim.Adagrad, {})),
    (RMSprop(LR, alpha=0.9), rmsprop(0.9, 0, 1e-8), (torch.optim.RMSprop, {"alpha": 0.9})),
    (
        RMSprop(LR, 0.95, 0.5, 1e-6),
        rmsprop(0.95, 0.5, 1e-6),
        (torch.optim.RMSprop, {"alpha": 0.95, "momentum": 0.5, "eps": 1e-6}),
    ),
    (Adam(LR), adam(0.9, 0.999, 1e-8), (torch.optim.Adam, {})),
    (
        Adam(LR, 0.0, 0.99, 1e-6, 0.1),
        adam(0.0, 0.99, 1e-6, 0.1),
        (torch.optim.Adam, {"betas": (0.0, 0.99), "eps": 1e-6, "weight_decay": 0.1}),
    ),
    (AdamW(LR), adam(0.9, 0.999, 1e-8, 0.01, True), (torch.optim.AdamW, {})),
    (
        AdamW(LR, 0.5, 0.9, weight_decay=0.3),
        adam(0.5, 0.9, 1e-8, 0.3, True),
        (torch.optim.AdamW, {"betas": (0.5, 0.9), "weight_decay": 0.3}),
    ),
]

each_case = pytest.mark.parametrize(("ours", "rule", "namesake"), CASES, ids=[str(ours) for ours, _, _ in CASES])


def slopes() -> Iterator[Array]:
    """Gradients that change in sign and size."""
    rng = np.random.default_rng(1)
    for t in range(STEPS):
        yield rng.normal(size=SIZE) * (1 + t % 3)


def start() -> torch.Tensor:
    return torch.randn(SIZE, generator=generator(0), dtype=torch.float64)


def walk(make: Callable[[list[torch.Tensor]], torch.optim.Optimizer]) -> Array:
    """(steps, size) weights after each step."""
    weight = start().requires_grad_()
    optimizer = make([weight])
    places: list[Array] = []
    for g in slopes():
        weight.grad = torch.from_numpy(g)
        optimizer.step()
        places.append(weight.detach().numpy().copy())
    return np.stack(places)


def test_every_optimizer_has_a_case() -> None:
    shipped = {cls for cls in catalog(Optimizer).values() if cls.__module__.startswith("limner.")}
    assert shipped == {type(ours) for ours, _, _ in CASES}


@each_case
def test_equals_the_paper(ours: Optimizer, rule: Rule, namesake: Namesake) -> None:
    np.testing.assert_allclose(walk(ours.make), np.stack(list(rule(start().numpy(), slopes()))), rtol=1e-9, atol=1e-12)


@each_case
def test_equals_its_namesake(ours: Optimizer, rule: Rule, namesake: Namesake) -> None:
    cls, arguments = namesake
    np.testing.assert_allclose(
        walk(ours.make), walk(lambda w: cls(w, lr=LR, foreach=False, **arguments)), rtol=1e-10, atol=1e-13
    )


@pytest.mark.parametrize("cls", catalog(Optimizer).values(), ids=lambda c: c.__name__)
def test_rate_follows_its_curve(cls: type[Optimizer]) -> None:
    ours = cls(Cosine(0.2, 0.0))
    assert [ours.rate(p) for p in (0, 0.5, 1)] == pytest.approx([0.2, 0.1, 0.0])
    assert ours.make([start()]).param_groups[0]["lr"] == 0.2
