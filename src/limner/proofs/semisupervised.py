"""Semi-supervised learning: what 60,000 pictures without labels add to 100 that have one."""

from __future__ import annotations

from collections.abc import Iterator

from limner.proofs.base import Bench, Row, proof

LABELS = 100
IMAGES = 128_000
QUICK = 8_000
ALONE = 51_200
ALONE_QUICK = 3_200
PUBLISHED = "0.93 ± 0.07 % (Salimans et al. 2016, table 1); 1.91 ± 0.10 % (Springenberg 2016, table 1)"


@proof
def semisupervised(bench: Bench) -> Iterator[Row]:
    """MNIST with 10 labels of each digit: error of the critic on the 10,000 test images, with and without the GAN.

    Both have the same network and the same labels, chosen by the seed; neither sees another label, nor is a
    checkpoint chosen by one.
    """
    seeds = bench.seeds[:1] if bench.quick else bench.seeds
    alone = tuple(error(bench, "supervised", seed, bench.pick(ALONE_QUICK, ALONE)) for seed in seeds)
    helped = tuple(error(bench, "semisupervised", seed, bench.pick(QUICK, IMAGES)) for seed in seeds)
    protocol = f"MNIST, {LABELS} labels, {bench.pick(ALONE_QUICK, ALONE):,} images shown, labels only"
    yield Row("test error, labels only", alone, "%", protocol=protocol)
    protocol = f"MNIST, {LABELS} labels, {bench.pick(QUICK, IMAGES):,} images shown"
    yield Row("test error, with pictures without labels", helped, "%", at_most=bench.pick(60.0, None),
              published=PUBLISHED, protocol=protocol)  # fmt: skip
    ratio = tuple(h / a for h, a in zip(helped, alone, strict=True))
    yield Row("of the error with labels only", ratio, "", at_most=bench.pick(None, 0.5), protocol="the two above")


def error(bench: Bench, recipe: str, seed: int, count: int) -> float:
    """Per cent of test images whose class the critic names wrongly."""
    likeness = bench.train("mnist", recipe, seed, count=count, assignments=(f"labels={LABELS}",))
    test = bench.images("mnist", "test")
    return 100 * float((likeness.classify(test.pixels).argmax(1) != test.labels).mean())
