"""What extractors do to images before they look, and how they name themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, "n _ _ _"]


def three_channels(x: Images) -> Images:
    """Grey becomes three equal channels; alpha is laid on white."""
    x = on_white(x)
    return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x


def on_white(x: Images) -> Images:
    """Pictures with alpha are laid on white, others left."""
    if x.shape[1] in (2, 4):
        alpha = (x[:, -1:] + 1) / 2
        x = x[:, :-1] * alpha + (1 - alpha)
    return x


def at_most(x: Images, longest: int) -> Images:
    """Images with a longer side above `longest` pixels are reduced to it (bilinear, antialiased), others left."""
    h, w = x.shape[2:]
    if max(h, w) <= longest:
        return x
    scale = longest / max(h, w)
    size = (max(8, round(h * scale)), max(8, round(w * scale)))
    return F.interpolate(x, size, mode="bilinear", antialias=True)


def digest_of(rule: str, weights: Iterable[Tensor]) -> str:
    """16 hexadecimal digits that depend on the rule's words and on every number."""
    h = hashlib.blake2b(rule.encode(), digest_size=8)
    for weight in weights:
        h.update(weight.detach().cpu().contiguous().numpy().tobytes())
    return h.hexdigest()
