"""Paired translation learns the same planted map from matched digits: the bound for doing it without."""

from __future__ import annotations

from collections.abc import Iterator

from limner.proofs.base import Bench, Row, proof
from limner.proofs.planted import baselines, domains, held_out, matched, preserved, psnr, read_back, told, turned


@proof
def paired(bench: Bench) -> Iterator[Row]:
    """MNIST digits in two colours, each beside itself with hues turned by a third, and how exactly the map is learned.

    Trained by recipe paired (distance to the answer + critic of pairs), judged on test images by PSNR to the truth and
    by how many digits a LeNet-5 still reads.
    """
    count = bench.pick(1_600, 8_000)
    seeds = bench.seeds[: bench.pick(1, len(bench.seeds))]
    models = [bench.train(matched(bench), "paired", seed, count=count) for seed in seeds]
    x, truth, labels = held_out(bench, bench.pick(500, 2_000))
    made = [model.translate(x) for model in models]
    a, _ = domains(bench)
    rivals = baselines(x, truth, a, turned(a))
    protocol = f"MNIST 14×14 RGB, matched, {count:,} pairs seen"
    yield Row(
        "PSNR to the planted truth, matched",
        tuple(psnr(m, truth) for m in made),
        "dB",
        at_least=max(rivals.values()) + bench.pick(3.0, 10.0),
        judged="median",
        published=f"none; rivals: {told(rivals)}",
        protocol=protocol,
    )
    ceiling = preserved(bench, read_back(truth, True), labels)
    yield Row(
        "digits still read right, matched",
        tuple(preserved(bench, read_back(m, True), labels) for m in made),
        "%",
        at_least=ceiling - bench.pick(10.0, 2.0),
        judged="median",
        published=f"none; of the truth {ceiling:.1f} % are",
        protocol=protocol,
    )
