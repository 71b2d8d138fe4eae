"""Makes src/limner/models/mobilenet_v2.safetensors: torchvision's MobileNetV2, batch norm folded, half precision.

    python benchmarks/make_backbone.py mobilenet_v2-b0353104.pth

Accepts torchvision's file or a safetensors copy of it with the same names. Each convolution and the batch norm behind
it become one convolution with a bias; they are named 0, 1, 2, … in the order in which they act. The last 1×1 layer (to
1,280 channels) and the classifier are left out: nothing in Limner reads them from this file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from limner.models.backbone import FILE

EPSILON = 1e-5
"""Of torchvision's batch norm."""


def main(source: str) -> None:
    state = load_file(source) if source.endswith(".safetensors") else torch.load(source, "cpu", weights_only=True)
    folded: dict[str, torch.Tensor] = {}
    wanted = [name for name in state if name.startswith("features.") and not name.startswith("features.18.")]
    # a file may hold its tensors in any order: features.2 is before features.10
    trunk = sorted(wanted, key=lambda name: [int(part) for part in name.split(".") if part.isdecimal()])
    convolutions = [name for name in trunk if state[name].ndim == 4]
    norms = [name.removesuffix(".running_var") for name in trunk if name.endswith(".running_var")]
    for k, (convolution, norm) in enumerate(zip(convolutions, norms, strict=True)):
        scale = state[f"{norm}.weight"].double() / (state[f"{norm}.running_var"].double() + EPSILON).sqrt()
        folded[f"{k}.weight"] = (state[convolution].double() * scale[:, None, None, None]).half().contiguous()
        bias = state[f"{norm}.bias"].double() - state[f"{norm}.running_mean"].double() * scale
        folded[f"{k}.bias"] = bias.half()
    save_file(folded, FILE, {"source": Path(source).name, "licence": "BSD-3-Clause, see NOTICE"})
    FILE.chmod(0o644)  # safetensors makes files that only their owner can read
    print(f"{FILE}: {len(convolutions)} convolutions, {FILE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
