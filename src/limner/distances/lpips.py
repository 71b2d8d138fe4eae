"""Learned perceptual distance: features of a classifier, compared layer by layer weighted as people see.

The weights are not part of Limner: the backbone is torchvision's AlexNet or VGG16, the heads are those of the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from limner.core.errors import UserError
from limner.core.spec import register
from limner.distances.base import Distance, Pictures

Named = dict[str, Tensor]
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""What the backbones' own normalisation is on the [-1, 1] range."""
BLOCKS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
VGG = tuple(step for block in BLOCKS for step in (*(("pool2",) if block[0] else ()), *block, "tap"))
LAYOUTS: dict[str, tuple[tuple[int | str, ...], dict[int, tuple[int, int]]]] = {
    "alex": ((0, "tap", "pool3", 3, "tap", "pool3", 6, "tap", 8, "tap", 10, "tap"), {0: (4, 2), 3: (1, 2)}),
    "vgg": (VGG, {}),
}
"""Convolutions by their number in `features`, each with a rectifier behind it; (stride, padding) where not (1, 1)."""


@register
@dataclass(frozen=True)
class LPIPS(Distance):
    """Learned perceptual distance, version 0.1, 0 for equal pictures (Zhang et al. 2018, eq. 1).

    backbone: file of torchvision's AlexNet or VGG16 weights, .safetensors or .pth
    heads: file of the linear heads, with names as `v0.1.alex.lin0.model.1.weight`
    """

    backbone: str
    heads: str

    def __call__(self, x: Pictures, y: Pictures) -> Float[Tensor, " n"]:
        """Raises UserError for files that are not what they should be."""
        name, weights, heads = _loaded(self.backbone, self.heads)
        total = torch.zeros(len(x), device=x.device)
        for a, b, head in zip(_layers(x, name, weights), _layers(y, name, weights), heads, strict=True):
            total = total + F.conv2d((a - b).square(), head.to(x.device)).mean((1, 2, 3))
        return total


def _layers(x: Pictures, name: str, weights: Named) -> list[Float[Tensor, "n _ _ _"]]:
    """Responses at the taps, scaled to length 1 at each place."""
    x = x.float().expand(-1, 3, -1, -1) if x.shape[1] == 1 else x[:, :3].float()
    shift, scale = (torch.tensor(v, device=x.device).view(1, 3, 1, 1) for v in (SHIFT, SCALE))
    x = (x - shift) / scale
    steps, shapes = LAYOUTS[name]
    taps: list[Tensor] = []
    for step in steps:
        if step == "tap":
            taps.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        elif isinstance(step, str):
            x = F.max_pool2d(x, int(step[-1]), 2)
        else:
            stride, padding = shapes.get(step, (1, 1))
            kernel, bias = (weights[f"features.{step}.{part}"].to(x.device) for part in ("weight", "bias"))
            x = F.relu(F.conv2d(x, kernel, bias, stride, padding))
    return taps


@lru_cache(maxsize=2)
def _loaded(backbone: str, heads: str) -> tuple[str, Named, list[Tensor]]:
    """Which network it is, its weights and its heads."""
    weights, found = _read(backbone), _read(heads)
    first = weights.get("features.0.weight")
    name = "" if first is None else {11: "alex", 3: "vgg"}.get(first.shape[-1], "")
    steps = LAYOUTS[name][0] if name else ()
    if not name or any(f"features.{s}.weight" not in weights for s in steps if isinstance(s, int)):
        raise UserError(f"{backbone}: weights of no known backbone; give torchvision's AlexNet or VGG16")
    wanted = [f"v0.1.{name}.lin{i}.model.1.weight" for i in range(5)]
    if any(key not in found for key in wanted):
        raise UserError(f"{heads}: has no {wanted[0]}; give the linear heads of LPIPS for {name}")
    return name, weights, [found[key] for key in wanted]


def _read(path: str) -> Named:
    if not Path(path).is_file():
        raise UserError(f"{path}: there is no such file of weights")
    try:
        state = load_file(path) if path.endswith(".safetensors") else torch.load(path, "cpu", weights_only=True)
    except Exception:  # torch.load raises a pickle's errors, zip's and its own on files that are not what they seem
        raise UserError(f"{path}: not a safetensors file nor a plain state dict of tensors") from None
    return {k: v.float() for k, v in state.items()}
