"""Features of pictures: what an encoder believes of their codes, what a critic's last layer reads, and the rivals.

Pictures pass in blocks of one size, so that a picture's row is the same to the last bit in any company.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8

from limner.baselines.base import scikit
from limner.core.errors import UserError
from limner.core.pixels import Image, to_float
from limner.models.base import Critic, Encoder, Model

Rows = Float[np.ndarray, "_ d"]
Bytes = UInt8[np.ndarray, "_ h w c"]
Look = Callable[[Bytes], Rows]
BLOCK = 256
PCA_FROM = 10_000
"""Most pictures that principal components are computed from."""


@dataclass(frozen=True)
class View:
    """A way to look at pictures.

    name: as a table calls it
    rows: of pictures uint8 (n, h, w, c), float32 (n, d)
    """

    name: str
    rows: Look


def readers(nets: Mapping[str, Model], role: str | None = None) -> dict[str, Encoder | Critic]:
    """The networks that have features: the encoder, the critic, or the one that `role` names.

    Raises UserError when the model has none such.
    """
    there = {name: net for name, net in nets.items() if name in ("encoder", "critic")}
    found = {name: net for name, net in there.items() if isinstance(net, (Encoder, Critic))}
    if role is not None and role not in found:
        raise UserError(f"--role {role}: this model has no {role} that reads pictures; it has {', '.join(nets)}")
    if not found:
        raise UserError(
            f"this model has neither an encoder nor a critic that reads pictures, only {', '.join(nets)}; "
            "train one with --recipe vae, autoencoder or default"
        )
    return found if role is None else {role: found[role]}


def features(net: Encoder | Critic, pixels: Bytes) -> Rows:
    """An encoder's mean code or a critic's features, float32 (n, d)."""
    home = next(net.parameters()).device
    parts: list[Rows] = []
    for start in range(0, len(pixels), BLOCK):
        some = np.ascontiguousarray(pixels[start : start + BLOCK])
        filled = np.concatenate([some, np.zeros((BLOCK - len(some), *some.shape[1:]), np.uint8)])
        with torch.inference_mode():
            x = to_float(filled, home)
            found = net(x).mean if isinstance(net, Encoder) else net.features(x)
        parts.append(found.flatten(1)[: len(some)].float().cpu().numpy())
    return np.concatenate(parts)


def plain(pixels: Bytes) -> Rows:
    """The pixels themselves in [-1, 1]."""
    return (pixels.reshape(len(pixels), -1) / np.float32(127.5) - 1).astype(np.float32)


def views(nets: Mapping[str, Encoder | Critic], image: Image, pixels: Bytes) -> tuple[list[View], list[str]]:
    """Each network's features, raw pixels, and as many principal components of `pixels` as each network has features.

    And notes, in plain words, of what could not be compared so.
    """
    found = [View(f"{role} ({width(net, image)})", _looking(net)) for role, net in nets.items()]
    widths = sorted({width(net, image) for net in nets.values()})
    found.append(View(f"raw pixels ({image.size})", plain))
    most = min(image.size, len(pixels)) - 1
    notes = [f"no PCA beside {d} features: these pictures have at most {most} components" for d in widths if d > most]
    return found + [components(pixels, d) for d in widths if d <= most], notes


def width(net: Encoder | Critic, image: Image) -> int:
    """How many features a network has."""
    return features(net, np.zeros((1, image.height, image.width, image.channels), np.uint8)).shape[1]


def components(pixels: Bytes, count: int) -> View:
    """The first principal components; labels have no part in them."""
    rows = np.unique(np.linspace(0, len(pixels) - 1, min(len(pixels), PCA_FROM)).astype(np.int64))
    fitted = scikit("decomposition").PCA(count, random_state=0).fit(plain(pixels[rows]))
    return View(f"PCA ({count})", lambda some: fitted.transform(plain(some)).astype(np.float32))


def _looking(net: Encoder | Critic) -> Look:
    return lambda pixels: features(net, pixels)
