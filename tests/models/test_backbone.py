"""The frozen backbone: the network that its weights say it is, and gradients as autograd has them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from limner.core.errors import UserError
from limner.metrics.mobilenet import MobileNetV2
from limner.models import backbone as module
from limner.models.backbone import CHANNELS, FILE, SHRINKS, STAGES, backbone, digest, resized


def by_autograd(x: Tensor) -> list[Tensor]:
    """The same trunk written down plainly, with torch's own convolutions."""
    state = {k: v.float() for k, v in load_file(FILE).items()}
    place = 0

    def convolved(x: Tensor, stride: int, groups: int, rectified: bool) -> Tensor:
        nonlocal place
        weight, bias = state[f"{place}.weight"], state[f"{place}.bias"]
        place += 1
        y = F.conv2d(x, weight, bias, stride, weight.shape[2] // 2, 1, groups)
        return F.relu6(y) if rectified else y

    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = convolved(((x + 1) / 2 - mean[:, None, None]) / std[:, None, None], 2, 1, True)
    maps, block = [], 0
    for expansion, _, repeats, stride in STAGES:
        for k in range(repeats):
            y = convolved(x, 1, 1, True) if expansion > 1 else x
            y = convolved(y, stride if k == 0 else 1, y.shape[1], True)
            y = convolved(y, 1, 1, False)
            x = x + y if y.shape == x.shape and (k > 0 or stride == 1) else y
            block += 1
            if block in (3, 6, 13, 17):
                maps.append(x)
    return maps


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (33, 47), (96, 40)])
def test_maps_and_gradients_are_those_of_plain_convolutions(size: tuple[int, int]) -> None:
    x = (torch.rand(3, 3, *size) * 2 - 1).requires_grad_()
    found, wanted = backbone(x)(x), by_autograd(x)
    for a, b, channels, shrink in zip(found, wanted, CHANNELS, SHRINKS, strict=True):
        assert a.shape[1] == channels and a.shape[2] == -(-size[0] // shrink)
        assert (a - b).abs().max() <= 1e-4 * b.abs().max()
    weights = [torch.randn_like(b) for b in wanted]
    slopes = [
        torch.autograd.grad(sum((m * w).sum() for m, w in zip(maps, weights, strict=True)), x)[0]
        for maps in (found, wanted)
    ]
    assert (slopes[0] - slopes[1]).norm() <= 1e-4 * slopes[1].norm()


def test_without_packed_kernels_it_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch's compiler uses is not promised to stay: there must be a way without it."""
    x = (torch.rand(2, 3, 64, 64) * 2 - 1).requires_grad_()
    packed = backbone(x)(x)
    slope = torch.autograd.grad(packed[-1].sum(), x)[0]
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    plain = module._built.__wrapped__(x.device, torch.float32)(x)
    torch.testing.assert_close(plain[-1], packed[-1], rtol=1e-4, atol=1e-5)
    other = torch.autograd.grad(plain[-1].sum(), x)[0]
    assert (slope - other).norm() <= 1e-4 * other.norm()


def test_autocast_chooses_the_precision() -> None:
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    exact = backbone(x)(x)[3]
    with torch.autocast("cpu", torch.bfloat16):
        rough = backbone(x)(x)[3]
    assert exact.dtype == torch.float32 and rough.dtype == torch.bfloat16
    assert 0 < (exact - rough.float()).norm() < 0.1 * exact.norm()


def test_it_is_mobilenet(shared: Path) -> None:
    """Folded batch norm in half precision against the original layers, on real photographs' numbers."""
    net = MobileNetV2().eval()
    state = load_file(shared / "data" / "weights" / "mobilenet_v2-imagenet-fp16.safetensors")
    net.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    x = torch.rand(4, 3, 64, 64) * 2 - 1
    y = ((x + 1) / 2 - net.mean) / net.std
    for k, layer in enumerate(net.features[:18]):
        y = layer(y)
        if k in (3, 6, 13, 17):
            found = backbone(x)(x)[(3, 6, 13, 17).index(k)]
            assert (found - y).norm() < 0.01 * y.norm()


def test_sizes_and_channels() -> None:
    assert resized(torch.zeros(1, 1, 20, 28), 64).shape == (1, 3, 64, 90)
    assert resized(torch.zeros(1, 4, 64, 64), 64).shape == (1, 3, 64, 64)
    assert resized(torch.zeros(1, 3, 300, 100), 10).shape == (1, 3, 32, 32)
    grey = torch.rand(1, 1, 32, 32)
    assert torch.equal(resized(grey, 32), grey.expand(-1, 3, -1, -1))


@pytest.mark.parametrize("damage", ["missing", "cut", "empty"])
def test_bad_weights_are_one_line(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mobilenet_v2.safetensors"
    if damage != "missing":
        file.write_bytes(FILE.read_bytes()[: 1000 if damage == "cut" else 0])
    monkeypatch.setattr(module, "FILE", file)
    with pytest.raises(UserError, match=r"mobilenet_v2\.safetensors.*install Limner again"):
        module._built.__wrapped__(torch.device("cpu"), torch.float32)


def test_its_digest_is_that_of_the_file() -> None:
    assert len(digest()) == 64 and digest() == digest()
