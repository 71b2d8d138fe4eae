"""Sparse autoencoder: a planted dictionary found again, digits told apart by their codes, sparsity against fidelity."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean

import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from limner.core.pixels import to_bytes, to_float
from limner.core.spec import build
from limner.data.batches import Batches
from limner.data.images import Images
from limner.models.base import Generator
from limner.models.sparse import Activity, SparseEncoder, SparseGenerator, activity
from limner.proofs.base import Bench, Row, proof
from limner.recipes.base import Facts, plan
from limner.run import Run
from limner.train import Budget, State, train

Features = Float[Tensor, "n d"]
LEVELS = (8, 16, 32, 64, 128)
"""Codes active per picture in the sweep."""
PASSES, RATE = 10, 5e-3
"""Of the logistic regression over the features, and its first step."""
FEATURES = ("encoder.sparsity=WinnerTakeAll(0.05)", "encoder.ground=-1", "objective.fragments=3.5", "batch=128")
"""For features: no code can die, and in use a rectifier says how much of each atom there is. Read from black, an atom's
weights on empty ground say nothing; begun as pieces of strokes, atoms stay near one place."""


@proof
def sparse(bench: Bench) -> Iterator[Row]:
    """Planted atoms recovered; logistic regression on codes of digits beside raw pixels; L0, fidelity, dead codes."""
    yield from dictionary(bench)
    yield from probes(bench)
    yield from sweep(bench)


def dictionary(bench: Bench) -> Iterator[Row]:
    """Planted atoms, random directions, found again from positive sums of few of them."""
    side, count, active, images = bench.pick((8, 48, 3, 60_000), (12, 192, 5, 300_000))
    shares: list[float] = []
    for seed in bench.seeds:
        truth, made = planted(bench.pick(4_000, 20_000), side, count, active, seed)
        spaces = sized(2 * count, active)
        state = learn(bench, made, seed, images, (*spaces, f"encoder.sparsity=TopK({active})", "lr=3e-3"), "planted")
        shares.append(100 * recovered(truth, dictionary_of(state).dictionary))
    yield Row(
        f"planted atoms recovered, {count} of {side * side} dimensions",
        tuple(shares), "%", at_least=95.0,
        protocol=f"{active} atoms a picture, {2 * count} learned, matched one to one, cosine ≥ 0.9, {images:,} images",
    )  # fmt: skip


def probes(bench: Bench) -> Iterator[Row]:
    """Logistic regression on codes, and on pixels in the same run."""
    data, width, count = bench.pick(("digits", 512, 60_000), ("mnist", 2048, 100_000))
    known, asked = bench.images(data), bench.images(data, "test")
    errors: list[float] = []
    for seed in bench.seeds:
        state = learn(bench, known, seed, count, (*sized(width, 32), *FEATURES), data)
        errors.append(probe(codes(state, known), classes(known), codes(state, asked), classes(asked)))
    protocol = f"{data}, {width} codes, winner-take-all 5 %, begun as fragments, {count:,} images, test error"
    published = "1.35 % (k-sparse, 1,000 codes; Makhzani & Frey 2014, table 1)"
    raw = probe(pixels(known).flatten(1), classes(known), pixels(asked).flatten(1), classes(asked))
    target = bench.pick(raw, 1.5)
    yield Row(
        "logistic regression on codes", tuple(errors), "%", at_most=target, published=published, protocol=protocol
    )
    yield Row(
        "logistic regression on pixels", (raw,), "%", published="7.20 % (Makhzani & Frey 2014, table 1)", protocol=data
    )


def sweep(bench: Bench) -> Iterator[Row]:
    """Variance explained and dead codes at several L0, on pictures that were not trained on."""
    data, count, levels = bench.pick(("digits", 20_000, (8, 32)), ("mnist", 100_000, LEVELS))
    known, asked = bench.images(data), bench.images(data, "test")
    for k in levels:
        seen = [look(learn(bench, known, seed, count, (f"encoder.sparsity=TopK({k})",), data), asked)
                for seed in bench.seeds]  # fmt: skip
        protocol = f"{data}, TopK({k}) of 1024 codes, {count:,} images, held-out; L0 {mean(a.active for a in seen):.1f}"
        yield Row(f"variance explained, L0 {k}", tuple(100 * a.explained for a in seen), "%", protocol=protocol)
        window = f"{protocol}; window {seen[0].images:,} held-out images"
        yield Row(f"dead codes, L0 {k}", tuple(100 * a.dead for a in seen), "%", protocol=window)


def planted(n: int, side: int, count: int, active: int, seed: int) -> tuple[Float[Tensor, "count p"], Images]:
    """Random atoms of length 1, and grey pictures that are positive sums of `active` of them, in 8 bits a pixel."""
    rng = torch.Generator().manual_seed(seed)
    atoms = F.normalize(torch.randn(count, side * side, generator=rng), dim=1)
    places = torch.rand(n, count, generator=rng).topk(active, dim=1).indices
    x = torch.zeros(n, count).scatter(1, places, 0.5 + torch.rand(n, active, generator=rng)) @ atoms
    pictures = to_bytes((x / x.abs().max()).view(n, 1, side, side))
    return atoms, Images(pictures, None, (), f"planted-{n}-{side}-{count}-{active}-{seed}", "planted")


def recovered(truth: Float[Tensor, "k p"], found: Float[Tensor, "m p"], least: float = 0.9) -> float:
    """Share of true atoms that have a found atom of their own at a cosine of `least` or more."""
    cosines = (F.normalize(truth, dim=1) @ F.normalize(found.detach(), dim=1).T).numpy()
    rows, columns = linear_sum_assignment(-cosines)
    return float((cosines[rows, columns] >= least).mean())


def learn(bench: Bench, images: Images, seed: int, count: int, assignments: tuple[str, ...], what: str) -> State:
    """The sparse recipe trained on some pictures; the last state, as sample scores do not judge an autoencoder."""
    run = build(plan("sparse", Facts(images.image, len(images), 0, "cpu", seed), assignments), Run)
    state = State(run, torch.device("cpu"))
    for event in train(state, run, Batches(images, run.batch, seed), until=Budget(images=count), looks=1):
        if (share := getattr(event, "share", None)) is not None:
            bench.tick(f"sparse autoencoder on {what}, seed {seed}", share)
    return state


def sized(codes: int, active: int) -> tuple[str, ...]:
    """Both roles on a code space."""
    return tuple(f"{role}.latent=Sparse({codes}, {active})" for role in ("encoder", "generator"))


def dictionary_of(state: State) -> SparseGenerator:
    """The averaged dictionary."""
    net = state.averaged["generator"]
    assert isinstance(net, SparseGenerator)
    return net


def look(state: State, images: Images) -> Activity:
    """L0, variance explained and dead codes on pictures."""
    encoder, generator = state.averaged["encoder"], state.averaged["generator"]
    assert isinstance(encoder, SparseEncoder) and isinstance(generator, Generator)
    return activity(encoder, generator, pixels(images))


@torch.no_grad()
def codes(state: State, images: Images) -> Features:
    """The averaged encoder's codes."""
    return torch.cat([state.averaged["encoder"](x).mean for x in pixels(images).split(1000)])


