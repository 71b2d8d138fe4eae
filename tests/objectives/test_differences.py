"""Finite-difference penalties: equal to R1 and R2 where they must be, close where they should be, and compilable."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from limner.core.moment import Moment
from limner.core.pixels import Image
from limner.core.rng import generator
from limner.core.schedule import Ramp
from limner.models.plain import PlainCritic
from limner.objectives.base import Scene
from limner.objectives.differences import ApproximateR1, ApproximateR2
from limner.objectives.penalties import R1, R2

IMAGE = Image(1, 4, 4)
TWINS = pytest.mark.parametrize(("twin", "exact"), [(ApproximateR1, R1), (ApproximateR2, R2)])


def net(width: int = 32) -> PlainCritic:
    torch.manual_seed(0)
    return PlainCritic(IMAGE, width=width, depth=2)


def scene(critic: PlainCritic, n: int = 6, rows: slice = slice(None), repeat: int = 1, progress: float = 0.0) -> Scene:
    def draw(seed: int) -> Tensor:
        x = torch.randn(n, 1, 4, 4, generator=generator(seed)).repeat_interleave(repeat, 0)
        return x[rows].requires_grad_()

    real, fake = draw(1), draw(2)
    at = Moment(0, progress, generator(3), n * repeat, rows)
    return Scene(critic, real, fake, None, critic(real), critic(fake), at)


class Smooth(PlainCritic):
    """One hidden layer without kinks: at a kink the limit is there only for almost every image."""

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        return self.head(self.body[0](x.flatten(1)).tanh(), label)


def smooth() -> Smooth:
    torch.manual_seed(0)
    return Smooth(IMAGE, width=32, depth=1)


class Linear(PlainCritic):
    """⟨w, x⟩ + b."""

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        return self.head(x.flatten(1).repeat(1, 2), label)


@TWINS
@pytest.mark.parametrize("sigma", [1.0, 0.03])
def test_a_linear_critic_is_exact_at_any_step(twin: type, exact: type, sigma: float) -> None:
    """γ/2 ⟨w, ε⟩² for the ε that was drawn, which is R1 on average."""
    shown = scene(critic := Linear(IMAGE, width=32, depth=2), 4, repeat=5000)
    step = torch.randn(20_000, 1, 4, 4, generator=generator(3))
    w = critic.head.dense.weight[0].detach()
    weight = w[:16] + w[16:]
    found = twin(0.6, sigma)(shown)
    torch.testing.assert_close(found, 0.3 * (step.flatten(1) @ weight).square(), rtol=1e-2, atol=1e-4)
    # the mean of 20,000 squares of normal numbers is within 4 standard errors, 4 %
    torch.testing.assert_close(found.mean(), exact(0.6)(shown).mean(), rtol=0.04, atol=0)


@TWINS
def test_it_becomes_the_exact_penalty_as_the_step_vanishes(twin: type, exact: type) -> None:
    """Step by step: against (∇D·ε)² of the same ε the error falls with σ, and the mean over ε is ‖∇D‖²."""
    critic = smooth()
    shown = scene(critic, 4, repeat=2500)
    x, logits = (shown.real, shown.real_logits) if exact is R1 else (shown.fake, shown.fake_logits)
    (slope,) = torch.autograd.grad(logits.sum(), x, retain_graph=True)
    step = torch.randn(10_000, 1, 4, 4, generator=generator(3))
    along = (slope * step).flatten(1).sum(1).square() / 2
    errors = []
    for sigma in (0.3, 0.03, 0.003):
        again = scene(critic, 4, repeat=2500)
        found = twin(1.0, sigma)(again).detach()
        errors.append(float((found - along).abs().mean() / along.mean()))
    assert errors[0] > 3 * errors[1] > 9 * errors[2] and errors[2] < 0.02, errors
    by_image = (found.view(4, 2500).mean(1), exact(1.0)(shown).view(4, 2500).mean(1))
    torch.testing.assert_close(*by_image, rtol=0.12, atol=0)


@TWINS
def test_its_gradient_in_the_weights_is_that_of_the_exact_penalty(twin: type, exact: type) -> None:
    """What the optimizer sees: both gradients point the same way, averaged over many steps ε."""
    critic = smooth()
    gradients = []
    for penalty in (twin(1.0, 0.003), exact(1.0)):
        critic.zero_grad()
        penalty(scene(critic, 4, repeat=2500)).mean().backward()
        gradients.append(
            torch.cat([p.grad.flatten() for p in critic.parameters() if p.grad is not None and p.ndim > 1])
        )
    ours, theirs = gradients
    assert torch.nn.functional.cosine_similarity(ours, theirs, dim=0) > 0.99
    assert ours.norm() == pytest.approx(theirs.norm().item(), rel=0.1)


@pytest.mark.filterwarnings("ignore")  # the compiler's own
@TWINS
def test_it_compiles_where_the_exact_penalty_cannot(twin: type, exact: type) -> None:
    critic = net(8)
    expected = twin(1.0, 0.1)(scene(critic))
    # the body only: the rest of a critic has its shapes checked under pytest, which the compiler cannot see through
    critic.body = torch.compile(critic.body, backend="aot_eager")
    found = twin(1.0, 0.1)(scene(critic))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    found.mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in critic.body.parameters())
    with pytest.raises(RuntimeError, match=r"create_graph|double backward"):
        exact(1.0)(scene(critic)).mean().backward()


@TWINS
def test_two_halves_of_a_batch_make_the_whole(twin: type, exact: type) -> None:
    critic = net()
    halves = [twin()(scene(critic, rows=rows)) for rows in (slice(0, 2), slice(2, 6))]
    torch.testing.assert_close(torch.cat(halves), twin()(scene(critic)), rtol=1e-4, atol=1e-4)


@TWINS
def test_its_weight_follows_a_schedule(twin: type, exact: type) -> None:
    critic = net()
    torch.testing.assert_close(twin(Ramp(10.0, 2.0))(scene(critic, progress=0.5)), twin(6.0)(scene(critic)))
