"""deepinv's operators of the same name give the same numbers, and are taken as operators; needs `pip install deepinv`.

deepinv imports torchvision when it is imported, for its plots. Where there is none, the parts that do without are
loaded by themselves: its packages stand in sys.modules with their folders, and their `__init__` is not run.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from limner.operators.base import as_operator
from limner.operators.blur import Blur
from limner.operators.mask import Mask
from limner.operators.projection import Project
from limner.operators.resample import Downsample

PACKAGES = ("deepinv", "deepinv.physics", "deepinv.utils", "deepinv.optim")


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


@pytest.fixture(scope="module")
def whole() -> Any:
    """All of deepinv's physics."""
    try:
        return importlib.import_module("deepinv.physics")
    except Exception as error:
        pytest.skip(f"deepinv cannot be imported whole: {error}")


@pytest.fixture
def parts() -> Iterator[Any]:
    """`parts("functional")`: a module of deepinv.physics that does without torchvision."""
    found = importlib.machinery.PathFinder.find_spec("deepinv")
    if found is None or not found.submodule_search_locations:
        pytest.skip("deepinv is not installed: pip install --no-deps deepinv")
    (folder, *_) = found.submodule_search_locations
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "deepinv"}
    for name in before:
        del sys.modules[name]
    for name in PACKAGES:
        package = types.ModuleType(name)
        package.__path__ = ["/".join([folder, *name.split(".")[1:]])]
        sys.modules[name] = package

    def part(name: str) -> Any:
        try:
            return importlib.import_module(f"deepinv.physics.{name}")
        except ImportError as error:
            pytest.skip(f"deepinv.physics.{name} cannot be imported: {error}")

    yield part
    for name in [name for name in sys.modules if name.split(".")[0] == "deepinv"]:
        del sys.modules[name]
    sys.modules.update(before)


def test_inpainting_and_blur(whole: Any) -> None:
    x, mine = pictures(2, 3, 24, 24), Mask(random=0.4)
    theirs = whole.Inpainting(img_size=(3, 24, 24), mask=mine.kept(x)[0].expand(3, 24, 24))
    torch.testing.assert_close(as_operator(theirs).measure(x), mine.measure(x))
    blur = Blur(1.5)
    theirs = whole.Blur(filter=blur.kernel()[None, None], padding="replicate")
    y = pictures(2, 3, 24, 24, seed=1)
    torch.testing.assert_close(as_operator(theirs).measure(x), blur.measure(x))
    torch.testing.assert_close(as_operator(theirs).adjoint(y, x), blur.adjoint(y, x))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("blur", [Blur(0.7), Blur(1.5), Blur(motion=7.0, angle=30.0)], ids=str)
def test_its_convolution_is_our_blur(parts: Any, blur: Blur) -> None:
    functional, x, y = parts("functional"), pictures(2, 3, 24, 19), pictures(2, 3, 24, 19, seed=1)
    kernel = blur.kernel()[None, None]
    torch.testing.assert_close(functional.conv2d(x, kernel, padding="replicate"), blur.measure(x))
    torch.testing.assert_close(functional.conv_transpose2d(y, kernel, padding="replicate"), blur.adjoint(y, x))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("factor", [2, 4])
def test_its_bicubic_reduction_is_ours_away_from_the_edge(parts: Any, factor: int) -> None:
    x = pictures(2, 3, 48, 40)
    theirs = parts("functional").imresize_matlab(x, scale=1 / factor)
    mine = Downsample(factor).measure(x)
    assert theirs.shape == mine.shape
    # at the edge it reflects the picture, as MATLAB does, where we and Pillow renormalise the kernel
    torch.testing.assert_close(theirs[:, :, 2:-2, 2:-2], mine[:, :, 2:-2, 2:-2], rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_its_compressed_sensing_is_our_projection_and_is_taken_as_an_operator(parts: Any) -> None:
    x, mine = pictures(3, 1, 9, 8), Project(20)
    theirs = parts("compressed_sensing").CompressedSensing(m=20, img_size=(1, 9, 8), dtype=torch.float64)
    assert theirs._A.std().item() == pytest.approx(20**-0.5, rel=0.05), "the same law: N(0, 1/m)"
    theirs._A.copy_(mine.matrix(72))
    theirs._A_adjoint.copy_(mine.matrix(72).T)
    operator, y = as_operator(theirs), pictures(3, 20, seed=1)
    torch.testing.assert_close(operator.measure(x), mine.measure(x))
    torch.testing.assert_close(operator.adjoint(y, x), mine.adjoint(y, x))
    both = as_operator(theirs) @ Mask()
    torch.testing.assert_close(both.measure(x), mine.measure(Mask().measure(x)))
    torch.testing.assert_close((both.measure(x) * y).sum(), (x * both.adjoint(y, x)).sum())
