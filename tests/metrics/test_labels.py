"""Scores of labels and of networks trained afresh: planted mistakes, missing classes, what cannot be learned."""

from __future__ import annotations

import torch

from limner.metrics.base import Seen, Sets, small
from limner.metrics.distinguisher import Distinguisher
from limner.metrics.labels import ClassificationAccuracy, LabelAccuracy, ModeCoverage


def answers(label: torch.Tensor, k: int = 4) -> torch.Tensor:
    return 0.7 * torch.eye(k)[label] + 0.3 / k


def seen(label: torch.Tensor, said: torch.Tensor | None = None, images: torch.Tensor | None = None) -> Seen:
    return Seen(torch.zeros(len(label), 2), images, label, answers(label if said is None else said))


def sets(real: Seen, fake: Seen, classes: int = 4) -> Sets:
    return Sets(real, fake, (real, real), classes=classes)


def test_label_accuracy_counts_what_was_asked_for() -> None:
    asked = torch.arange(100) % 4
    wrong = asked.clone()
    wrong[:13] = (wrong[:13] + 1) % 4
    found = LabelAccuracy().score(sets(seen(asked), seen(asked, wrong)))
    assert (found.value, found.floor, found.n) == (0.87, 1.0, 100)
    assert found.low < 0.87 < found.high
    # images whose class is unknown do not count
    unknown = torch.where(torch.arange(100) < 13, -1, asked)
    assert LabelAccuracy().score(sets(seen(asked), seen(unknown, wrong))).value == 1.0


def test_a_classifier_of_something_else_is_not_asked() -> None:
    asked = torch.arange(100) % 4
    assert "4 classes and the data 7" in LabelAccuracy().lacks(sets(seen(asked), seen(asked), classes=7))
    assert "0% of the real" in LabelAccuracy().lacks(sets(seen(asked, (asked + 1) % 4), seen(asked)))
    assert LabelAccuracy().lacks(sets(seen(asked), seen(asked))) == ""


def test_classes_covered() -> None:
    real = torch.arange(400) % 4
    few = torch.cat([torch.zeros(300), torch.ones(98), torch.full((2,), 2)]).long()
    found = ModeCoverage().score(sets(seen(real), seen(few)))
    assert found.value == 0.5 and found.floor == 1.0
    assert found.low == 0.5 and found.high == 0.5  # two of 400 are surely fewer than 2.5 %
    close = torch.cat([torch.arange(390) % 3, torch.full((10,), 3)])
    assert ModeCoverage().covered(answers(real), answers(close)) == (0.75, 1.0, 1.0)


def quarters(n: int, seed: int, level: int = 150) -> tuple[torch.Tensor, torch.Tensor]:
    """8×8 pictures with one bright quarter, which is the label."""
    rng = torch.Generator().manual_seed(seed)
    label = torch.randint(4, (n,), generator=rng)
    x = torch.randint(0, 60, (n, 1, 8, 8), generator=rng)
    for i, k in enumerate(label.tolist()):
        row, column = divmod(k, 2)
        x[i, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += level
    return x.to(torch.uint8), label


def test_classification_accuracy_of_right_and_wrong_labels() -> None:
    (x, y), (a, b), (c, d) = (quarters(160, seed) for seed in range(3))
    real, other = Seen(torch.zeros(160, 2), x, y), Seen(torch.zeros(160, 2), a, b)
    score = ClassificationAccuracy(seen=2_000)
    right = score.score(Sets(real, Seen(torch.zeros(160, 2), c, d), (real, other), classes=4))
    assert right.value > 0.95 and right.floor > 0.95 and right.on.startswith("pixels")
    shifted = score.score(Sets(real, Seen(torch.zeros(160, 2), c, (d + 1) % 4), (real, other), classes=4))
    assert shifted.value < 0.05 and shifted.floor > 0.95
    assert "too few to teach" in score.lacks(Sets(real, real, (real.rows(torch.arange(9)),) * 2, classes=4))


def test_the_evaluation_network_guesses_where_all_is_alike_and_sees_what_is_not() -> None:
    real, other, dark = quarters(300, 0)[0], quarters(300, 1)[0], quarters(300, 2, level=90)[0]
    empty = torch.zeros(300, 2)
    judge = Distinguisher(seen=2_500, noise=(0.0, 1.0))
    sides = Seen(empty, real), Seen(empty, other)
    alike = judge.score(Sets(*sides, sides))
    assert alike.low <= 0.5 + 0.05 and alike.p_value is not None and alike.p_value > 0.001
    assert alike.floor == alike.value
    worse = judge.score(Sets(sides[0], Seen(empty, dark), sides))
    assert worse.value > alike.high and worse.p_value is not None and worse.p_value < 1e-6
    assert judge.score(Sets(*sides, sides)) == alike, "the same seed gives the same network"
    levels = judge.told(sides[0], Seen(empty, dark)).mean(0)
    assert levels[0] > levels[1], "noise hides the difference"


def test_small_pictures_are_the_same_bytes() -> None:
    x, _ = quarters(5, 0)
    assert torch.equal(small(x.float().div(127.5).sub(1)), x)
    assert small(torch.zeros(2, 3, 128, 96)).shape == (2, 3, 64, 48)
