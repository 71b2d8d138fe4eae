"""InfoGAN: the category that was found without labels is the digit."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from limner.core.latent import Categorical, parts
from limner.core.pixels import Bytes, grid
from limner.core.rng import generator
from limner.data.images import Images
from limner.likeness import Likeness
from limner.metrics.weights import WeightsFile
from limner.proofs.base import Bench, Row, proof
from limner.proofs.encoding import codes, labels_of

IMAGES = 240_000
PUBLISHED = "95 % (Chen et al. 2016, section 7.2)"


@proof
def infogan(bench: Bench) -> Iterator[Row]:
    """Categories found on MNIST without labels, matched to digits.

    Each category is called by the digit that it most often gets on training pictures; then 10,000 test pictures are
    read by the encoder, and 1,000 pictures generated from given categories are read by LeNet-5.
    """
    train, test = bench.images("mnist"), bench.images("mnist", "test")
    lenet = str(bench.shared / "weights" / "mnist-lenet5.safetensors")
    n = bench.pick(3_200, IMAGES)
    found: list[tuple[float, float, float]] = []
    for seed in bench.seeds:
        model = bench.train("mnist", "infogan", seed, count=n)
        digit = names(model, train)
        read = 100 * float((digit[categories(model, test)] == labels_of(test)).double().mean())
        found.append((read, generated(model, digit, lenet), told(model)))
    read, made, nats = (tuple(column) for column in zip(*found, strict=True))
    protocol = f"MNIST, {n:,} images seen, no labels, test split"
    target = None if bench.quick else 95.0
    yield Row("category = digit, best seed", read, "%", target, judged="best", published=PUBLISHED, protocol=protocol)
    yield Row("category = digit, median", read, "%", judged="median", published=PUBLISHED, protocol=protocol)
    yield Row("asked category = LeNet-5's digit", made, "%", judged="median", protocol="1,000 generated pictures")
    floor = 0.3 if bench.quick else 2.0
    yield Row("information on the category", nats, "nats", floor, judged="worst", published="log 10 = 2.303 at most",
              protocol="lower bound E log Q + H on 1,000 generated pictures")  # fmt: skip


def categories(model: Likeness, images: Images, count: int | None = None) -> Tensor:
    """The likeliest category of each picture."""
    return codes(model, images, count)[:, : first(model).dim].argmax(1)


def names(model: Likeness, images: Images, count: int = 10_000) -> Tensor:
    """Category → the class that it most often gets."""
    assert images.labels is not None
    table = torch.zeros(first(model).dim, len(images.names))
    pairs = (categories(model, images, count), labels_of(images, count))
    return table.index_put_(pairs, torch.ones(len(pairs[0])), accumulate=True).argmax(1)


@torch.no_grad()
def generated(model: Likeness, digit: Tensor, lenet: str, n: int = 1000) -> float:
    """How many pictures of given categories LeNet-5 takes for those categories' digits, in %."""
    category, z = torch.arange(n) % first(model).dim, model.codes(n)
    z[:, : first(model).dim] = first(model).scale * one_hot(category, first(model).dim)
    network = WeightsFile(lenet).network
    said = torch.cat([network.logits(model.generator(some)) for some in z.split(250)]).argmax(1)  # pyright: ignore
    return 100 * float((said == digit[category]).double().mean())


@torch.no_grad()
def told(model: Likeness, n: int = 1000) -> float:
    """The lower bound on what a picture tells of its category, in nats."""
    encoder, prior = model.encoder, first(model)
    assert encoder is not None
    z = model.generator.latent.sample(n, generator(0, 0, "told"))
    return float(encoder(model.generator(z)).each(z[:, : encoder.latent.dim])[:, 0].mean()) + prior.entropy()


def traversal(model: Likeness, steps: int = 9, seed: int = 0) -> Bytes:
    """One picture (h, w, c): columns are categories, rows the first continuous code from -2 to 2, noise the same."""
    categories = first(model).dim
    z = model.codes(1, seed).repeat(steps * categories, 1)
    z[:, :categories] = first(model).scale * torch.eye(categories).repeat(steps, 1)
    z[:, categories] = torch.linspace(-2, 2, steps).repeat_interleave(categories)
    return grid(model.decode(z), categories)


def first(model: Likeness) -> Categorical:
    """The categorical part that a code begins with."""
    part = parts(model.generator.latent)[0]
    assert isinstance(part, Categorical)
    return part
