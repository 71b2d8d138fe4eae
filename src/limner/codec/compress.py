"""Pictures → bytes → pictures, through any model with an encoder and a generator.

Networks see one picture at a time, so that neither the bytes of one nor its colours hang on those beside it. Of all
pictures only codes are kept: tables are chosen once all are known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from limner.codec import container
from limner.codec.coder import Reader, Writer
from limner.codec.container import Parts, Shape
from limner.codec.schemes import Grid, Scheme, Spikes, Vector
from limner.codec.tiles import cut, joined, tiled
from limner.core import store
from limner.core.errors import UserError
from limner.core.grid import Quantised, Rounded
from limner.core.latent import Sparse
from limner.core.pixels import Bytes, to_bytes, to_float
from limner.core.spec import spec
from limner.data.whole import Whole
from limner.models.base import CodePrior, Encoder, Generator, Model

PITCH = 0.05
"""How much a step of one number changes the picture at step 1: root mean square, in the [-1, 1] range."""
PROBES = 16
"""Codes by which the generator's slopes are measured."""
Codes = NDArray[np.float64]
Tick = Callable[[int], None]
Nets = Mapping[str, Model]
"""Networks by role, in evaluation mode; the `nets` of a Likeness."""


@dataclass(frozen=True)
class Compressed:
    """A file's content, and what it consists of.

    content: the bytes
    payload: how many of them are coded codes; the others say what file this is
    ideal: bytes that an ideal coder would need for the codes, under the same tables
    codes: the whole numbers, a row for each tile
    shapes: height, width and channels of the pictures
    """

    content: bytes
    payload: int
    ideal: float
    codes: NDArray[np.int64]
    shapes: tuple[Shape, ...]


@dataclass(frozen=True)
class Restored:
    """A picture out of a file, under the name it had, or none."""

    name: str
    pixels: Bytes


@dataclass(frozen=True, eq=False)
class Unpacked(Sequence[Restored]):
    """A file's pictures, each painted when it is asked for and not kept.

    names: where they go
    shapes: height, width and channels of each
    numbers: the whole numbers, a row for each tile
    ends: the rows that each picture begins with, and how many there are
    scheme: what the numbers stand for
    generator: which paints them
    """

    names: tuple[str, ...]
    shapes: tuple[Shape, ...]
    numbers: NDArray[np.int64]
    ends: NDArray[np.int64]
    scheme: Scheme
    generator: Generator

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, k: int) -> Restored:  # pyright: ignore[reportIncompatibleMethodOverride]
        k = range(len(self))[k]
        tiles = decoded(self.generator, self.scheme.real(self.numbers[self.ends[k] : self.ends[k + 1]]))
        return Restored(self.names[k], joined(tiles, self.shapes[k], self.generator.image))


def compress(
    nets: Nets, pictures: Iterable[Whole], step: float = 1.0, names: bool = True, tick: Tick | None = None
) -> Compressed:
    """Pictures of any sizes → one file.

    step: of the quantiser: 1 as the model was trained, or so that a step changes a picture by PITCH; 2 is coarser
    names: whether files' names are kept

    Raises UserError when the model has no encoder, a picture does not suit it, or a code is not a number.
    """
    encoder, generator = players(nets)
    shapes, listed, parts = list[Shape](), list[str](), list[Codes]()
    for whole in pictures:
        shape, tiles = cut(whole, generator.image)
        parts.append(_encoded(encoder, tiles, whole.name))
        shapes.append(shape)
        listed.append(whole.name)
        if tick:
            tick(len(shapes))
    if not shapes:
        raise UserError("there are no pictures to compress")
    z = np.concatenate(parts)
    listed = listed if names else []
    candidates = [_packed(nets, scheme, z, shapes, listed) for scheme in _schemes(nets, z, step)]
    return min(candidates, key=lambda made: len(made.content))


def decompress(nets: Nets, content: bytes) -> Unpacked:
    """The pictures of a file. Raises UserError when it is of another model, or damaged."""
    parts = container.unpack(content)
    if parts.digest != (own := digest(nets)):
        raise UserError(f"it was made with the model {parts.digest}, and this is {own}; give that model")
    scheme, generator = _scheme_of(parts, nets), generator_of(nets)
    ends = np.cumsum([0, *(math.prod(tiled(shape, generator.image)) for shape in parts.shapes)])
    names = parts.names or tuple(f"{number:06d}.png" for number in range(len(parts.shapes)))
    return Unpacked(names, parts.shapes, scheme.read(int(ends[-1]), Reader(parts.coded)), ends, scheme, generator)


def digest(nets: Nets) -> str:
    """Of the networks that decode, 16 hexadecimal digits: what was learned about other things does not matter."""
    own = {role: net for role, net in nets.items() if role in ("generator", "prior")}
    tensors = {f"{role}.{name}": t for role, net in own.items() for name, t in net.state_dict().items()}
    return store.digest(tensors, json.dumps({role: spec(net) for role, net in own.items()}, sort_keys=True))


