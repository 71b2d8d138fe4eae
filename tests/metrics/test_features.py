"""Features without download: fixed numbers, purity, and that worse images score worse."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from limner.core.errors import UserError
from limner.core.pixels import to_float
from limner.data.images import Images
from limner.metrics.base import Extractor
from limner.metrics.features import choose
from limner.metrics.fixed import RandomFeatures
from limner.metrics.frechet import FrechetDistance
from limner.metrics.indomain import InDomain, moved
from limner.metrics.inputs import at_most, three_channels
from limner.metrics.kernel import KernelDistance
from limner.metrics.neighbours import Coverage

from .conftest import images


def ramp(n: int = 4, c: int = 1, h: int = 28, w: int = 28) -> torch.Tensor:
    return torch.linspace(0, 40, n * c * h * w).sin().view(n, c, h, w)


def test_random_features_are_the_same_everywhere() -> None:
    """Numbers of the first run on an AMD EPYC; the weights come from a generator that NumPy has frozen."""
    features = RandomFeatures()
    assert features.digest == "6b2c461451c995b1"
    got = features(ramp())
    assert got.shape == (4, 272)
    assert got.sum(1).tolist() == pytest.approx(GOLDEN, rel=1e-4)


GOLDEN = [71.261238, 67.604813, 64.220604, 59.674107]


def test_random_features_of_another_seed_are_others() -> None:
    assert RandomFeatures(1).digest != RandomFeatures().digest
    assert RandomFeatures(1).name == "random-1"


@pytest.mark.parametrize(("c", "h", "w"), [(1, 28, 28), (2, 9, 8), (3, 32, 32), (4, 33, 20), (3, 8, 8), (3, 128, 64)])
def test_a_row_does_not_depend_on_its_batch(c: int, h: int, w: int) -> None:
    x = ramp(6, c, h, w)
    features = RandomFeatures()
    whole = features(x)
    assert torch.isfinite(whole).all()
    torch.testing.assert_close(torch.cat([features(x[i : i + 1]) for i in range(6)]), whole, rtol=1e-5, atol=1e-5)


def test_three_channels_and_sizes() -> None:
    clear = torch.cat([ramp(2, 3), torch.full((2, 1, 28, 28), -1.0)], 1)
    assert torch.equal(three_channels(clear), torch.ones(2, 3, 28, 28))
    solid = torch.cat([ramp(2, 1), torch.ones(2, 1, 28, 28)], 1)
    torch.testing.assert_close(three_channels(solid), ramp(2, 1).expand(-1, 3, -1, -1))
    assert at_most(ramp(1, 1, 128, 96), 32).shape == (1, 1, 32, 24)
    assert at_most(ramp(1, 1, 20, 8), 32).shape == (1, 1, 20, 8)


def damaged(x: torch.Tensor, labels: np.ndarray, kind: str, strength: float) -> torch.Tensor:
    rng = torch.Generator().manual_seed(1)
    if kind == "noise":
        return (x + strength * torch.randn(x.shape, generator=rng)).clamp(-1, 1)
    if kind == "blur":
        bell = torch.exp(-(torch.arange(-4, 5.0) ** 2) / (2 * max(strength, 1e-3) ** 2))
        bell = (bell / bell.sum())[None, None, None]
        return F.conv2d(F.conv2d(F.pad(x, (4, 4, 4, 4), value=-1.0), bell), bell.transpose(2, 3))
    kept = np.flatnonzero(labels >= strength)
    return x[torch.from_numpy(np.resize(kept, len(x)))]


LEVELS = {"noise": (0, 0.05, 0.1, 0.2, 0.4), "blur": (0, 0.5, 0.7, 1, 2), "modes": (0, 1, 2, 4, 8)}


def ranks(extractor: Extractor, test: Images) -> None:
    """Each step of damage raises the Fréchet distance."""
    assert test.labels is not None
    real = extractor(to_float(test.pixels[:2000]))
    x, labels = to_float(test.pixels[2000:4000]), test.labels[2000:4000]
    for kind, levels in LEVELS.items():
        # the undamaged pictures come first and score what sampling alone scores
        scores = [FrechetDistance()(real, extractor(damaged(x, labels, kind, level))) for level in levels]
        assert scores == sorted(scores), f"{extractor.name}: {kind} {scores}"
        assert scores[-1] > 5 * scores[0]


def test_random_features_rank_damage(mnist_test: Images) -> None:
    ranks(RandomFeatures(), mnist_test)


@pytest.fixture(scope="module")
def of_classes(mnist_train: Images) -> InDomain:
    return InDomain.fit(replace(mnist_train, pixels=mnist_train.pixels[:1500], labels=mnist_train.labels[:1500]))


def test_in_domain_features_of_classes_rank_damage(of_classes: InDomain, mnist_test: Images) -> None:
    assert of_classes.task == "classes" and of_classes.accuracy > 0.9
    ranks(of_classes, mnist_test)


@pytest.mark.slow
def test_in_domain_features_without_labels_rank_damage(mnist_train: Images, mnist_test: Images) -> None:
    made = InDomain.fit(replace(mnist_train, labels=None, names=()))
    assert made.task == "instances" and made.accuracy > 0.9
    ranks(made, mnist_test)


def blobs(n: int = 80, labels: bool = True) -> Images:
    """8×8 pictures with one bright quarter, which is the label."""
    rng = np.random.RandomState(0)
    label = rng.randint(0, 4, n)
    pixels = rng.randint(0, 60, (n, 8, 8, 1)).astype(np.uint8)
    for i, (row, column) in enumerate(zip(label // 2, label % 2, strict=True)):
        pixels[i, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 150
    return images(pixels, label if labels else None, "blobs")


def test_the_cache_gives_the_same_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path))
    first = InDomain.of(blobs())
    monkeypatch.setattr(InDomain, "fit", classmethod(lambda *_: pytest.fail("trained again")))
    again = InDomain.of(blobs())
    assert (again.digest, again.accuracy, again.task) == (first.digest, first.accuracy, "classes")
    x = to_float(blobs().pixels)
    assert torch.equal(again(x), first(x))


def test_a_damaged_cache_is_made_again_and_training_repeats_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path))
    first = InDomain.of(blobs(labels=False))
    (file,) = (tmp_path / "features").iterdir()
    file.write_bytes(file.read_bytes()[:1000])
    assert InDomain.of(blobs(labels=False)).digest == first.digest
    assert len(list((tmp_path / "features").iterdir())) == 1 and file.stat().st_size > 1000


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "file"))
    assert InDomain.of(blobs()).accuracy == 1


def test_too_few_pictures() -> None:
    with pytest.raises(UserError, match="--features random"):
        InDomain.fit(blobs(20))


def test_moved_by_nothing_is_the_same() -> None:
    x = ramp(3, 2)
    torch.testing.assert_close(moved(x, 0.0, torch.Generator()), x, atol=1e-4, rtol=0)


def test_moved_is_drawn_on_the_cpu_and_done_where_the_pictures_are() -> None:
    """Else a metric that trains its own classifier fails on a GPU."""
    assert moved(ramp().to("meta"), 1.0, torch.Generator()).device.type == "meta"


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert choose("random", blobs()).name == "random"
    assert choose("in-domain", blobs()).name == "in-domain"
    for given, said in {"inception": "--features PATH", "vgg": "type in-domain", "gone.pth": "no such file"}.items():
        with pytest.raises(UserError, match=said) as error:
            choose(given, blobs()).digest  # noqa: B018
        assert "\n" not in str(error.value)


def test_fast_enough_for_the_trainer() -> None:
    x = torch.rand(512, 1, 28, 28) * 2 - 1
    times: list[float] = []
    for _ in range(4):
        start = time.process_time()
        real, fake = RandomFeatures()(x), RandomFeatures()(-x)
        KernelDistance()(real, fake), Coverage()(real, fake)
        times.append(time.process_time() - start)
    assert min(times) < 0.3
