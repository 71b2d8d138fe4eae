"""What a generator's first layers make of a point, found by watching it run: any family, and a user's own.

The first affine layers are those that read the point itself (in styles: every modulation), or else the first one that
runs; their matrix is read off the unit vectors. What the next layer reads are the first activations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.core.errors import UserError
from limner.core.rng import generator as random_of
from limner.explore.ascents import Points
from limner.explore.spaces import Space
from limner.models.base import Generator, Labels

BLOCK = 128
"""Points shown at once."""
SMALL = 0.05
"""Length of the steps by which a network without layers is made linear about the middle."""
BENT, BENT_WHOLE = 1e-3, 0.5
"""A layer whose output misses an affine map by more than this share is none; a network, whose pixels are cut."""

Layers = list[tuple[Tensor, Tensor]]
"""What was read and what was given, (n, …) each, in the order in which layers ran."""


@torch.no_grad()
def affine(within: Space, label: Tensor | None = None) -> Float[Tensor, "out d"]:
    """The matrix of the first affine layers that a point passes, one above the other, told the first of the labels.

    A network without layers is made linear about the middle of the space. Raises UserError where there is no such map.
    """
    dim, home = within.latent.dim, next(within.scene.generator.parameters())
    a, b = SMALL * (2 * torch.rand(2, 1, dim, generator=random_of(0, 0, "affine")).to(home) - 1)
    probe = torch.cat([torch.zeros_like(a), a, b, a + b])
    found = _first(_run(within, probe, label), probe)
    zero, one, other, both = _given(within, probe, label, found).double()
    if torch.equal(zero, one):
        raise UserError("--how sefa: the first layer of this model does not read the code; take --how pca, or labels")
    bend = (both - one - other + zero).norm() / (one - zero).norm()
    if bend > (BENT if found else BENT_WHOLE):
        hint = "take --space w" if hasattr(within.scene.generator, "synthesis") else "take --how pca, or labels"
        raise UserError(f"--how sefa: no layer of this model is affine in {within.name}; {hint}")
    length = 1.0 if found else SMALL
    points = length * torch.eye(dim).to(home)
    rows = [_given(within, part, label, found) - zero.to(home) for part in points.split(BLOCK)]
    return torch.cat(rows).T / length


@torch.no_grad()
def activations(within: Space, points: Points, label: Labels | None = None) -> Float[Tensor, "n k"]:
    """What the second layer reads; of a network with fewer layers, the pictures."""
    parts: list[Tensor] = []
    told = [None] * len(points) if label is None else label.split(BLOCK)
    for part, own in zip(points.split(BLOCK), told, strict=False):
        layers = _watched(within, part, own)
        parts.append((layers[1][0] if len(layers) > 1 else within.decode(part, own)).flatten(1))
    return torch.cat(parts)


def _first(layers: Layers, points: Points) -> list[int]:
    """Numbers of the layers that read the points themselves, or of the first one."""
    own = [k for k, (read, _) in enumerate(layers) if read.shape == points.shape and torch.equal(read, points)]
    return own or [0][: len(layers)]


def _run(within: Space, points: Points, label: Tensor | None) -> Layers:
    return _watched(within, points, _first_label(label, points))


def _first_label(label: Tensor | None, points: Points) -> Tensor | None:
    """The same for all points: what they differ in is the code alone."""
    return None if label is None else label[:1].expand(len(points), *label.shape[1:])


def _given(within: Space, points: Points, label: Tensor | None, chosen: list[int]) -> Float[Tensor, "n k"]:
    """What the chosen layers give, side by side; the pictures where there are none."""
    if not chosen:
        return within.decode(points, _first_label(label, points)).flatten(1)
    layers = _run(within, points, label)
    return torch.cat([layers[k][1].flatten(1) for k in chosen], 1)


def _watched(within: Space, points: Points, label: Labels | None) -> Layers:
    """One decoding. Of layers that run several times, as of an autoregressive network's, the first time."""
    seen: Layers = []
    done: set[int] = set()

    def watcher(layer: nn.Module) -> Callable[..., None]:
        def look(_: nn.Module, given: tuple[Any, ...], gave: Any) -> None:
            numbers = given and isinstance(given[0], Tensor) and given[0].is_floating_point()
            if numbers and isinstance(gave, Tensor) and id(layer) not in done:
                done.add(id(layer))
                seen.append((given[0], gave))

        return look

    hooks = [layer.register_forward_hook(watcher(layer)) for layer in _weighted(within.scene.generator)]
    try:
        within.decode(points, label)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _weighted(net: Generator) -> list[nn.Module]:
    """Layers with a matrix or kernel of their own; a generator inside another is looked into."""
    return [
        layer
        for layer in net.modules()
        if not isinstance(layer, Generator) and any(p.ndim > 1 for p in layer.parameters(recurse=False))
    ]
