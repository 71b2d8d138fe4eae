"""Networks read from files: their layouts, their numbers on real pictures, and what is refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image as Pillow
from safetensors.torch import save_file

from limner.core.errors import UserError
from limner.core.pixels import to_float
from limner.data.images import Images
from limner.metrics.inception import Inception, tensorflow_resize
from limner.metrics.weights import WeightsFile


@pytest.fixture(scope="module")
def inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the layout of FID's Inception, with batch norms that do something."""
    state = Inception().state_dict()
    for name, value in state.items():
        if name.endswith("running_mean"):
            value.normal_(0, 0.1)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
    path = tmp_path_factory.mktemp("weights") / "random-inception.pth"
    torch.save({k: v for k, v in state.items() if "num_batches" not in k}, path)
    return path


def test_inception_is_recognised_and_gives_the_last_pool(inception: Path) -> None:
    features = WeightsFile(str(inception))
    assert features.name == "random-inception"
    x = torch.rand(2, 1, 28, 28) * 2 - 1
    got = features(x)
    assert got.shape == (2, 2048) and got.std() > 1e-4
    torch.testing.assert_close(features(x.expand(-1, 3, -1, -1)), got)


def test_inception_equals_torch_fidelity(
    inception: Path, fidelity: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    theirs = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3").FeatureExtractorInceptionV3
    state = Inception().state_dict() | torch.load(inception, weights_only=True)
    torch.save(state, tmp_path / "all.pth")
    pixels = torch.randint(0, 256, (2, 3, 32, 40), dtype=torch.uint8)
    (want,) = theirs("theirs", ["2048"], str(tmp_path / "all.pth"))(pixels)
    ours = WeightsFile(str(inception))(pixels.float() / 127.5 - 1)
    torch.testing.assert_close(ours, want, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("h", "w", "size"), [(2, 2, 4), (28, 28, 299), (400, 320, 299)])
def test_resize_like_tensorflow_1(h: int, w: int, size: int) -> None:
    x = torch.rand(1, 1, h, w)
    got = tensorflow_resize(x, size)[0, 0]
    for i, j in [(0, 0), (1, 2), (size - 1, size - 1), (size // 2, size // 3)]:
        r, c = i * h / size, j * w / size
        top, left = int(r), int(c)
        low, right = min(top + 1, h - 1), min(left + 1, w - 1)
        p = x[0, 0]
        above = p[top, left] + (p[top, right] - p[top, left]) * (c - left)
        below = p[low, left] + (p[low, right] - p[low, left]) * (c - left)
        assert float(got[i, j]) == pytest.approx(float(above + (below - above) * (r - top)), abs=1e-4)


def test_lenet_reads_mnist(shared: Path, mnist_test: Images) -> None:
    features = WeightsFile(str(shared / "data" / "weights" / "mnist-lenet5.safetensors"))
    x = to_float(mnist_test.pixels)
    assert features(x[:5]).shape == (5, 84)
    with torch.inference_mode():
        called = features.network.logits(x).argmax(1).numpy()
    assert (called == mnist_test.labels).mean() == pytest.approx(0.9879, abs=1e-9)


def test_mobilenet_calls_daisies_daisies(shared: Path) -> None:
    features = WeightsFile(str(shared / "data" / "weights" / "mobilenet_v2-imagenet-fp16.safetensors"))
    with zipfile.ZipFile(shared / "data" / "flowers" / "flowers-fullsize-40.zip") as archive:
        names = [n for n in archive.namelist() if "daisy" in n and n.endswith(".jpg")]
        pictures = [Pillow.open(io.BytesIO(archive.read(n))).convert("RGB") for n in names]
    x = torch.cat([centre(to_float(np.asarray(p)[None].copy())) for p in pictures])
    with torch.inference_mode():
        called = features.network.logits(x).argmax(1)
    assert features(x).shape == (8, 1280)
    assert int((called == 985).sum()) == 7  # ImageNet's class 985 is daisy; the data's README counts 7 of 8


def centre(x: torch.Tensor) -> torch.Tensor:
    """ImageNet's usual view: shorter side 256, middle 224."""
    h, w = x.shape[2:]
    scale = 256 / min(h, w)
    x = F.interpolate(x, (round(h * scale), round(w * scale)), mode="bilinear", antialias=True)
    top, left = (x.shape[2] - 224) // 2, (x.shape[3] - 224) // 2
    return x[:, :, top : top + 224, left : left + 224]


def test_digest_follows_the_weights(inception: Path, tmp_path: Path) -> None:
    state = torch.load(inception, weights_only=True)
    save_file(state, tmp_path / "same.safetensors")
    state["fc.bias"] = state["fc.bias"] + 1e-3
    save_file(state, tmp_path / "other.safetensors")
    digest = WeightsFile(str(inception)).digest
    assert WeightsFile(str(tmp_path / "same.safetensors")).digest == digest
    assert WeightsFile(str(tmp_path / "other.safetensors")).digest != digest


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("a weights file ran code",))


def test_refused_in_one_line(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3)}, tmp_path / "odd.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    (tmp_path / "empty.pth").write_bytes(b"")
    torch.save(Trap(), tmp_path / "trap.pth")
    torch.save({"a": [1, 2]}, tmp_path / "list.pth")
    said = {"odd.safetensors": "MobileNetV2", "text.safetensors": "not a safe", "empty.pth": "not a safe",
            "trap.pth": "not a safe", "list.pth": "named tensors", "gone.pth": "no such file"}  # fmt: skip
    for name, words in said.items():
        with pytest.raises(UserError, match=words) as error:
            WeightsFile(str(tmp_path / name)).network  # noqa: B018
        assert name in str(error.value) and "\n" not in str(error.value)
