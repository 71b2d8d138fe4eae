"""Evaluation as a whole: what is reported, what it must not depend on, and planted truths."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from limner.core.errors import UserError
from limner.core.events import Progress
from limner.core.pixels import to_float
from limner.data.images import Images
from limner.evaluate import Draw, Scored, evaluate, table
from limner.metrics.base import Extractor
from limner.metrics.fixed import RandomFeatures
from limner.metrics.frechet import FrechetDistance
from limner.metrics.neighbours import Coverage

from .conftest import images


@dataclass(frozen=True)
class Flat(Extractor):
    """The pixels themselves."""

    name: str = "pixels"
    digest: str = "0"  # type: ignore[assignment]

    def __call__(self, x: Tensor) -> Tensor:
        return x.flatten(1).float()


def noise(n: int, seed: int, level: int = 128) -> Images:
    """2×2 grey pictures of independent bytes around a level."""
    rng = np.random.RandomState(seed)
    return images(rng.normal(level, 20, (n, 2, 2, 1)).clip(0, 255).astype(np.uint8), source=f"noise {seed}")


def from_images(made: Images) -> Draw:
    return lambda first, count: made.pixels[first : first + count]


def scored(draw: Draw, data: Images, **given: object) -> Scored:
    *before, last = evaluate(draw, data, **({"extractor": Flat(), "n": 400} | given))
    assert all(isinstance(e, Progress) for e in before) and isinstance(last, Scored)
    shares = [e.share for e in before]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)
    return last


def test_same_distribution_scores_its_floor() -> None:
    done = scored(from_images(noise(400, 1)), noise(900, 2))
    assert [s.label for s in done.scores] == [
        "Fréchet distance", "kernel distance", "precision", "recall", "density", "coverage",
    ]  # fmt: skip
    assert done.notes == ()
    for s in done.scores:
        assert (s.n, s.floor_n, s.features, s.digest) == (400, 400, "pixels", "0")
        assert s.low - (s.high - s.low) <= s.floor <= s.high + (s.high - s.low)


def test_the_values_are_the_metrics_on_all_rows() -> None:
    data, made = noise(300, 1), noise(300, 2, 150)
    (distance, covered) = scored(from_images(made), data, n=300, metrics=("FrechetDistance", Coverage(7))).scores
    real, fake = Flat()(to_float(data.pixels)), Flat()(to_float(made.pixels))
    assert distance.value == pytest.approx(FrechetDistance()(real, fake), rel=1e-9)
    assert covered.value == Coverage(7)(real, fake)
    assert distance.value > 10 * distance.floor


def test_neither_batch_nor_order_nor_kind_of_pixels_matters() -> None:
    data, made = noise(900, 1), noise(400, 2, 135)
    whole = scored(from_images(made), data).scores
    assert scored(from_images(made), data, batch=7).scores == whole
    floats = lambda first, count: to_float(made.pixels[first : first + count])  # noqa: E731
    assert scored(floats, data).scores == whole
    back = replace(made, pixels=made.pixels[::-1].copy())
    for a, b in zip(scored(from_images(back), data).scores, whole, strict=True):
        assert a.value == pytest.approx(b.value, rel=1e-9)


def test_n_shrinks_aloud() -> None:
    done = scored(from_images(noise(100, 1)), noise(90, 2), n=100)
    assert {(s.n, s.floor_n) for s in done.scores} == {(90, 45)}
    assert len(done.notes) == 2 and "n is 90 and not 100" in done.notes[0] and "n = 45" in done.notes[1]
    with_others = scored(from_images(noise(100, 1)), noise(90, 2), n=100, other=noise(500, 3))
    assert {s.floor_n for s in with_others.scores} == {90}
    assert len(with_others.notes) == 1


def test_floor_of_others_is_real_against_them() -> None:
    data, other = noise(200, 1), noise(200, 2, 160)
    (score,) = scored(from_images(data), data, n=200, other=other, metrics=("FrechetDistance",)).scores
    assert score.value == pytest.approx(0, abs=1e-9)
    assert score.floor == pytest.approx(
        FrechetDistance()(Flat()(to_float(data.pixels)), Flat()(to_float(other.pixels)))
    )


def test_refused_in_one_line() -> None:
    data = noise(50, 1)
    with pytest.raises(UserError, match="need 16 images"):
        scored(from_images(data), noise(9, 1))
    with pytest.raises(UserError, match="--size 3x3 --channels 1"):
        scored(lambda first, count: np.zeros((count, 3, 3, 1), np.uint8), data)
    with pytest.raises(UserError, match="not numbers"):
        scored(lambda first, count: torch.full((count, 1, 2, 2), float("nan")), data)
    with pytest.raises(UserError, match="did you mean Coverage"):
        scored(from_images(data), data, metrics=("Coverge",))


def test_table_and_json() -> None:
    scores = scored(from_images(noise(90, 1)), noise(90, 2), n=90).scores
    text = table(scores)
    assert "Fréchet distance ↓" in text and "coverage ↑" in text
    assert "n = 90 (floor 45) · features pixels 0" in text.splitlines()[-1]
    assert len(text.splitlines()) == 8
    assert json.loads(json.dumps([asdict(s) for s in scores]))[0]["metric"] == "FrechetDistance"


def test_digits_against_digits_and_against_half_of_the_classes(mnist_test: Images) -> None:
    data = replace(mnist_test, pixels=mnist_test.pixels[:3000])
    rest, labels = mnist_test.pixels[3000:], mnist_test.labels[3000:]
    same = scored(lambda i, k: rest[i : i + k], data, n=1500, extractor=RandomFeatures()).scores
    few = rest[labels < 5]
    dropped = scored(lambda i, k: few[i : i + k], data, n=1500, extractor=RandomFeatures()).scores
    for a, b in zip(same, dropped, strict=True):
        if a.metric in ("FrechetDistance", "KernelDistance"):
            assert a.high < b.low
        if a.metric in ("Recall", "Coverage"):
            assert b.high < a.low