def players(nets: Nets) -> tuple[Encoder, Generator]:
    """The encoder and the generator. Raises UserError unless they speak of one code."""
    encoder, generator = nets.get("encoder"), generator_of(nets)
    if not isinstance(encoder, Encoder):
        raise UserError("this model has no encoder to compress with; train one with --recipe codec, vae or autoencoder")
    if encoder.latent != generator.latent:
        raise UserError(f"this model's encoder reads only {encoder.latent} of a code; take one that reads all of it")
    return encoder, generator


def generator_of(nets: Nets) -> Generator:
    """The generator. Raises UserError when there is none."""
    net = nets.get("generator")
    if not isinstance(net, Generator):
        raise UserError(f"this model has no generator to make pictures with; it has {', '.join(nets)}")
    return net


@torch.no_grad()
def decoded(generator: Generator, z: Codes) -> Bytes:
    """What the generator makes of codes, one at a time, uint8 (n, h, w, c)."""
    rows = (torch.from_numpy(row[None]).float().to(_home(generator)) for row in z)
    return np.concatenate([to_bytes(generator(row)) for row in rows])


@torch.no_grad()
def _encoded(encoder: Encoder, tiles: Bytes, name: str) -> Codes:
    """Tiles → codes before rounding, (n, d)."""
    rows: list[torch.Tensor] = []
    for tile in tiles:
        said = encoder(to_float(tile[None], _home(encoder)))
        rows.append(said.exact if isinstance(said, Rounded) else said.mean)
    z = torch.cat(rows).double().cpu().numpy()
    if not np.isfinite(z).all():
        raise UserError(f"{name}: the model's code of it is not finite; the model is damaged, or its training failed")
    return z


def _schemes(nets: Nets, z: Codes, step: float) -> list[Scheme]:
    """The ways to code that may be the shortest."""
    generator, prior = generator_of(nets), nets.get("prior")
    latent = generator.latent
    if isinstance(latent, Quantised) and isinstance(prior, CodePrior):
        return [Grid.at(step, prior)]
    if isinstance(latent, Sparse):
        size = step * PITCH / _slope(generator, z)
        return [Spikes.fitted(z, size, own) for own in (False, True)]
    each = step * PITCH / slopes(generator, z)
    return [Vector.fitted(z, each), Vector.fitted(z, np.exp(np.log(each).mean(keepdims=True)))]


def _scheme_of(parts: Parts, nets: Nets) -> Scheme:
    dim, prior = generator_of(nets).latent.dim, nets.get("prior")
    if parts.scheme == Grid.name and isinstance(prior, CodePrior):
        return Grid.of(parts.told, prior)
    if parts.scheme in (Vector.name, Spikes.name):
        return (Vector if parts.scheme == Vector.name else Spikes).of(parts.told, dim)
    raise UserError(f"its codes are coded as {parts.scheme!r}, which this version of limner does not know")


def _packed(nets: Nets, scheme: Scheme, z: Codes, shapes: list[Shape], names: list[str]) -> Compressed:
    q, writer = scheme.whole(z), Writer()
    scheme.write(q, writer)
    coded = writer.done()
    parts = Parts(digest(nets), tuple(shapes), tuple(names), scheme.name, scheme.told(), coded)
    return Compressed(container.pack(parts), len(coded), writer.ideal / 8, q, parts.shapes)


@torch.no_grad()
def slopes(generator: Generator, z: Codes) -> Codes:
    """How much each number of a code changes the picture, root mean square over pixels and over some codes, (d,).

    Steps inverse to these make every number cost the picture the same: where a VAE is unsure, steps are wide.
    """
    some = z[np.linspace(0, len(z) - 1, min(PROBES, len(z))).astype(np.int64)]
    moves = np.maximum(some.std(0), 1e-2) / 4
    changes = np.zeros_like(some)
    for number, code in enumerate(torch.from_numpy(some).float().to(_home(generator))):
        moved = code + torch.diag(torch.from_numpy(moves).float().to(_home(generator)))
        change = generator(moved) - generator(code[None])
        changes[number] = change.square().flatten(1).mean(1).double().cpu().numpy()
    return np.maximum(np.sqrt(changes.mean(0)) / moves, 1e-6)


@torch.no_grad()
def _slope(generator: Generator, z: Codes) -> float:
    """The same of a sparse code's active numbers, together: all are moved at once, up or down by chance."""
    some = z[np.linspace(0, len(z) - 1, min(PROBES, len(z))).astype(np.int64)]
    there = some != 0
    move = np.abs(some[there]).mean() / 8 if there.any() else 1.0
    signs = np.random.default_rng(0).integers(0, 2, some.shape) * 2 - 1
    codes = (torch.from_numpy(c).float().to(_home(generator)) for c in (some, some + move * signs * there))
    before, after = (generator(c) for c in codes)
    change = (after - before).square().flatten(1).mean(1).double().cpu().numpy()
    return max(float(np.sqrt(change.mean() / max(there.sum(1).mean(), 1))) / float(move), 1e-6)


def _home(net: Model) -> torch.device:
    return next(net.parameters()).device
