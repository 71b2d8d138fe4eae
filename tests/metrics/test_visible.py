"""Planted faults: each score rises with the fault that it is for, is at its floor without, and minds no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from limner.core.pixels import to_bytes, to_float
from limner.core.spec import build
from limner.data.gather import gather
from limner.evaluate import Scored, evaluate, table
from limner.metrics.base import Seen, Sets
from limner.metrics.contrast import strength
from limner.metrics.fixed import RandomFeatures
from limner.metrics.lattice import shared
from limner.metrics.sight import LAGS, Sight, fine, joined
from limner.metrics.tiling import repeated
from limner.metrics.visible import ALIKE, FAULTS, VisibleFault
from limner.proofs.faults import PLANTED, plant
from limner.proofs.mosaics import unpacked

from .conftest import images
from .test_evaluate import from_images

N = 300
METRICS = {name: build(kind, VisibleFault) for name, kind in FAULTS.items()}


@pytest.fixture(scope="module")
def flowers(shared: Path) -> tuple[Tensor, Tensor]:
    """Two sets of real photographs at 64 px."""
    pixels = gather(str(shared / "data" / "flowers" / "flowers128.zip"), size=(64, 64)).pixels
    order = np.random.default_rng(0).permutation(len(pixels))
    return to_float(pixels[order[:N]]), to_float(pixels[order[N : 2 * N]])


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    """Two sets of real digits at 28 px, which need no data folder."""
    pixels = gather("digits").pixels
    order = np.random.default_rng(0).permutation(len(pixels))
    return to_float(pixels[order[:N]]), to_float(pixels[order[N : 2 * N]])


def sight(x: Tensor) -> Sight:
    """As of pictures that went through a file."""
    return joined([seen for part in to_float(to_bytes(x)).split(100) if (seen := Sight.of(part))])


def scores(real: Tensor, fake: Tensor) -> dict[str, float]:
    return compared(sight(real), sight(fake))


def compared(real: Sight, fake: Sight) -> dict[str, float]:
    return {name: metric.compare(real, fake) for name, metric in METRICS.items()}


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("data", ["flowers", "digits"])
def test_a_planted_fault_raises_its_score_and_no_other(data: str, kind: str, request: pytest.FixtureRequest) -> None:
    """The table of faults and scores: beside its own, no score leaves what counts as like real pictures."""
    real, fake = request.getfixturevalue(data)
    own, strengths = PLANTED[kind].score, (0.0, *PLANTED[kind].strengths)
    found = [compared(sight(real), sight(plant(fake, kind, strength))) for strength in strengths]
    plain, rises = found[0], [row[own] for row in found]
    assert all(0.75 < value < ALIKE for value in plain.values()), "without it, all are at their floor"
    assert rises == sorted(rises) and rises[-1] > ALIKE * max(1, rises[0]), "it rises and is plain in the end"
    for row in found:
        assert all(row[name] < 1.2 for name in set(METRICS) - {own}), f"others do not mind {kind}: {row}"


def test_real_pictures_are_like_real_pictures(shared: Path, tmp_path: Path) -> None:
    """MNIST, Fashion-MNIST, CIFAR-10: two halves of 2,000 stay within 1.25, the bar of generated ones."""
    for name in ("mnist", "fashion-mnist", "cifar10"):
        folder = shared / "data" / name
        source = unpacked(folder, tmp_path / f"{name}.npz") if name == "cifar10" else folder
        pixels = gather(str(source), split="test", cache=tmp_path).pixels[:4000]
        order = np.random.default_rng(1).permutation(len(pixels))
        half = len(pixels) // 2
        found = scores(to_float(pixels[order[:half]]), to_float(pixels[order[half:]]))
        assert all(0.8 < value < ALIKE for value in found.values()), f"{name}: {found}"


def test_the_lattice_is_the_power_that_all_pictures_share() -> None:
    """White noise of variance v under a grid of known spectrum: 1 + the grid's power over that of the noise."""
    rng = torch.Generator().manual_seed(0)
    real, fake = (0.1 * torch.randn(2000, 1, 32, 32, generator=rng) for _ in range(2))
    at = torch.arange(32)
    grid = 0.02 * torch.cos(torch.pi * at)[:, None] * torch.ones(32)
    one, other = Sight.of(real), Sight.of(fake + grid)
    assert one and other
    # |FFT| of the 8×8 mean of the grid is 64 · 0.02 at one of 63 frequencies; of the noise, 64 · 0.1² / 16
    level = 64 * (2 / 255) ** 2
    want = 1 + (64 * 0.02) ** 2 / (64 * 0.01 / 16 + level) / 63
    assert build("Lattice", VisibleFault).compare(one, other) == pytest.approx(want, rel=0.02)
    assert float(shared(other)[0, 4, 0]) == pytest.approx((64 * 0.02) ** 2, rel=0.02)


