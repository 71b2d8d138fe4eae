"""CycleGAN finds a planted translation between digits that nobody has matched."""

from __future__ import annotations

from collections.abc import Iterator

from limner.likeness import Likeness
from limner.proofs.base import Bench, Row, proof
from limner.proofs.planted import baselines, domains, held_out, preserved, psnr, read_back, told, unmatched


@proof
def cyclegan(bench: Bench) -> Iterator[Row]:
    """MNIST digits in two colours and other digits with hues turned by a third: how much of the known map is found.

    Trained by recipe cyclegan on the two halves of the training images, judged on test images: PSNR to the truth, and
    how many digits a LeNet-5 still reads, against leaving them alone and against matching colour statistics.
    """
    count = bench.pick(1_600, 8_000)
    seeds = bench.seeds[: bench.pick(1, len(bench.seeds))]
    models = [bench.train(unmatched(bench), "cyclegan", seed, count=count) for seed in seeds]
    yield from _rows(bench, models, f"MNIST 14×14 RGB, two disjoint halves, {count:,} images of each domain seen")


def _rows(bench: Bench, models: list[Likeness], protocol: str) -> Iterator[Row]:
    x, y, labels = held_out(bench, bench.pick(500, 2_000))
    a, b = domains(bench)
    for way, back, given, truth, source, target in (("there", False, x, y, a, b), ("back", True, y, x, b, a)):
        made = [model.translate(given, back) for model in models]
        rivals = baselines(given, truth, source, target)
        yield Row(
            f"PSNR to the planted truth, {way}",
            tuple(psnr(m, truth) for m in made),
            "dB",
            at_least=max(rivals.values()) + bench.pick(0.0, 3.0),
            judged="median",
            published=f"none; rivals: {told(rivals)}",
            protocol=protocol,
        )
        ceiling = preserved(bench, read_back(truth, not back), labels)
        yield Row(
            f"digits still read right, {way}",
            tuple(preserved(bench, read_back(m, not back), labels) for m in made),
            "%",
            at_least=bench.pick(50.0, 90.0),
            judged="median",
            published=f"none; of the truth {ceiling:.1f} % are",
            protocol=protocol,
        )
