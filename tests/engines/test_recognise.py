"""Recognising: planted features, exact intervals, fair draws, the same row in any company, and a probe as a file."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.augments.affine import Affine
from limner.core.errors import UserError
from limner.core.latent import Gaussian
from limner.core.pixels import Image
from limner.core.shares import wilson
from limner.models.base import Model
from limner.models.light import LightCritic, LightEncoder
from limner.models.plain import PlainGenerator
from limner.recognise.classifier import learn, share_right
from limner.recognise.drawing import draw_curves
from limner.recognise.features import View, features, plain, readers, views
from limner.recognise.naming import Naming
from limner.recognise.probes import KINDS, Scale, fit
from limner.recognise.scores import Labelled, Score, drawn, recognise
from limner.recognise.worth import gains, level, measure

IMAGE = Image(1, 8, 8)
RNG = np.random.default_rng(0)


def corners(n: int, classes: int = 4) -> Labelled:
    """Noise, with a bright corner that is the class."""
    labels = np.arange(n) % classes
    pixels = np.random.default_rng(n).integers(0, 60, (n, 8, 8, 1)).astype(np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        image[4 * (label // 2) :, 4 * (label % 2) :][:4, :4] += 120
    return Labelled(pixels, labels)


def nets() -> dict[str, Model]:
    torch.manual_seed(0)
    encoder = LightEncoder(IMAGE, Gaussian(6), width=8)
    return {"encoder": encoder.eval(), "critic": LightCritic(IMAGE, width=8).eval()}


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_what_separates_is_told_apart_and_what_says_nothing_is_not(kind: object) -> None:
    train, test = corners(200), corners(404)
    told = View("told", lambda pixels: plain(pixels).reshape(-1, 2, 4, 2, 4).mean((2, 4)).reshape(-1, 4))
    nothing = View("nothing", lambda pixels: np.random.default_rng(len(pixels)).normal(size=(len(pixels), 4)))
    done = list(recognise([told, nothing], train, test, kinds=[kind], counts=(4, 40), draws=3))  # type: ignore[list-item]
    shares = {(d.score.features, d.score.labels): d.score.mean for d in done}
    assert [shares["told", size] for size in (4, 40, 200)] == [1, 1, 1]
    assert 0.15 < shares["nothing", 200] < 0.35
    assert [d.share for d in done] == sorted(d.share for d in done) and done[-1].share == 1
    assert [len(d.score.right) for d in done[:3]] == [3, 3, 1]


def test_wilsons_interval_is_where_the_test_is_just_not_rejected() -> None:
    """Its ends are the p with |share - p| = z √(p(1-p)/n), Wilson's definition."""
    for share, n in ((0.5, 10), (0.9, 200), (0.03, 1000)):
        for end in wilson(share, n):
            assert abs(share - end) == pytest.approx(1.959964 * math.sqrt(end * (1 - end) / n), rel=1e-9)
    assert (wilson(1.0, 50)[1], wilson(0.0, 50)[0]) == pytest.approx((1, 0))
    assert wilson(0.0, 50)[1] == pytest.approx(1.959964**2 / (50 + 1.959964**2))
    several = Score("a", "b", 10, (0.5, 0.7, 0.6), 100)
    assert several.interval == pytest.approx((0.6 - 4.302653 * 0.1 / 3**0.5, 0.6 + 4.302653 * 0.1 / 3**0.5), rel=1e-6)
    assert Score("a", "b", 10, (0.9,), 200).interval == wilson(0.9, 200)