def test_neighbouring_power_is_that_of_the_whole_transform() -> None:
    """Brute force: bins at most two from a multiple of N/8, without it, in units of the mean block."""
    x = torch.randn(2, 3, 32, 40, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    seen = Sight.of(x)
    assert seen is not None
    power = torch.fft.fft2(x).abs().square() / (4 * 5) ** 2
    for u, v in ((0, 3), (4, 4), (7, 1)):
        near = [power[:, :, (4 * u + a) % 32, (5 * v + b) % 40] for a in range(-2, 3) for b in range(-2, 3) if a or b]
        assert torch.allclose(seen.around[:, :, u, v], torch.stack(near).mean(0), rtol=1e-3)
        assert torch.allclose(torch.fft.fft2(seen.blocks)[:, :, u, v].abs().square(),
                              power[:, :, 4 * u, 5 * v], rtol=1e-3, atol=1e-5)  # fmt: skip


def test_the_autocovariance_is_a_mean_of_products() -> None:
    x = torch.randn(2, 3, 24, 20, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    seen, d = Sight.of(x), fine(x)
    assert seen is not None
    window = x[:, :, 3:8, 6:11].mean((2, 3))
    assert torch.allclose(d[:, :, 5, 8], x[:, :, 5, 8] - window, atol=1e-6)
    for k, lag in enumerate(LAGS[:6]):
        down = (d[:, :, lag:] * d[:, :, : 24 - lag]).mean((1, 2, 3))
        across = (d[..., lag:] * d[..., : 20 - lag]).mean((1, 2, 3))
        assert torch.allclose(seen.detail[:, :, k], torch.stack([down, across], 1), atol=1e-5)


def test_a_grid_that_all_pictures_share_is_no_repetition() -> None:
    """Fine detail with a common grid: half of it repeats, but not of a picture's own."""
    rng = torch.Generator().manual_seed(0)
    noise = 0.1 * torch.randn(400, 1, 32, 32, generator=rng)
    common = 0.1 * torch.randn(1, 1, 8, 8, generator=rng).repeat(1, 1, 4, 4)
    own = 0.1 * torch.randn(400, 1, 8, 8, generator=rng).repeat(1, 1, 4, 4)
    found = [repeated(seen) for y in (noise, noise + common, noise + own) if (seen := Sight.of(y))]
    assert max(map(abs, found[0])) < 0.03 and max(map(abs, found[1])) < 0.03
    assert all(0.4 < r < 0.7 for r in found[2]), "half of the variance is repeated"


@pytest.mark.parametrize(("h", "w", "c"), [(16, 16, 1), (17, 30, 3), (28, 28, 1), (32, 24, 4), (100, 64, 2)])
def test_any_size_from_sixteen_pixels(h: int, w: int, c: int) -> None:
    rng = torch.Generator().manual_seed(0)
    x = (torch.nn.functional.avg_pool2d(torch.randn(120, c, h + 4, w + 4, generator=rng), 5, 1)).clamp(-1, 1)
    found = scores(x[:60], x[60:])
    assert all(0.7 < value < 1.4 for value in found.values()), found
    bad = x[60:].clone()
    bad[:, : 3 if c > 2 else 1] += 0.3 * (torch.arange(w) % 2 * 2.0 - 1)  # alpha is left
    assert scores(x[:60], bad)["lattice"] > 2
    assert Sight.of(x[..., :15]) is None


def test_pictures_of_one_colour_are_flat_twins() -> None:
    x = torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = scores(x, torch.zeros_like(x))
    assert found["contrast"] > 100 and found["near-twins"] > 5 and found["lattice"] < 1.01
    assert all(np.isfinite(list(scores(torch.zeros_like(x), x).values())))


def test_contrast_says_which_way(digits: tuple[Tensor, Tensor]) -> None:
    real, fake = map(sight, digits)
    flat = sight(0.5 * digits[1])
    assert strength(real, flat) == pytest.approx(0.5 * strength(real, fake), rel=0.02)
    metric = METRICS["contrast"]
    assert "too flat" in metric.seen(real, flat) and "too strong" in metric.seen(flat, real)
    assert metric.compare(real, flat) == pytest.approx(metric.compare(flat, real))


def test_sights_of_parts_are_the_sight_of_the_whole(digits: tuple[Tensor, Tensor]) -> None:
    x = digits[0][:50]
    whole, parts = Sight.of(x), [seen for rows in x.split(7) if (seen := Sight.of(rows))]
    assert whole and all(torch.allclose(a, b, atol=1e-6) for a, b in zip(whole, joined(parts), strict=True))
    assert torch.equal(whole.rows(torch.tensor([3, 1])).thumb, whole.thumb[[3, 1]])


def test_an_evaluation_tells_them_with_interval_and_floor(digits: tuple[Tensor, Tensor]) -> None:
    real = images(to_bytes(torch.cat(digits)))
    bad = images(to_bytes(plant(digits[1], "lattice", 0.2)))
    *_, done = evaluate(from_images(bad), real, extractor=RandomFeatures(), n=N, metrics=[*FAULTS.values()])
    assert isinstance(done, Scored)
    by = {score.label: score for score in done.scores}
    assert list(by) == list(FAULTS)
    assert by["lattice"].low > ALIKE > by["lattice"].floor and "grid" in by["lattice"].verdict
    for name in ("tiling", "contrast"):
        assert by[name].low < 1.1 and by[name].value < ALIKE and by[name].verdict == "like real pictures"
        assert by[name].floor == pytest.approx(1, abs=0.1) and by[name].low < by[name].value < by[name].high
    text = table(done.scores, done.withheld)
    assert text.count("pixels, as they are") == 1 and "like real pictures" in text


def test_too_small_pictures_are_withheld_with_one_line() -> None:
    small = images(np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8))
    *_, done = evaluate(from_images(small), small, extractor=RandomFeatures(), n=40, metrics=[*FAULTS.values()])
    assert isinstance(done, Scored) and not done.scores and len(done.withheld) == len(FAULTS)
    assert table(done.scores, done.withheld).splitlines() == [
        f"withheld: {', '.join(FAULTS)}: pictures are smaller than 16 pixels a side"
    ]


def test_the_interval_holds_the_score_of_fresh_pictures(digits: tuple[Tensor, Tensor]) -> None:
    """Of the tone scores, whose pictures are independent: 95 % intervals hold the mean in most of 30 draws."""
    pool = torch.cat(digits)
    flat = 0.8 * pool
    metric, held, values = METRICS["contrast"], [], []
    rng = torch.Generator().manual_seed(3)
    readings = []
    for _ in range(30):
        a, b = (torch.randperm(len(pool), generator=rng)[:200] for _ in range(2))
        real, fake = (Seen(torch.zeros(200, 1), sight=sight(x)) for x in (pool[a], flat[b]))
        readings.append(metric.score(Sets(real, fake, (real, real))))
    values = [reading.value for reading in readings]
    held = [reading.low <= sum(values) / len(values) <= reading.high for reading in readings]
    assert sum(held) >= 25
