"""Over-fitting: a planted one is stopped and said aloud, the better checkpoint is kept, and what helps against it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from limner.core.pixels import to_float
from limner.journal import read
from limner.likeness import Likeness, load
from limner.metrics.base import Features
from limner.metrics.frechet import FrechetDistance
from limner.metrics.weights import WeightsFile
from limner.project import slack
from limner.proofs.base import Bench, Row, proof

LENET = "weights/mnist-lenet5.safetensors"
PATIENCE = 4
PLANTED = ("pictures=200", "critic.dropout=0", "augment=none", "generator.width=256", "critic.width=256")
"""Few pictures, and a critic with nothing against knowing them by heart."""
FAST = ("generator.width=128", "critic.width=128", "lr=0.003")
"""For the quick proof, which plants a worse one."""
REMEDIES: dict[str, tuple[str, ...]] = {
    "L1": ("objective.penalties=[R1(1.0), R2(1.0), L1(0.00003)]",),
    "L2": ("objective.penalties=[R1(1.0), R2(1.0), L2(0.001)]",),
    "dropout 0.5": ("critic.dropout=0.5",),
    "DiffAugment": ("augment=DiffAugment",),
    "1,000 pictures": ("pictures=1000",),
    "all pictures": ("pictures=none",),
}


@proof
def overfitting(bench: Bench) -> Iterator[Row]:
    """Dense networks on 200 digits, with patience and without; then with L1, L2, dropout, augmentation, more pictures.

    Distances are to the 10,000 test digits, which no checkpoint was chosen by. The remedies are of the first seed.
    """
    seeds, count = bench.seeds[: bench.pick(1, None)], bench.pick(24_000, 64_000)
    pictures, patience = bench.pick((16, 1), (200, PATIENCE))
    planted = (*PLANTED, f"pictures={pictures}", f"patience={patience}", *bench.pick(FAST, ()))
    protocol = f"MNIST, {pictures} pictures, recipe plain, critic without dropout, {count:,} images seen unless stopped"
    ended = [Ended.of(bench, seed, count, planted) for seed in seeds]
    yield Row("planted over-fit: images when stopped", tuple(float(e.nimg) for e in ended), at_most=count - 1,
              judged="worst", protocol=f"{protocol}; patience {patience} of at most 20 looks")  # fmt: skip
    yield Row("alarms that said so", tuple(float(e.alarms) for e in ended), at_least=1, judged="worst",
              protocol=protocol)  # fmt: skip
    yield Row("kept score above the best one of all looks, over what counts as equal", tuple(e.kept for e in ended),
              at_most=1, judged="worst", protocol=protocol)  # fmt: skip
    if bench.quick:
        return
    judge = Judge(bench, 10_000)
    kept = tuple(judge(e.model) for e in ended)
    last = tuple(judge(bench.train("mnist", "plain", s, count=count, assignments=(*PLANTED, "keep=last")))
                 for s in seeds)  # fmt: skip
    yield Row("Fréchet distance, stopped early", kept, protocol=judge.what)
    yield Row("Fréchet distance, gone on to the end", last, protocol=judge.what)
    for name, changes in REMEDIES.items():
        found = Ended.of(bench, seeds[0], count, (*PLANTED, *changes, f"patience={PATIENCE}"))
        yield Row(f"Fréchet distance, against over-fitting: {name}", (judge(found.model),),
                  protocol=f"{judge.what}; seed {seeds[0]}, {found.nimg:,} images seen when it ended")  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """How a training ended: images seen, alarms about over-fitting, how far from best the kept one is, and it."""

    nimg: int
    alarms: int
    kept: float
    model: Likeness

    @classmethod
    def of(cls, bench: Bench, seed: int, count: int, assignments: tuple[str, ...]) -> Ended:
        """Read from what the run folder says."""
        folder = bench.run("mnist", "plain", seed, count=count, assignments=assignments)
        said, model = read(folder / "events.jsonl"), load(folder)
        scores = [line["score"] for line in said if line["event"] == "Scores"]
        alarms = [line for line in said if line["event"] == "Alarm" and line["kind"] in ("over-fitting", "early stop")]
        kept = model.header["scores"]
        above = (kept["kernel distance"] - min(scores)) / slack(kept, scores[0])
        return cls(max(line["nimg"] for line in said), len(alarms), above, model)


class Judge:
    """Fréchet distance of samples to test digits on LeNet-5's features."""

    def __init__(self, bench: Bench, n: int) -> None:
        self._extract = WeightsFile(str(bench.shared / LENET))
        self._real = self._features(bench.images("mnist", "test").pixels[:n])
        self.what = f"LeNet-5 features, {n:,} test digits and samples"

    def __call__(self, model: Likeness) -> float:
        return FrechetDistance()(self._real, self._features(model.sample(len(self._real), seed=0)))

    def _features(self, pixels: NDArray[np.uint8]) -> Features:
        return torch.cat([self._extract(to_float(pixels[i : i + 500].copy())) for i in range(0, len(pixels), 500)])
