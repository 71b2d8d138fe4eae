"""Exact likelihood: binarised MNIST in nats beside published figures, and samplers checked by enumeration."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from scipy import stats

from limner.core.pixels import Image, to_float
from limner.core.rng import generator
from limner.models.autoregressive import Autoregressive
from limner.models.masked import MaskedGenerator
from limner.models.recurrent import RowLSTMGenerator
from limner.proofs.base import Bench, Row, proof

KINDS = {"lstm": RowLSTMGenerator, "pixelcnn": MaskedGenerator}
PUBLISHED = {
    "lstm": "80.54 (Row LSTM; van den Oord et al. 2016, Pixel Recurrent Neural Networks, table 4)",
    "pixelcnn": "81.30 (PixelCNN), 88.33 (NADE) (van den Oord et al. 2016, Pixel Recurrent Neural Networks, table 4)",
}
SIDE = 3
"""Of the images that are enumerated."""
NADE = 88.33


@proof
def autoregressive(bench: Bench) -> Iterator[Row]:
    """Probabilities of all 3×3 images sum to 1, samples are as frequent as they say, and MNIST in nats an image."""
    for recipe, kind in KINDS.items():
        yield from _enumerated(recipe, kind, bench.pick(5_000, 50_000))
    for recipe in bench.pick(("lstm",), tuple(KINDS)):
        count = bench.pick(2_000, 60_000)
        data = bench.pick("digits", "mnist")
        yield Row(
            f"{recipe}: -log p of held-out digits",
            tuple(_nats(bench, data, recipe, seed, count) for seed in bench.seeds),
            "nats",
            at_most=bench.pick(206.0, NADE),
            published=PUBLISHED[recipe],
            protocol=f"{data}, {count:,} training images binarised anew each time; test images binarised by one draw",
        )


def _enumerated(recipe: str, kind: type[Autoregressive], n: int) -> Iterator[Row]:
    """A network with random weights against all 512 images."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        net = _far(kind)
        x = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=SIDE**2))).view(-1, 1, SIDE, SIDE)
        log_p = net.log_likelihood(x).double()
        drawn = net(net.latent.sample(n, generator(0, 0, "proof")))
    number = ((drawn.flatten(1) > 0) * 2 ** torch.arange(SIDE**2 - 1, -1, -1)).sum(1)
    seen, expected = number.bincount(minlength=len(x)).double(), log_p.softmax(0) * n
    few = expected < 5
    counts, wanted = (torch.cat([v[~few], v[few].sum()[None]]).numpy() for v in (seen, expected))
    total = f"{recipe}: 1 - the sum of all probabilities"
    exact = f"all {len(x)} images of {SIDE}×{SIDE} black and white pixels"
    yield Row(total, (abs(1 - log_p.exp().sum().item()),), at_most=1e-5, published="0 (exact)", protocol=exact)
    p = float(stats.chisquare(counts, wanted).pvalue)
    what = f"{recipe}: χ² p-value of samples against probabilities"
    yield Row(what, (p,), at_least=0.001, published="uniform on 0 to 1 (exact)", protocol=f"{exact}, {n:,} samples")


def _far(kind: type[Autoregressive]) -> Autoregressive:
    """A small network with weights so large that its probabilities are far from even."""
    net = kind(Image(1, SIDE, SIDE), width=8)  # pyright: ignore[reportCallIssue]
    for weight in net.parameters():
        weight.add_(0.3 * torch.randn_like(weight))
    return net


def _nats(bench: Bench, data: str, recipe: str, seed: int, count: int) -> float:
    """Mean of -log p over the test images, in full precision."""
    untold = "generator.classes=0"  # the published figures are of pictures without their labels
    likeness = bench.train(data, recipe, seed, count=count, assignments=bench.pick(("batch=16", untold), (untold,)))
    net = likeness.generator
    assert isinstance(net, Autoregressive)
    test = bench.images(data, "test")
    x = to_float(test.pixels[: bench.pick(500, len(test))])
    x = net.quantise(x, torch.rand(x.shape, generator=generator(0, 0, "binarised test")))
    with torch.no_grad():
        return -float(torch.cat([net.log_likelihood(part, None) for part in x.split(250)]).mean())
