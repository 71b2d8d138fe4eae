"""Rectified flow and MeanFlow against what is known exactly: Gaussians, a point, and paths integrated finely."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import limner
from limner.core import store
from limner.core.errors import UserError
from limner.core.events import Progress
from limner.core.moment import Moment
from limner.core.pixels import Image
from limner.data.batches import Batch, Batches
from limner.data.images import Images
from limner.models.flow import FlowGenerator
from limner.objectives.flow import MeanFlow, RectifiedFlow, identity, withheld
from limner.proofs.flow import Bell, bell, trained
from limner.recipes.base import Facts, plan
from limner.run import Run
from limner.train import Budget, State, train

IMAGE = Image(1, 2, 3)
ODD = Image(3, 9, 6)
"""Sides that do not divide into patches."""


class Planted(FlowGenerator):
    """The exact velocity of pictures that follow a Gaussian, in place of the network's."""

    def __init__(self, image: Image, law: Bell, **options: Any) -> None:
        super().__init__(image, width=8, blocks=1, **options)
        self.law = law

    def average(self, x: Tensor, r: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        assert torch.equal(r, t)
        return self.law.velocity(x.flatten(1), t).view_as(x)


class Point(FlowGenerator):
    """The exact velocity where there is one picture alone: straight away from it."""

    def average(self, x: Tensor, r: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        return (x - 0.3) / t[:, None, None, None]


class Fine(FlowGenerator):
    """Two points, ±1: a velocity that bends, and its average by the classical Runge-Kutta rule in many steps."""

    def velocity(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        t = t[:, None, None, None]
        # E[x₀ | x_t] of two equally likely points at a noise of t is a tanh
        return (x - (x * (1 - t) / t**2).tanh()) / t

    def average(self, x: Tensor, r: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        z, now, step = x, t, (r - t) / 200
        wide = step[:, None, None, None]
        for _ in range(200):
            k1 = self.velocity(z, now)
            k2 = self.velocity(z + wide / 2 * k1, now + step / 2)
            k3 = self.velocity(z + wide / 2 * k2, now + step / 2)
            k4 = self.velocity(z + wide * k3, now + step)
            z, now = z + wide * (k1 + 2 * k2 + 2 * k3 + k4) / 6, now + step
        return (x - z) / (t - r)[:, None, None, None]


def stirred(image: Image = ODD, **options: Any) -> FlowGenerator:
    """A network whose weights are no longer those it begins with."""
    torch.manual_seed(0)
    net = FlowGenerator(image, width=8, **options)
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return net.eval()


def at(n: int, seed: int = 0) -> Moment:
    return Moment(0, 0.5, torch.Generator().manual_seed(seed), n)


def affine(net: FlowGenerator, steps: int, solver: Any) -> tuple[Tensor, Tensor]:
    """The middle and the matrix of an affine map from noise to pictures, from where it sends 0 and unit vectors."""
    size = net.image.size
    points = torch.cat([torch.zeros(1, size), torch.eye(size)]).view(-1, *_shape(net.image))
    sent = net.carry(points, None, steps, solver).flatten(1)
    return sent[0], (sent[1:] - sent[0]).T


def _shape(image: Image) -> tuple[int, int, int]:
    return image.channels, image.height, image.width


@torch.no_grad()
@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
def test_the_exact_velocity_of_a_gaussian_leads_to_it_at_the_order_of_the_solver(solver: Any, order: int) -> None:
    """z → mean + C^(1/2) z: mean and covariance of the pictures are those of the data, up to the steps' error."""
    law = bell(IMAGE.size, seed=1)
    net = Planted(IMAGE, law)
    errors: list[float] = []
    for steps in (32, 64, 128):
        mean, matrix = affine(net, steps, solver)
        errors.append(float((mean - law.mean).norm() + (matrix @ matrix.T - law.covariance).norm()))
    ratios = [a / b for a, b in pairwise(errors)]
    assert ratios == pytest.approx([2**order] * 2, rel=0.15), errors
    assert errors[-1] < (0.02 if order == 1 else 5e-4)


@torch.no_grad()
@pytest.mark.parametrize("solver", ["euler", "heun"])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_one_picture_alone_is_reached_from_anywhere_in_any_number_of_steps(solver: Any, steps: int) -> None:
    """Its paths are straight, so that no solver errs."""
    net = Point(IMAGE, width=8)
    z = net.latent.sample(16, torch.Generator().manual_seed(1)).view(-1, 1, 2, 3)
    x = net.carry(z, None, steps, solver)
    torch.testing.assert_close(x, torch.full_like(x, 0.3), atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize(("solver", "steps"), [("euler", 1), ("heun", 5), ("average", 1), ("average", 4)])
def test_before_training_every_path_leads_to_grey(solver: Any, steps: int) -> None:
    net = FlowGenerator(ODD, width=8)
    x = net.carry(torch.randn(4, 3, 9, 6), None, steps, solver)
    torch.testing.assert_close(x, torch.zeros_like(x), atol=1e-5, rtol=0)


def test_meanflow_identity_holds_for_paths_integrated_finely_and_for_no_others() -> None:
    net = Fine(IMAGE, width=8)
    x = torch.randn(8, *_shape(IMAGE), dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    r, t = torch.linspace(0.2, 0.5, 8, dtype=torch.float64), torch.linspace(0.6, 1.0, 8, dtype=torch.float64)
    velocity = net.velocity(x, t)
    assert identity(net, x, r, t, velocity, None).abs().max() < 1e-6
    assert identity(net, x, r, t, -velocity, None).abs().max() > 0.1
    # and the velocity itself is no average: the two differ here
    assert (net.average(x, r, t) - velocity).abs().max() > 0.1


@pytest.mark.parametrize("image", [Image(1, 8, 8), ODD], ids=str)
def test_the_derivative_along_the_path_is_that_of_finite_differences(image: Image) -> None:
    """Forward-mode differentiation knows every layer of the network, channels last in memory."""
    net = stirred(image, classes=3).double().to(memory_format=torch.channels_last)
    rng = torch.Generator().manual_seed(4)
    x, v = (torch.randn(4, *_shape(image), generator=rng, dtype=torch.float64) for _ in range(2))
    r, t = torch.rand(2, 4, generator=rng, dtype=torch.float64).sort(0).values
    label, h = torch.tensor([0, 1, 2, -1]), 1e-6
    with torch.no_grad():
        slope = (net.average(x + h * v, r, t + h, label) - net.average(x - h * v, r, t - h, label)) / (2 * h)
        wanted = net.average(x, r, t, label) - v + (t - r)[:, None, None, None] * slope
    error = identity(net, x, r, t, v, label)
    torch.testing.assert_close(error, wanted, atol=1e-4, rtol=1e-4)
    # the right-hand side is a target: only the average velocity itself has a gradient
    ours = torch.autograd.grad(error.square().sum(), net.times.weight)[0]
    theirs = torch.autograd.grad((net.average(x, r, t, label) * 2 * wanted).sum(), net.times.weight)[0]
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_pictures_are_found_again_from_their_codes() -> None:
    law = bell(IMAGE.size, seed=1)
    drawn = law.draw(2_000, seed=2).view(-1, 1, 2, 3)
    code = Planted(IMAGE, law).invert(drawn).double()
    white = (code - code.mean(0)).T @ code / len(code)
    assert code.mean(0).abs().max() < 0.1 and (white - torch.eye(6)).abs().max() < 0.15


@torch.no_grad()
def test_guidance_moves_velocities_away_from_the_unlabelled_ones() -> None:
    net, label = stirred(classes=3, steps=1, solver="euler"), torch.tensor([0, 1, 2, -1])
    x = torch.randn(4, 3, 9, 6)
    told, untold = (net.carry(x, given, 1, "euler") for given in (label, None))
    net.guidance = 3.0
    torch.testing.assert_close(net.carry(x, label, 1, "euler"), untold + 3 * (told - untold), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(net.carry(x, None, 1, "euler"), untold)


def test_labels_are_withheld_at_random_and_where_they_are_numbers_too() -> None:
    hidden = torch.tensor([True, False])
    assert withheld(None, hidden) is None
    assert withheld(torch.tensor([4, 5]), hidden).tolist() == [-1, 5]  # type: ignore[union-attr]
    numbers = withheld(torch.tensor([[0.1, 0.2], [0.3, 0.4]]), hidden)
    assert numbers is not None and numbers.isnan().tolist() == [[True, True], [False, False]]


def test_times_are_logit_normal_and_evenly_spread() -> None:
    objective = RectifiedFlow(mean=0.5, spread=0.8)
    logits = torch.cat([objective.times(at(64, seed)).logit() for seed in range(50)])
    assert stats.kstest(logits.numpy(), "norm", (0.5, 0.8)).pvalue > 0.01
    share = stats.norm.cdf(objective.times(at(64)).logit().numpy(), 0.5, 0.8)
    assert (np.floor(np.sort(share) * 64) == np.arange(64)).all()


@pytest.mark.parametrize("share", [0.25, 0.3, 1.0])
def test_as_many_rows_as_asked_have_two_times_in_every_process(share: float) -> None:
    objective = MeanFlow(apart=share)
    rows = [objective.differ(Moment(0, 0.5, torch.Generator(), 40, slice(k, k + 20))) for k in (0, 20)]
    assert [int(part.sum()) for part in rows] == [round(20 * share)] * 2


def test_half_precision_loss_is_that_of_full_precision_up_to_rounding() -> None:
    nets = nn.ModuleDict({"generator": stirred(Image(1, 8, 8)).to(memory_format=torch.channels_last)})
    batch = Batch(torch.rand(32, 1, 8, 8) * 2 - 1, None)
    for objective in (RectifiedFlow(), MeanFlow()):
        full = objective.loss("generator", nets, batch, at(32))["velocity"]
        with torch.autocast("cpu", torch.bfloat16):
            half = objective.loss("generator", nets, batch, at(32))["velocity"]
        assert half.dtype == torch.float32
        torch.testing.assert_close(half, full, atol=0.05, rtol=0.05)


@pytest.mark.parametrize(("name", "most"), [("RectifiedFlow(0.0, 1.2)", 0.15), ("MeanFlow", 0.4)])
def test_training_finds_a_planted_gaussian(name: str, most: float) -> None:
    """By the house's own loop: mean and covariance of drawn pictures come near those of the data, in one step too."""
    before, after = trained(name, images=0, seed=0), trained(name, images=60_000, seed=0)
    assert before.mean > 0.9 and before.covariance > 0.9
    assert after.mean < 0.2 and after.covariance < most, after


@pytest.mark.parametrize("recipe", ["flow", "meanflow"])
def test_recipe_resumes_exactly(recipe: str, tmp_path: Path) -> None:
    """Interrupted after every step and read back from disk = never interrupted, to the last bit."""
    pixels = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 1), dtype=np.uint8)
    images = Images(pixels, None, (), "planted", "planted")
    small = ("batch=8", "generator.width=8", "generator.steps=2")
    run = limner.build(plan(recipe, Facts(images.image, 50, 0, "cpu"), small), Run)
    source, until = Batches(images, run.batch, run.seed), Budget(images=32)
    state, again = (State(run, torch.device("cpu")) for _ in range(2))
    for _ in train(state, run, source, until=until):
        pass
    for k in range(4):
        events = train(again, run, source, until=until)
        next(event for event in events if isinstance(event, Progress))
        events.close()
        store.save_state(tmp_path / str(k), again.tree())
        torch.rand(k + 1)
        again = State(run, torch.device("cpu"))
        again.load(store.load_state(tmp_path / str(k)))
    assert state.nimg == again.nimg == 32
    for name in ("nets", "average"):
        one, other = state.tree()[name], again.tree()[name]
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_mistakes_are_one_line() -> None:
    with pytest.raises(UserError, match="trains no average velocities"):
        State(Run(RectifiedFlow(), {"generator": FlowGenerator(IMAGE, solver="average")}), torch.device("cpu"))
    for wrong in ({"steps": 0}, {"patch": 0}, {"blocks": 0}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            FlowGenerator(IMAGE, **wrong)
    with pytest.raises(UserError, match="spread"):
        RectifiedFlow(spread=0)
    with pytest.raises(UserError, match="drop"):
        MeanFlow(drop=1)
    with pytest.raises(UserError, match="apart"):
        MeanFlow(apart=0)
