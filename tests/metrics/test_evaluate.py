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
from limner.core.spec import catalog, options
from limner.data.images import Images
from limner.evaluate import MEMORY, Draw, Scored, evaluate, table
from limner.metrics.base import Extractor, Metric
from limner.metrics.fixed import RandomFeatures
from limner.metrics.frechet import FrechetDistance
from limner.metrics.neighbours import Coverage
from limner.metrics.visible import FAULTS

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
    assert text.splitlines()[-1] == "n = 90 (floor 45) · features pixels 0"
    assert len(text.splitlines()) == 8
    assert json.loads(json.dumps([asdict(s) for s in scores]))[0]["metric"] == "FrechetDistance"


@dataclass(frozen=True)
class Named(Flat):
    """The pixels, and a head that names the brighter of two halves."""

    def answers(self, features: Tensor) -> Tensor:
        left = features[:, [0, 2]].mean(1) > features[:, [1, 3]].mean(1)
        return torch.stack([left, ~left], 1).double() * 0.8 + 0.1


def labelled(n: int, seed: int) -> Images:
    """Noise whose left or right half is brighter, which is the label."""
    made, label = noise(n, seed, 100).pixels.copy(), np.arange(n) % 2
    made[label == 0, :, 0] += 60
    made[label == 1, :, 1] += 60
    return images(made, label)


def test_every_score_of_the_catalogue_where_all_is_given() -> None:
    """What they read of real pictures that were not trained on, beside copies of those that were."""
    names = [name for name, cls in catalog(Metric).items() if not any(o.required for o in options(cls))]
    quick = {"Distinguisher": "Distinguisher(seen=600)", "ClassificationAccuracy": "ClassificationAccuracy(seen=600)"}
    data, train, fake = labelled(2000, 1), labelled(700, 2), labelled(500, 3)
    given = {"n": 500, "train": train, "extractor": Named(), "metrics": [quick.get(name, name) for name in names]}
    asked = np.asarray(fake.labels)
    done = scored(from_images(fake), data, asked=asked, rebuild=lambda x: x, **given)
    # a hundred bins want more than 500 images, and visible faults larger ones
    missing = {"DifferentBins", *FAULTS.values()}
    assert {w.metric for w in done.withheld} == missing
    assert [s.metric for s in done.scores] == [name for name in names if name not in missing]
    by_name = {s.metric: s for s in done.scores}
    for s in done.scores:
        assert s.low <= s.value <= s.high and s.resize and s.digest and np.isfinite(s.value)
    assert by_name["LabelAccuracy"].value > 0.95 and by_name["ModeCoverage"].value == 1
    assert by_name["RebuiltPSNR"].value == 100 and by_name["RebuiltPSNR"].features == "pixels"
    assert by_name["TwoSampleTest"].p_value > 0.001
    assert [by_name[name].verdict for name in MEMORY] == ["no sign of copies"] * 4
    copies = scored(from_images(train), data, **given | {"metrics": MEMORY})
    assert all(s.verdict.startswith("copies") for s in copies.scores)
    text = table(done.scores, done.withheld)
    assert "copies of training" in text and "withheld: different bins (share): 500 images are too few" in text


def test_what_is_missing_is_said() -> None:
    wanted = ("DataCopying", "LabelAccuracy", "InceptionScore", "RebuiltSSIM", "KernelDistance")
    done = scored(from_images(noise(90, 1)), noise(90, 2), n=90, metrics=wanted)
    assert [s.metric for s in done.scores] == ["KernelDistance"]
    said = {w.metric: w.reason for w in done.withheld}
    assert "trained on" in said["DataCopying"] and "asked for" in said["LabelAccuracy"]
    assert "in-domain" in said["InceptionScore"] and "no encoder" in said["RebuiltSSIM"]


def test_a_distance_of_fewer_images_than_features_is_withheld_and_a_better_one_named() -> None:
    wide = images(np.random.RandomState(0).randint(0, 255, (60, 5, 6, 1)).astype(np.uint8))
    done = scored(from_images(wide), wide, n=30, metrics=("FrechetDistance", "FrechetInfinity"))
    assert not done.scores
    assert all("30 features" in w.reason and w.reason.endswith("read KernelDistance") for w in done.withheld)


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
