"""The linear probe: planted truths, what it may not see, and when its word does not count."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from limner.metrics.base import Seen, Sets
from limner.metrics.probe import LinearProbeAccuracy, taught

CLASSES = 4


def clouds(n: int, seed: int, apart: float = 4.0) -> Seen:
    """Four clouds of features in eight dimensions, with their numbers."""
    rng = torch.Generator().manual_seed(seed)
    label = torch.arange(n) % CLASSES
    centres = apart * torch.eye(CLASSES, 8)
    return Seen(centres[label] + torch.randn(n, 8, generator=rng) + 7, labels=label)


def sets(fake: Seen, apart: float = 4.0, **more: object) -> Sets:
    asked, known = clouds(400, 1, apart), clouds(400, 2, apart)
    return Sets(asked, fake, (asked, known), classes=CLASSES, **more)  # type: ignore[arg-type]


def test_wrong_labels_are_counted() -> None:
    fake = clouds(400, 3)
    assert fake.labels is not None
    fake.labels[:100] = (fake.labels[:100] + 1) % CLASSES
    metric = LinearProbeAccuracy()
    assert metric.lacks(sets(fake)) == ""
    found = metric.score(sets(fake))
    assert found.value == pytest.approx(0.75, abs=0.03) and found.floor > 0.97
    assert found.low < 0.75 < found.high and (found.n, found.floor_n) == (400, 400)
    unknown = Seen(fake.features, labels=torch.where(torch.arange(400) < 100, -1, fake.labels))
    assert metric.score(sets(unknown)).value > 0.97


def test_real_pictures_it_is_judged_by_teach_it_nothing() -> None:
    """Taught on shuffled labels it knows nothing of the others, although these are easy."""
    asked, known = clouds(400, 1), clouds(400, 2)
    assert known.labels is not None
    shuffled = known.labels[torch.randperm(400, generator=torch.Generator().manual_seed(0))]
    mixed = Sets(asked, clouds(400, 3), (asked, Seen(known.features, labels=shuffled)), classes=CLASSES)
    assert "of the real images right" in LinearProbeAccuracy().lacks(mixed)
    # the training images are taken where they are known
    whole = Sets(asked, clouds(400, 3), mixed.floor, train=known, classes=CLASSES)
    assert LinearProbeAccuracy().lacks(whole) == "" and LinearProbeAccuracy().score(whole).value > 0.97


def test_withheld_where_it_cannot_know() -> None:
    few = Sets(clouds(30, 1), clouds(30, 3), (clouds(30, 1), clouds(30, 2)), classes=CLASSES)
    assert "30 labelled images are too few to teach 4 classes, 40 do" in LinearProbeAccuracy().lacks(few)
    assert "names" in LinearProbeAccuracy().lacks(sets(clouds(400, 3), apart=0.0))


def test_it_is_the_least_of_its_loss() -> None:
    """Gradient zero, against the loss written out."""
    seen = clouds(200, 5, 1.0)
    assert seen.labels is not None
    found = taught(seen.features, seen.labels, CLASSES, 0.01)
    weight, bias = (p.detach().double().requires_grad_() for p in (found.layer.weight, found.layer.bias))
    x = (seen.features.double() - found.mean.double()) / found.size.double()
    loss = F.cross_entropy(x @ weight.T + bias, seen.labels) + 0.005 * weight.square().sum()
    for slope in torch.autograd.grad(loss, (weight, bias)):
        assert float(slope.abs().max()) < 1e-3
