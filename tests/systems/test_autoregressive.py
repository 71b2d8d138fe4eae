"""Row LSTM and masked convolutions: what is known at a pixel, what the probabilities sum to, what is drawn."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from limner.core.errors import UserError
from limner.core.moment import Moment
from limner.core.pixels import Image
from limner.data.batches import Batch
from limner.models.autoregressive import Autoregressive
from limner.models.masked import MaskedGenerator
from limner.models.plain import PlainGenerator
from limner.models.recurrent import RowLSTMGenerator
from limner.objectives.maximum_likelihood import MaximumLikelihood
from limner.recipes.base import Facts, plan
from limner.train import State

both = pytest.mark.parametrize("kind", [RowLSTMGenerator, MaskedGenerator])


def made(kind: type, image: Image, classes: int = 0, levels: int = 2) -> Autoregressive:
    """A network far from its start, so that its probabilities are far from even."""
    torch.manual_seed(1)
    net = kind(image, classes=classes, levels=levels, width=6)
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.5 * torch.randn_like(weight))
    return net


def everything(image: Image, levels: int) -> torch.Tensor:
    """Every image there is."""
    values = torch.linspace(-1, 1, levels).tolist()
    rows = list(itertools.product(values, repeat=image.size))
    return torch.tensor(rows).view(-1, image.channels, image.height, image.width)


@both
@pytest.mark.parametrize(
    ("image", "levels"), [(Image(1, 3, 3), 2), (Image(3, 2, 1), 2), (Image(1, 2, 2), 4)], ids=["9", "rgb", "levels"]
)
@torch.no_grad()
def test_probabilities_of_all_images_sum_to_one(kind: type, image: Image, levels: int) -> None:
    net, x = made(kind, image, 2, levels), everything(image, levels)
    for label in (None, torch.zeros(len(x)).long()):
        assert net.log_likelihood(x, label).double().exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert net.log_likelihood(x).exp().max() > 3 / len(x), "too even a distribution to prove anything"


@both
@pytest.mark.parametrize(("image", "levels"), [(Image(1, 3, 3), 2), (Image(3, 2, 1), 2), (Image(1, 2, 2), 3)])
@torch.no_grad()
def test_samples_are_as_frequent_as_they_are_probable(kind: type, image: Image, levels: int) -> None:
    net, x = made(kind, image, levels=levels), everything(image, levels)
    n = 10_000
    drawn = net(net.latent.sample(n, torch.Generator().manual_seed(5)))
    digits = ((drawn.flatten(1) + 1) / 2 * (levels - 1)).round().long()
    seen = (digits * levels ** torch.arange(image.size - 1, -1, -1)).sum(1).bincount(minlength=len(x)).double()
    expected = net.log_likelihood(x).double().softmax(0) * n
    rare = expected < 5
    counts, wanted = (torch.cat([v[~rare], v[rare].sum()[None]]).numpy() for v in (seen, expected))
    kept = wanted > 0
    assert stats.chisquare(counts[kept], wanted[kept]).pvalue > 0.001


@both
@pytest.mark.parametrize("image", [Image(1, 6, 5), Image(3, 3, 3)], ids=["grey", "colour"])
def test_a_pixel_knows_exactly_what_comes_before_it(kind: type, image: Image) -> None:
    """∂ log p(x_i | …) / ∂ x_j is exactly 0 for j after i in reading order, and not 0 for some j before."""
    net = made(kind, image)
    x = (torch.rand(1, image.channels, image.height, image.width) * 2 - 1).requires_grad_()
    y = x.permute(0, 2, 3, 1)
    known = net.features(x, None) + net.place
    for row, column, j in itertools.product(range(image.height), range(image.width), range(image.channels)):
        logit = net.head(known[:, row, column], y[:, row, column], j)[0, 1]
        (slope,) = torch.autograd.grad(logit, x, retain_graph=True, allow_unused=True)
        i = (row * image.width + column) * image.channels + j
        slopes = torch.zeros(image.size) if slope is None else slope.permute(0, 2, 3, 1).flatten()
        assert (slopes[i:] == 0).all(), "it sees itself or what comes after it"
        near = [k for k in (i - 1, i - image.channels, i - image.channels * image.width) if k >= 0]
        assert all(slopes[k] != 0 for k in near if column), "it misses a neighbour: left or above"


@both
def test_no_blind_spot(kind: type) -> None:
    """A pixel knows the whole triangle above it, to the right as well, which stacked masks of one kind miss."""
    net = made(kind, Image(1, 8, 13))
    x = torch.zeros(1, 1, 8, 13, requires_grad=True)
    net.features(x, None)[0, 7, 6].sum().backward()
    assert x.grad is not None
    for up in range(1, 6):
        assert (x.grad[0, 0, 7 - up, 6 - up : 7 + up] != 0).all()
    assert (x.grad[0, 0, 7, 3:6] != 0).all()


@both
@torch.no_grad()
def test_walking_knows_what_one_pass_knows(kind: type) -> None:
    image = Image(3, 4, 7)
    net, label = made(kind, image, 3, levels=5), torch.tensor([0, 1, 2, -1])
    x = net(net.latent.sample(4, torch.Generator().manual_seed(1)), label)
    steps = torch.stack(list(net.walk(x, label)), 1).unflatten(1, (4, 7))
    torch.testing.assert_close(steps, net.features(x, label), rtol=1e-4, atol=1e-5)


@both
@torch.no_grad()
def test_a_code_is_where_the_distribution_function_is_cut(kind: type) -> None:
    net = made(kind, Image(1, 1, 1), levels=4)
    p = net.log_likelihood(everything(Image(1, 1, 1), 4)).exp()
    edges = p.cumsum(0)[:-1] * 2 - 1
    just = torch.stack([edges - 1e-4, edges + 1e-4], 1).flatten()[:, None]
    levels = ((net(just).flatten() + 1) / 2 * 3).round().tolist()
    assert levels == [0, 1, 1, 2, 2, 3]


@both
def test_the_stand_in_gradient_points_upwards(kind: type) -> None:
    """A larger number in the code never makes its own pixel darker."""
    net = made(kind, Image(1, 4, 4))
    z = net.latent.sample(8, torch.Generator().manual_seed(2)).requires_grad_()
    net(z).sum().backward()
    assert z.grad is not None and (z.grad > 0).all()


def test_random_rounding_is_right_on_average_and_keeps_levels() -> None:
    net = RowLSTMGenerator(Image(1, 8, 8), levels=4, width=8)
    x = torch.full((4000, 1, 8, 8), 0.1)
    rounded = net.quantise(x, torch.rand(x.shape))
    assert rounded.unique().numel() == 2 and rounded.mean().item() == pytest.approx(0.1, abs=0.005)
    levels = torch.linspace(-1, 1, 4)[:, None, None, None].expand(4, 1, 8, 8)
    torch.testing.assert_close(net.quantise(levels), levels)
    bytes_ = RowLSTMGenerator(Image(1, 8, 8), levels=256, width=8)
    shades = (torch.arange(256.0) / 127.5 - 1)[:, None, None, None].expand(256, 1, 8, 8)
    torch.testing.assert_close(bytes_.quantise(shades), shades, atol=1e-5, rtol=0)


def test_loss_is_nats_and_binarised_anew_each_time() -> None:
    net = RowLSTMGenerator(Image(1, 4, 4), width=8)
    with torch.no_grad():
        for weight in net.parameters():
            weight.zero_()
    batch = Batch(torch.rand(8, 1, 4, 4) * 2 - 1, None)
    nets = torch.nn.ModuleDict({"generator": net})
    terms = MaximumLikelihood().loss("generator", nets, batch, Moment(0, 0.5, torch.Generator().manual_seed(1), 8))
    torch.testing.assert_close(terms["nats"], torch.full((8,), 16 * math.log(2)))
    one, other = (net.quantise(batch.x, torch.rand(batch.x.shape)) for _ in range(2))
    assert not torch.equal(one, other) and set(one.unique().tolist()) == {-1.0, 1.0}


@both
def test_it_learns_a_planted_distribution(kind: type) -> None:
    """Four pictures, each as frequent as planted: the likelihood comes down to the entropy."""
    torch.manual_seed(0)
    p = torch.tensor([0.5, 0.25, 0.125, 0.125])
    pictures = torch.randint(0, 2, (4, 1, 4, 4)).float() * 2 - 1
    net = kind(Image(1, 4, 4), width=8)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-2)
    for _ in range(100):
        loss = -(p * net.log_likelihood(pictures)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    entropy = -(p * p.log()).sum().item()
    assert entropy <= loss.item() < entropy + 0.2


@pytest.mark.parametrize("recipe", ["lstm", "pixelcnn"])
def test_recipe_resumes_exactly(recipe: str, tmp_path: Path) -> None:
    """Interrupted after every step and read back from disk = never interrupted, to the last bit."""
    import limner
    from limner.core import store
    from limner.core.events import Progress
    from limner.data.batches import Batches
    from limner.data.images import Images
    from limner.run import Run
    from limner.train import Budget, train

    pixels = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 1), dtype=np.uint8)
    images = Images(pixels, None, (), "planted", "planted")
    run = limner.build(plan(recipe, Facts(images.image, 50, 0, "cpu"), ("batch=8", "generator.width=8")), Run)
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
    said = "needs a LikelihoodGenerator as generator, not PlainGenerator; there are MaskedGenerator, RowLSTMGenerator"
    with pytest.raises(UserError, match=said):
        State(any_run(PlainGenerator(Image(1, 8, 8))), torch.device("cpu"))
    with pytest.raises(UserError, match="levels takes 2"):
        RowLSTMGenerator(Image(1, 8, 8), levels=1)


def any_run(net: Any) -> Any:
    from limner.run import Run

    return Run(MaximumLikelihood(), {"generator": net})
