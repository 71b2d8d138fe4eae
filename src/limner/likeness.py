"""A trained model: its networks, what it was trained on, and how to draw from it.

`limner.load("model.safetensors")` gives one. Loading never executes code from the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from limner.core import store
from limner.core.errors import UserError, unknown
from limner.core.pixels import Bytes, Image, to_bytes, to_float
from limner.core.pretrained import Pretrained, recorded
from limner.core.rng import generator
from limner.core.spec import build, spec
from limner.goals.base import Scene
from limner.models.base import Critic, Encoder, Generator, Model, Translator

Told = NDArray[np.int64] | NDArray[np.float32]
BLOCK = 256
"""Images decoded at once when many are drawn."""


@dataclass(frozen=True)
class Likeness:
    """Networks by role, in evaluation mode, and the model file's header."""

    nets: dict[str, Model]
    names: tuple[str, ...] = ()
    header: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def generator(self) -> Generator:
        """z → x. Raises UserError when the model has none."""
        net = self.nets.get("generator")
        if not isinstance(net, Generator):
            raise UserError(f"this model has no generator; it has {', '.join(self.nets)}")
        return net

    @property
    def critic(self) -> Critic | None:
        """x → score, if the model has one."""
        net = self.nets.get("critic")
        return net if isinstance(net, Critic) else None

    @property
    def encoder(self) -> Encoder | None:
        """x → q(z), if the model has one."""
        net = self.nets.get("encoder")
        return net if isinstance(net, Encoder) else None

    def translator(self, back: bool = False) -> Translator:
        """x → x, from the first domain to the second or back. Raises UserError when the model has none."""
        net = self.nets.get("translator_back" if back else "translator")
        if not isinstance(net, Translator):
            known = ", ".join(self.nets)
            raise UserError(f"this model has no translator{' for the way --back' if back else ''}; it has {known}")
        return net

    @property
    def image(self) -> Image:
        """The shape of what it makes."""
        return self.generator.image

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.generator.parameters()).device

    def to(self, device: torch.device | str) -> Likeness:
        """The same model on a device."""
        return Likeness({role: net.to(device) for role, net in self.nets.items()}, self.names, self.header)

    @property
    def numbered(self) -> bool:
        """Whether it was told numbers, of which `names` are the names, instead of classes."""
        return bool(self.header.get("counts")) and isinstance(self.header["counts"][0], list)

    @property
    def backbones(self) -> tuple[Pretrained, ...]:
        """The frozen, pretrained networks that it was trained with, which must not judge it."""
        return recorded(self.header)

    @property
    def scene(self) -> Scene:
        """What a goal may ask about this model."""
        return Scene(self.nets, self.names, self.numbered)

    def label(self, name: str) -> int:
        """The number of a class given by name or number. Raises UserError when there is none such."""
        if not self.generator.classes:
            raise UserError(f"label {name!r}: this model was trained without labels, so it cannot be told one")
        if name in self.names:
            return self.names.index(name)
        if name.isdecimal() and int(name) < self.generator.classes:
            return int(name)
        raise unknown("label", name, self.names or map(str, range(self.generator.classes)))

    def labels(self, n: int, seed: int = 0, label: str | None = None) -> Told | None:
        """What n samples are told: one class, `all` in turn, or drawn as often as in the training data.

        Class numbers (n,), or rows (n, k) where it was told numbers: `smile=1,age=0.3` fixes two and draws the others.
        """
        classes = self.generator.classes
        if classes and self.numbered:
            return self._numbers(n, seed, label)
        if label is not None and label != "all":
            return np.full(n, self.label(label), np.int64)
        if not classes:
            if label == "all":
                self.label(label)
            return None
        if label == "all":
            return np.arange(n, dtype=np.int64) % classes
        counts = np.asarray(self.header.get("counts") or [1] * classes, np.float64)
        return np.random.default_rng(seed).choice(classes, n, p=counts / counts.sum()).astype(np.int64)

    def _numbers(self, n: int, seed: int, label: str | None) -> NDArray[np.float32]:
        if label == "all":
            return np.eye(len(self.names), dtype=np.float32)[np.arange(n) % len(self.names)]
        rows = np.array(self.header["counts"], np.float32)
        drawn = rows[np.random.default_rng(seed).integers(len(rows), size=n)]
        for said in label.split(",") if label else ():
            name, value = (part.strip() for part in (*said.split("=", 1), "")[:2])
            if name not in self.names:
                raise unknown("label", name, self.names)
            try:
                number = float(value)
            except ValueError:
                number = np.nan
            if not 0 <= number <= 1:
                raise UserError(f"label {said!r}: give a number from 0 to 1, for example {name}=1")
            drawn[:, self.names.index(name)] = number
        return drawn

    @torch.no_grad()
    def classify(self, pixels: Bytes) -> NDArray[np.float32]:
        """p(class) of uint8 images (n, h, w, c) by a critic that was trained to name classes, (n, classes)."""
        if self.critic is None:
            raise UserError(f"this model has no critic to name classes; it has {', '.join(self.nets)}")
        home = next(self.critic.parameters()).device
        blocks = [to_float(pixels[start : start + BLOCK], home) for start in range(0, len(pixels), BLOCK)]
        logits = [self.critic.class_logits(x) for x in blocks] or [torch.empty(0, self.critic.classes)]
        said = torch.cat(logits).cpu()
        return (said.sigmoid() if self.numbered else said.softmax(1)).numpy()

    def codes(self, n: int, seed: int = 0) -> Tensor:
        """n codes; the first m of them are the same for every n ≥ m up to a block."""
        latent = self.generator.latent
        blocks = [latent.sample(BLOCK, generator(seed, start, "codes")) for start in range(0, n, BLOCK)]
        return torch.cat(blocks)[:n] if blocks else torch.empty(0, latent.dim)

    @torch.no_grad()
    def decode(self, z: Tensor, label: Told | None = None, truncation: float = 1.0) -> Bytes:
        """Codes → uint8 images (n, h, w, c), block by block; truncation 0 is the middle of all, 1 leaves them."""
        parts: list[Bytes] = []
        net = self.generator
        for start in range(0, len(z), BLOCK):
            block = z[start : start + BLOCK].to(self.device)
            told = None if label is None else torch.from_numpy(label[start : start + BLOCK]).to(self.device)
            parts.append(to_bytes(net(block, told) if truncation == 1 else net.truncated(block, told, truncation)))
        shape = (0, self.image.height, self.image.width, self.image.channels)
        return np.concatenate(parts) if parts else np.empty(shape, np.uint8)

    @torch.no_grad()
    def translate(self, images: Bytes, back: bool = False) -> Bytes:
        """uint8 (n, h, w, c) of the translator's shape → as many in the other domain."""
        net = self.translator(back)
        device = next(net.parameters()).device
        parts = [to_bytes(net(to_float(images[i : i + BLOCK], device))) for i in range(0, len(images), BLOCK)]
        return np.concatenate(parts) if parts else images[:0]

    def sample(self, n: int = 64, seed: int = 0, label: str | None = None, truncation: float = 1.0) -> Bytes:
        """n images, uint8 (n, h, w, c). The same seed gives the same images."""
        return self.decode(self.codes(n, seed), self.labels(n, seed, label), truncation)

    @torch.no_grad()
    def reconstruct(self, images: Bytes, label: NDArray[np.int64] | None = None) -> Bytes:
        """uint8 images (n, h, w, c) → codes → images. Raises UserError when there is no encoder, or they do not fit."""
        encoder, shape = self.encoder, (self.image.height, self.image.width, self.image.channels)
        if encoder is None:
            raise UserError("this model has no encoder to reconstruct with; train one with --recipe autoencoder or vae")
        if encoder.latent != self.generator.latent:
            raise UserError(f"this model's encoder reads only {encoder.latent} of a code, so it cannot reconstruct")
        if images.shape[1:] != shape:
            given = " × ".join(map(str, images.shape[1:]))
            raise UserError(f"this model reconstructs {self.image} pictures, not {given}; gather(size=…, channels=…)")
        parts: list[Bytes] = [np.empty((0, *shape), np.uint8)]
        for rows in (slice(start, start + BLOCK) for start in range(0, len(images), BLOCK)):
            told = None if label is None else torch.from_numpy(label[rows]).to(self.device)
            x = to_float(images[rows], self.device)
            parts.append(to_bytes(self.generator(encoder(x, told).mean, told)))
        return np.concatenate(parts)

    def walk(
        self, stops: int = 6, steps: int = 20, seed: int = 0, label: str | None = None, truncation: float = 1.0
    ) -> Iterator[Bytes]:
        """Pictures (h, w, c) of a closed walk through `stops` codes, `steps` from one to the next."""
        z = self.codes(stops, seed)
        told = self.labels(1, seed, label)
        for k in range(stops):
            here, there = z[k : k + 1], z[(k + 1) % stops][None]
            path = torch.cat([self.generator.latent.between(here, there, t / steps) for t in range(steps)])
            yield from self.decode(path, None if told is None else told[np.zeros(steps, np.int64)], truncation)

    def save(self, path: str | Path) -> Path:
        """Write the model file."""
        tensors = {f"{role}.{k}": v for role, net in self.nets.items() for k, v in net.state_dict().items()}
        nets = {role: spec(net) for role, net in self.nets.items()}
        return store.save_model(Path(path), self.header | {"nets": nets, "names": list(self.names)}, tensors)


def load(path: str | Path, device: torch.device | str = "cpu") -> Likeness:
    """Read a model file, or the one in a run folder. Raises UserError when it is not one."""
    path = Path(path)
    if path.is_dir():
        path = path / "model.safetensors"
        if not path.exists():
            raise UserError(f"{path.parent} has no model.safetensors; give a run folder or a file of limner train")
    header, tensors = store.load_model(path)
    nets: dict[str, Model] = {}
    for role, described in header["nets"].items():
        try:
            net = build(described, Model)
            weights = {k[len(role) + 1 :]: v for k, v in tensors.items() if k.startswith(f"{role}.")}
            net.load_state_dict(weights)
        except (UserError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{path}: its {role} cannot be made: {reason}; was it trained --with a file?") from error
        nets[role] = net.to(device).eval().requires_grad_(False)
    return Likeness(nets, tuple(header.get("names", ())), header)


def of(nets: nn.ModuleDict, names: tuple[str, ...], header: dict[str, Any]) -> Likeness:
    """A likeness of networks in training, which it shares."""
    return Likeness({role: net for role, net in nets.items() if isinstance(net, Model)}, names, header)
