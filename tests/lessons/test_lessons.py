"""The lessons against the real thing: every gradient against autograd, every optimizer against torch.optim."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from limner.core.schedule import Cosine, Ramp
from limner.data.gather import gather
from limner.lessons import adversaries, steps
from limner.lessons.logistic import Logistic, fit, loss_and_gradients
from limner.lessons.network import Dense, Dropout, Layer, Leaky, Network, Tanh
from limner.lessons.steps import SGD, AdaGrad, Adam, Array, RMSprop

EXACT = {"rtol": 1e-10, "atol": 1e-12}


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def torch_twin(net: Network) -> nn.Sequential:
    """The same network in float64."""
    layers: list[nn.Module] = []
    for layer in net.layers:
        if isinstance(layer, Dense):
            dense = nn.Linear(*layer.weight.shape, dtype=torch.float64)
            dense.weight.data, dense.bias.data = torch.tensor(layer.weight.T), torch.tensor(layer.bias)
            layers.append(dense)
        else:
            layers.append(nn.LeakyReLU(0.2) if isinstance(layer, Leaky) else nn.Tanh())
    return nn.Sequential(*layers)


def test_a_network_passes_back_what_autograd_does() -> None:
    net = Network([Dense(5, 7, rng()), Leaky(), Dense(7, 6, rng()), Tanh(), Dense(6, 2, rng())])
    twin, x, g = torch_twin(net), rng().standard_normal((9, 5)), rng().standard_normal((9, 2))
    given = torch.tensor(x, requires_grad=True)
    out = twin(given)
    out.backward(torch.tensor(g))
    np.testing.assert_allclose(net.forward(x), out.detach().numpy(), **EXACT)
    np.testing.assert_allclose(net.backward(g), given.grad, **EXACT)
    theirs = [p.grad.T if p.ndim == 2 else p.grad for p in twin.parameters()]
    for ours, their in zip(net.gradients, theirs, strict=True):
        np.testing.assert_allclose(ours, their, **EXACT)


def test_dropout_passes_back_through_what_it_let_pass() -> None:
    layer, x = Dropout(0.3, rng()), rng().standard_normal((2000, 5))
    y = layer.forward(x)
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.02) and y.mean() == pytest.approx(x.mean(), abs=0.05)
    np.testing.assert_allclose(layer.backward(np.ones_like(x)) * x, y)


def test_logistic_regression_has_autograds_gradient() -> None:
    x, label = rng().standard_normal((11, 6)), rng().integers(0, 4, 11)
    model = Logistic(rng().standard_normal((6, 4)), rng().standard_normal(4))
    weight, bias = (torch.tensor(a, requires_grad=True) for a in (model.weight, model.bias))
    scores = torch.tensor(x) @ weight + bias
    loss = nn.functional.cross_entropy(scores, torch.tensor(label))
    loss = loss + 0.01 * weight.abs().sum() + 0.03 / 2 * weight.square().sum()
    loss.backward()
    ours, by_weight, by_bias = loss_and_gradients(model, x, label, l1=0.01, l2=0.03)
    assert ours == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(by_weight, weight.grad, **EXACT)
    np.testing.assert_allclose(by_bias, bias.grad, **EXACT)


OPTIMIZERS: list[tuple[Callable[[list[Array]], steps.Optimizer], Callable[[Any], torch.optim.Optimizer]]] = [
    (lambda w: SGD(w), lambda w: torch.optim.SGD(w, 0.05)),
    (lambda w: SGD(w, 0.9), lambda w: torch.optim.SGD(w, 0.05, 0.9)),
    (lambda w: AdaGrad(w), lambda w: torch.optim.Adagrad(w, 0.05)),
    (lambda w: RMSprop(w), lambda w: torch.optim.RMSprop(w, 0.05)),
    (lambda w: Adam(w), lambda w: torch.optim.Adam(w, 0.05)),
    (lambda w: Adam(w, 0.0, 0.99), lambda w: torch.optim.Adam(w, 0.05, (0.0, 0.99))),
]


@pytest.mark.parametrize(("mine", "theirs"), OPTIMIZERS, ids=["sgd", "momentum", "adagrad", "rmsprop", "adam", "gan"])
def test_optimizers_walk_where_torchs_do(mine: Callable[..., Any], theirs: Callable[..., Any]) -> None:
    """200 steps down a crooked valley."""
    scale = np.array([[1.0, 20.0], [0.3, 5.0]])
    ours = [rng().standard_normal((2, 2))]
    weight = torch.tensor(ours[0].copy(), requires_grad=True)
    optimizer, reference = mine(ours), theirs([weight])
    for _ in range(200):
        optimizer.step([scale * np.sin(ours[0])], 0.05)
        weight.grad = torch.tensor(scale) * torch.sin(weight.detach())
        reference.step()
        np.testing.assert_allclose(ours[0], weight.detach().numpy(), atol=1e-6)


def test_clipping_is_torchs() -> None:
    gradients = [rng().standard_normal((3, 4)), 10 * rng().standard_normal(5)]
    for clip, theirs in (
        (steps.clip_norm, nn.utils.clip_grad_norm_),
        (steps.clip_value, nn.utils.clip_grad_value_),
    ):
        weights = [nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in gradients]
        for w, g in zip(weights, gradients, strict=True):
            w.grad = torch.tensor(g)
        theirs(weights, 0.7)
        for ours, w in zip(clip(gradients, 0.7), weights, strict=True):
            np.testing.assert_allclose(ours, w.grad, rtol=1e-9)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_schedules_are_limners(share: float) -> None:
    assert steps.ramp(3.0, 1.0, share) == pytest.approx(Ramp(3.0, 1.0).at(share))
    assert steps.cosine(3.0, 1.0, share) == pytest.approx(Cosine(3.0, 1.0).at(share))


def test_logistic_regression_reads_digits() -> None:
    train, test = gather("digits"), gather("digits", split="test")
    x, held = (images.pixels.reshape(len(images), -1) / 255.0 for images in (train, test))
    assert train.labels is not None and test.labels is not None
    model = fit(x, train.labels, 10, epochs=5)
    assert (model.guess(held) == test.labels).mean() > 0.86


def test_the_slope_that_costs_is_the_gradients() -> None:
    """Over random directions, the finite difference has the mean ‖∇D‖²."""
    critic, x = Network.dense([2, 16, 1], 0), rng().standard_normal((1, 2))
    critic.forward(x)
    slope = critic.backward(np.ones((1, 1)))
    noise = rng().standard_normal((40_000, 2))
    difference = (critic.forward(x + 1e-4 * noise) - critic.forward(x)) / 1e-4
    assert float((difference**2).mean()) == pytest.approx(float((slope**2).sum()), rel=0.03)


def test_the_numpy_gan_learns_the_ring() -> None:
    *_, last = adversaries.play(steps=2500)
    points = last.generator.forward(adversaries.codes(2500, rng()))
    angle = np.arange(8) * math.pi / 4
    centres = np.stack([np.cos(angle), np.sin(angle)], 1)
    distance = np.linalg.norm(points[:, None] - centres[None], axis=2)
    near = distance.min(1) < 0.1
    assert len(set(distance.argmin(1)[near])) == 8 and near.mean() > 0.9


def test_layers_are_one_kind() -> None:
    """Every layer can go forward and back with its shape."""
    every: list[Layer] = [Dense(3, 3, rng()), Leaky(), Tanh(), Dropout(0.5, rng())]
    for layer in every:
        assert layer.forward(np.ones((4, 3))).shape == layer.backward(np.ones((4, 3))).shape == (4, 3)