def pixels(images: Images) -> Float[Tensor, "n c h w"]:
    """All pictures as floats."""
    return to_float(images.pixels)


def classes(images: Images) -> Int[Tensor, " n"]:
    """Their labels."""
    assert images.labels is not None
    return torch.from_numpy(images.labels)


def probe(known: Features, labels: Int[Tensor, " n"], asked: Features, truth: Int[Tensor, " m"]) -> float:
    """Test error in % of logistic regression on features at unit power.

    Adam on batches of 500 for ten passes, its rate falling to zero: the loss is convex, and a solver that reads all
    features at every step takes ten times as long for the same weights.
    """
    scale = known.square().mean().sqrt()
    weight = torch.zeros(known.shape[1], int(labels.max()) + 1, requires_grad=True)
    bias = torch.zeros(weight.shape[1], requires_grad=True)
    adam = torch.optim.Adam([weight, bias])
    rng = torch.Generator().manual_seed(0)
    orders = torch.cat([torch.randperm(len(known), generator=rng) for _ in range(PASSES)]).split(500)
    for step, rows in enumerate(orders):
        adam.param_groups[0]["lr"] = RATE * (1 - step / len(orders))
        adam.zero_grad()
        F.cross_entropy(known[rows] / scale @ weight + bias, labels[rows]).backward()
        adam.step()
    return 100 * ((asked / scale @ weight + bias).argmax(1) != truth).float().mean().item()
