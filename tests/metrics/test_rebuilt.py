"""Scores of reconstructions: means of known distances, and the perceptual one against its formula."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from limner.core.errors import UserError
from limner.core.pixels import psnr
from limner.distances.lpips import LPIPS
from limner.distances.msssim import MSSSIM
from limner.distances.ssim import SSIM
from limner.metrics.base import Seen, Sets
from limner.metrics.rebuilt import RebuiltLPIPS, RebuiltMSSSIM, RebuiltPSNR, RebuiltSSIM


def pairs(size: int = 28) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(12, 1, size, size, generator=rng) * 2 - 1
    return x, (x + 0.2 * torch.randn(x.shape, generator=rng)).clamp(-1, 1)


@pytest.mark.parametrize("metric", [RebuiltPSNR(), RebuiltSSIM(), RebuiltMSSSIM()], ids=lambda m: type(m).__name__)
def test_the_mean_of_pairs_beside_another_picture(metric: RebuiltPSNR | RebuiltSSIM | RebuiltMSSSIM) -> None:
    x, made = pairs()
    side = Seen(torch.zeros(12, 2))
    found = metric.score(Sets(side, side, (side, side), rebuilt=(x, made)))
    want = {RebuiltPSNR: psnr, RebuiltSSIM: lambda a, b: 1 - SSIM()(a, b)}
    want[RebuiltMSSSIM] = lambda a, b: 1 - MSSSIM()(a, b)
    assert found.value == pytest.approx(float(want[type(metric)](x, made).mean()), abs=1e-6)
    assert found.floor == pytest.approx(float(want[type(metric)](x, x.roll(1, 0)).mean()), abs=1e-6)
    assert found.low < found.value < found.high and found.floor < found.value and found.n == 12
    same = metric.score(Sets(side, side, (side, side), rebuilt=(x, x)))
    assert same.value == pytest.approx(100 if isinstance(metric, RebuiltPSNR) else 1)


def by_windows(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Mean over windows of brightness times contrast and shape, and of contrast and shape: Wang et al., eq. 5 to 9."""
    at = np.arange(11) - 5
    bell = np.exp(-(at**2) / (2 * 1.5**2))
    weight = np.outer(bell, bell) / bell.sum() ** 2
    views = [np.lib.stride_tricks.sliding_window_view(v, (11, 11)).reshape(-1, 11, 11) for v in (x, y)]
    whole, shape = [], []
    for a, b in zip(*views, strict=True):
        mean_a, mean_b = (weight * a).sum(), (weight * b).sum()
        var_a, var_b = (weight * (a - mean_a) ** 2).sum(), (weight * (b - mean_b) ** 2).sum()
        both = (weight * (a - mean_a) * (b - mean_b)).sum()
        shape.append((2 * both + 0.03**2) / (var_a + var_b + 0.03**2))
        whole.append(shape[-1] * (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2))
    return float(np.mean(whole)), float(np.mean(shape))


def test_multi_scale_similarity_by_windows() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((12, 12)).repeat(4, 0).repeat(4, 1)
    y = (x + 0.1 * rng.standard_normal(x.shape)).clip(0, 1)
    got = 1 - MSSSIM()(*(torch.from_numpy(2 * v - 1).float()[None, None] for v in (x, y)))
    weights, want = np.array([0.0448, 0.2856, 0.3001]), 1.0
    for scale, power in enumerate(weights / weights.sum()):
        whole, shape = by_windows(x, y)
        want *= (whole if scale == 2 else shape) ** power
        x, y = (v.reshape(len(v) // 2, 2, -1, 2).mean((1, 3)) for v in (x, y))
    assert float(got) == pytest.approx(want, abs=1e-5)


def test_small_pictures_have_fewer_scales() -> None:
    x, y = pairs(16)
    torch.testing.assert_close(MSSSIM()(x, y), SSIM()(x, y), atol=1e-5, rtol=0)
    assert not torch.allclose(MSSSIM(5)(x, y), SSIM(5)(x, y), atol=1e-3)


def alexnet() -> nn.Sequential:
    """The convolutions of torchvision's AlexNet, with weights that were drawn."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(),
        nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU(), nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU(),
    )  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    net = {f"features.{k}": v for k, v in alexnet().state_dict().items()}
    heads = {f"v0.1.alex.lin{i}.model.1.weight": torch.rand(1, c, 1, 1) for i, c in enumerate((64, 192, 384, 256, 256))}
    for name, state in (("net", net), ("heads", heads)):
        save_file(state, tmp_path / f"{name}.safetensors")
    return str(tmp_path / "net.safetensors"), str(tmp_path / "heads.safetensors")


@torch.no_grad()
def test_lpips_is_its_formula(files: tuple[str, str]) -> None:
    from safetensors.torch import load_file

    x, y = (2 * torch.rand(2, 3, 64, 64) - 1 for _ in range(2))
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    heads, net, want = load_file(files[1]), alexnet(), torch.zeros(2)
    a, b = ((v - shift[:, None, None]) / scale[:, None, None] for v in (x, y))
    tap = 0
    for i, layer in enumerate(net):
        a, b = layer(a), layer(b)
        if i in (1, 4, 7, 9, 11):
            weight = heads[f"v0.1.alex.lin{tap}.model.1.weight"]
            unit = [v / (v.norm(dim=1, keepdim=True) + 1e-10) for v in (a, b)]
            want += ((unit[0] - unit[1]).square() * weight).sum(1).mean((1, 2))
            tap += 1
    torch.testing.assert_close(LPIPS(*files)(x, y), want, atol=1e-5, rtol=1e-4)
    assert LPIPS(*files)(x, x).abs().max() == 0
    side = Seen(torch.zeros(2, 2))
    found = RebuiltLPIPS(*files).score(Sets(side, side, (side, side), rebuilt=(x, y)))
    assert found.value == pytest.approx(float(want.mean()), rel=1e-4)


def test_the_heads_of_the_paper_fit(files: tuple[str, str], shared: Path) -> None:
    heads = shared / "data" / "weights" / "lpips-linear-heads.safetensors"
    x = 2 * torch.rand(2, 1, 64, 64) - 1
    assert (LPIPS(files[0], str(heads))(x, -x) > 0).all()


def test_wrong_files_are_named(files: tuple[str, str], tmp_path: Path) -> None:
    x = torch.zeros(1, 3, 64, 64)
    with pytest.raises(UserError, match="no known backbone"):
        LPIPS(files[1], files[1])(x, x)
    with pytest.raises(UserError, match="give the linear heads of LPIPS for alex"):
        LPIPS(files[0], files[0])(x, x)
    with pytest.raises(UserError, match="there is no such file"):
        LPIPS(str(tmp_path / "none.pth"), files[1])(x, x)