def test_draws_are_balanced_and_do_not_depend_on_how_many_there_are() -> None:
    labels = np.repeat([0, 1, 2], [50, 30, 3])
    for size in (3, 10, 31):
        rows = drawn(labels, size, seed=0, draw=1)
        counts = np.bincount(labels[rows], minlength=3)
        assert len(set(rows.tolist())) == size
        fair = min(3, size // 3)
        assert counts[2] == fair and abs(counts[0] - counts[1]) <= 1
    assert not np.array_equal(drawn(labels, 10, 0, 0), drawn(labels, 10, 0, 1))
    assert np.array_equal(drawn(labels, 500, 0), np.arange(83))
    train, test = corners(60), corners(20)
    view = [View("pixels", plain)]
    few, many = ([d.score.right for d in recognise(view, train, test, kinds=[KINDS["knn"]], counts=(8,), draws=n)]
                 for n in (2, 4))  # fmt: skip
    assert many[0][:2] == few[0]


def test_a_row_of_features_is_the_same_in_any_company() -> None:
    pixels = corners(600).pixels
    for net in readers(nets()).values():
        all_of_them = features(net, pixels)
        assert np.array_equal(features(net, pixels[:7]), all_of_them[:7])
        assert np.array_equal(features(net, pixels[256:259]), all_of_them[256:259])


def test_rivals_have_as_many_numbers_as_the_model() -> None:
    pixels = corners(120).pixels
    found, notes = views(readers(nets(), "encoder"), IMAGE, pixels)
    assert [(v.name, v.rows(pixels[:5]).shape) for v in found] == [
        ("encoder (6)", (5, 6)), ("raw pixels (64)", (5, 64)), ("PCA (6)", (5, 6)),
    ] and not notes  # fmt: skip
    _, notes = views(readers(nets(), "encoder"), IMAGE, pixels[:5])
    assert "at most 4 components" in notes[0]
    # principal components are those of the covariance, by brute force
    x = plain(pixels).astype(np.float64)
    values = np.linalg.eigvalsh(np.cov(x.T))[::-1][:6]
    np.testing.assert_allclose(found[2].rows(pixels).var(0, ddof=1), values, rtol=1e-3)


def test_a_model_that_reads_no_pictures_says_so() -> None:
    alone: dict[str, Model] = {"generator": PlainGenerator(IMAGE, width=8, depth=1)}
    with pytest.raises(UserError, match="neither an encoder nor a critic"):
        readers(alone)
    with pytest.raises(UserError, match="no encoder that reads pictures"):
        readers({"critic": nets()["critic"]}, "encoder")
    with pytest.raises(UserError, match="two classes or more"):
        list(recognise([View("p", plain)], corners(9, 1), corners(5, 1), kinds=[KINDS["knn"]]))


def test_scaling_changes_no_order_and_a_rotation_nothing() -> None:
    x, y = RNG.normal(size=(80, 5)).astype(np.float32) * 7 + 3, np.arange(80) % 2
    x[:, 0] += 4 * y
    scaled = Scale.of(x)(x)
    assert abs(scaled.mean()) < 1e-6 and float(np.square(scaled).mean()) == pytest.approx(1, rel=1e-5)
    turn = np.linalg.qr(RNG.normal(size=(5, 5)))[0].astype(np.float32)
    for kind in KINDS.values():
        plainly, turned = fit(kind, scaled, y), fit(kind, scaled @ turn, y)
        assert plainly.value == turned.value and np.array_equal(plainly(scaled), turned(scaled @ turn))


@pytest.mark.parametrize("classes", [2, 4])
def test_a_probe_says_on_file_what_it_said_in_memory(classes: int, tmp_path: Path) -> None:
    train, critic = corners(120, classes), readers(nets(), "critic")["critic"]
    x = features(critic, train.pixels)
    scale = Scale.of(x)
    fitted = fit(KINDS["logistic"], scale(x), train.labels)
    names = ("rose", "iris", "tulip", "daisy")
    made = Naming.of(fitted, scale, "critic", critic, names)
    again = Naming.load(made.save(tmp_path / "new" / "probe.safetensors"))
    again.check(critic)
    said, sure = again(critic, train.pixels)
    assert again.names == names[:classes] and np.array_equal(said, fitted(scale(x)))
    np.testing.assert_allclose(sure, fitted.classifier.predict_proba(scale(x)).max(1), atol=1e-5)
    with pytest.raises(UserError, match="made for a model with critic"):
        again.check(readers(nets(), "encoder")["encoder"])
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    with pytest.raises(UserError, match="cannot be read"):
        Naming.load(tmp_path / "torn.safetensors")


def test_levelling_is_exact() -> None:
    assert level([5, 9, 0], None) == (4, 0, 9) and level([5, 9, 0], 7) == (7, 7, 7)


def test_pictures_are_worth_what_they_teach() -> None:
    """Made pictures with the right labels teach it all; with rotated labels nothing; few real ones lie between."""
    real, test, right = corners(80), corners(202), corners(164)
    wrong = Labelled(right.pixels, (right.labels + 1) % 4)
    options = {"per_class": (1,), "draws": 3, "seed": 0, "steps": 60, "augment": Affine(turn=0.0, shift=0.0, scale=0.0)}
    good, bad = ([s for s, _ in measure(real, made, test, **options)] for made in (right, wrong))  # type: ignore[arg-type]
    assert [s.features for s in good] == ["made", "real", "real, moved", "real + made", "real + made, moved"]
    assert good[0].mean > 0.97 and bad[0].mean < 0.03 and good[3].mean > 0.97
    assert good[1].right == bad[1].right, "the same draws, the same network"
    over, moved = gains(bad)
    assert over.points == pytest.approx(bad[3].mean - bad[1].mean) and over.high < 0 and over.verdict == "harms"
    assert moved.over == "real, moved" and moved.real == 1
    with pytest.raises(UserError, match="only 20 real pictures"):
        list(measure(real, right, test, **options | {"per_class": (21,)}))  # type: ignore[arg-type]


def test_the_same_seed_is_the_same_classifier() -> None:
    one, same, other = (learn([corners(40)], 4, seed, None, 5).state_dict()["head.weight"] for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert share_right(learn([corners(40)], 4, 0, Affine(shift=0.05), 60), corners(50)) > 0.9


def test_curves_are_drawn(tmp_path: Path) -> None:
    scores = [Score(v, "k-NN", n, (0.5, 0.6), 50) for v in ("encoder (6)", "PCA (6)") for n in (10, 100)]
    assert draw_curves(scores, tmp_path / "new" / "c.png").stat().st_size > 5000
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["c.png"]
