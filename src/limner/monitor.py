"""Whether a training goes well: samples, reconstructions, scores against held-out images, alarms in plain words.

`monitor` passes a training's events on and adds, before each Look, a Preview, Scores and Alarms, and at each Glance
a Preview alone. It draws from its own generators, so watching a run does not change it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from limner.alarms import History, raised
from limner.core.events import Alarm, Event, Glance, Look, Preview, Scores
from limner.core.pixels import Bytes, grid, to_bytes, to_float
from limner.core.rng import generator
from limner.core.spec import build
from limner.metrics.base import Extractor, Metric
from limner.metrics.contrast import strength
from limner.metrics.sight import Sight
from limner.metrics.visible import FAULTS, VisibleFault
from limner.models.base import Critic, Encoder, Generator, LikelihoodGenerator
from limner.symptoms import label_skill, nearness, repetition

SIGNS = ("critic margin", "critic spread", "nearer", "strength")
"""What is measured for alarms only."""
SEEN, FEWEST = 256, 16
"""Pictures that are searched for visible faults, at most and at least."""
SHOWN, PAIRS = 64, 32
"""Samples in a preview, and held-out images beside their reconstructions."""


@runtime_checkable
class Pictures(Protocol):
    """Images in memory with what networks are told of them."""

    @property
    def pixels(self) -> Bytes: ...

    @property
    def told(self) -> NDArray[np.int64] | NDArray[np.float32] | None: ...


@runtime_checkable
class Trained(Protocol):
    """What the monitor sees of a training's state."""

    nets: nn.ModuleDict
    weights: dict[str, list[nn.Parameter]]
    device: torch.device
    history: History

    @property
    def averaged(self) -> nn.ModuleDict: ...


@dataclass(frozen=True)
class Part:
    """A fixed draw of images: pixels on the device, labels, features, which are found when they are first asked for."""

    x: Tensor
    label: Tensor | None
    extract: Extractor

    @cached_property
    def features(self) -> Tensor:
        """float (n, d)."""
        return self.extract(self.x)


def monitor(
    events: Iterable[Event],
    state: Trained,
    train: Pictures,
    held_out: Pictures,
    *,
    n: int = 512,
    seed: int = 0,
    sampled: bool = True,
) -> Iterator[Event]:
    """The same events, and before each Look what there is to see: first pictures, then scores, which take longer.

    `n` images are drawn of each kind: training, held-out and generated. The score that picks the best
    checkpoint is the kernel distance to the held-out images on fixed random features; where codes of the
    prior make no pictures (`sampled` is false), it is the error of reconstructed held-out images; where the
    generator knows its own distribution, it is the nats of held-out images.
    """
    watch: Watch | None = None
    for event in events:
        if isinstance(event, Look | Glance) and "generator" in state.nets:
            watch = watch or Watch(state, train, held_out, n, seed, sampled)
            yield from watch.look(event) if isinstance(event, Look) else watch.glance(event)
        yield event


class Watch:
    """The fixed part of looking: the same real images and the same codes each time."""

    def __init__(self, state: Trained, train: Pictures, held_out: Pictures, n: int, seed: int, sampled: bool) -> None:
        self._state, self._seed, self._n, self._sampled = state, seed, n, sampled
        self._extract = build("RandomFeatures", Extractor)
        self._train, self._held_out = self._part(train, "train"), self._part(held_out, "held-out")
        self._distance = build("KernelDistance", Metric)
        # the usual five neighbours, or as many as there are
        self._coverage = build({"is": "Coverage", "k": min(5, len(self._held_out.x) - 1)}, Metric)

    def glance(self, at: Glance) -> Iterator[Event]:
        """Previews: what can be drawn at once."""
        if self._sampled:
            yield Preview(at.nimg, grid(to_bytes(self._draw(self._shown())), 8)[None])
        if (encoder := self._encoder()) is not None:
            yield Preview(at.nimg, self._pairs(self._reconstruct(encoder, PAIRS)), "reconstructions")

    def look(self, at: Look) -> Iterator[Event]:
        """Previews, Scores, and what is alarming about them."""
        values: dict[str, float] = {}
        if self._sampled:
            fake = self._draw(torch.arange(self._n))
            faults = self._faults(fake)
            shown = {name: faults[name] for name in FAULTS if name in faults}
            yield Preview(at.nimg, grid(to_bytes(fake[self._shown()]), 8)[None], faults=shown)
            values |= self._scores(fake, self._label()) | faults
        if (encoder := self._encoder()) is not None:
            made = self._reconstruct(encoder)
            yield Preview(at.nimg, self._pairs(made), "reconstructions")
            values["reconstruction"] = float((made - self._held_out.x).square().mean().sqrt())
        if isinstance(net := self._state.averaged["generator"], LikelihoodGenerator):
            values["nats"] = self._nats(net)
        judge = "nats" if "nats" in values else "kernel distance" if self._sampled else "reconstruction"
        signs = {name: values.pop(name) for name in SIGNS if name in values}
        score, error = values[judge], values.pop("error", 0.0)
        told = {"nimg": at.nimg, "share": at.share, "score": score}
        told |= {"error": error} if judge == "kernel distance" else {}
        told |= self._weights()
        self._state.history.append(told | values | signs | ({} if self._state.history else self._facts()))
        yield Scores(at.nimg, values, score, told.get("error", 0.0))
        for kind, words in raised(self._state.history).items():
            yield Alarm(at.nimg, kind, words)

    def _shown(self) -> Tensor:
        """Which samples a preview shows: evenly among all, as labels are in the order of the data, by folders."""
        return torch.linspace(0, self._n - 1, min(SHOWN, self._n)).long()

    @torch.no_grad()
    def _draw(self, rows: Tensor) -> Tensor:
        """Samples of the averaged generator, told training images' labels: those of the given numbers below n."""
        net = self._state.averaged["generator"]
        assert isinstance(net, Generator)
        z = net.latent.sample(self._n, generator(self._seed, 0, "monitor", self._state.device))
        label = self._label()
        return torch.cat([net(z[part], None if label is None else label[part]) for part in rows.split(128)])

    def _encoder(self) -> Encoder | None:
        """The averaged encoder, if there is one and it finds the generator's whole code."""
        if "encoder" not in self._state.nets:
            return None
        encoder, net = self._state.averaged["encoder"], self._state.averaged["generator"]
        assert isinstance(encoder, Encoder) and isinstance(net, Generator)
        return encoder if encoder.latent == net.latent else None

    @torch.no_grad()
    def _reconstruct(self, encoder: Encoder, most: int | None = None) -> Tensor:
        """The held-out images, or so many of them, made again from their codes."""
        generator, x, label = self._state.averaged["generator"], self._held_out.x[:most], self._held_out.label
        blocks = [slice(i, min(i + 128, len(x))) for i in range(0, len(x), 128)]
        told = [None if label is None else label[rows] for rows in blocks]
        return torch.cat([generator(encoder(x[rows], t).mean, t) for rows, t in zip(blocks, told, strict=True)])

    def _pairs(self, made: Tensor) -> Bytes:
        """Rows of eight held-out images in turn with rows of their reconstructions, as a picture (1, h, w, c)."""
        rows = [part[i : i + 8] for i in range(0, min(PAIRS, len(made)), 8) for part in (self._held_out.x, made)]
        return grid(to_bytes(torch.cat(rows)), 8)[None]

    def _label(self) -> Tensor | None:
        """The labels of n training images, so that classes are as frequent as they are there."""
        if not getattr(self._state.averaged["generator"], "classes", 0):
            return None
        known = self._train.label if self._train.label is not None else torch.full((1,), -1, device=self._state.device)
        return known[torch.arange(self._n, device=known.device) % len(known)]

    @torch.no_grad()
    def _scores(self, fake: Tensor, label: Tensor | None) -> dict[str, float]:
        features = self._extract(fake)
        held = self._held_out.features
        values = {
            "kernel distance": self._distance(held, features),
            "error": self._distance.error(held, features),
            "coverage": self._coverage(held, features),
            "diversity": _spread(features) / max(_spread(held), 1e-12),
        }
        critic = self._state.averaged["critic"] if "critic" in self._state.nets else None
        if isinstance(critic, Critic):
            values["critic gap"] = self._gap(critic)
            values |= self._hold(self._state.nets["critic"], fake, label)
        return values | {"nearer": nearness(features, self._train.features, held)}

    @torch.no_grad()
    def _faults(self, fake: Tensor) -> dict[str, float]:
        """Scores of what the eye sees at once, against held-out images; nothing where images are few or small."""
        if len(self._held_out.x) < FEWEST or (real := self._sight) is None:
            return {}
        made = Sight.of(_evenly(fake, real.n).clamp(-1, 1))
        assert made is not None
        scores = {name: build(kind, VisibleFault).compare(real, made) for name, kind in FAULTS.items()}
        return scores | {"strength": strength(real, made)}

    @cached_property
    def _sight(self) -> Sight | None:
        return Sight.of(_evenly(self._held_out.x, min(SEEN, self._n)))

    @torch.no_grad()
    def _hold(self, critic: nn.Module, fake: Tensor, label: Tensor | None) -> dict[str, float]:
        """How the critic of this moment tells training images from samples: their distance, and the spread of all."""
        critic = copy.deepcopy(critic)
        with torch.random.fork_rng(devices=[]):  # as in training: batch norm sees one kind at a time, dropout draws
            real, made = critic(self._train.x, self._train.label).float(), critic(fake, label).float()
        spread = torch.cat([real, made]).std()
        return {"critic margin": float((real.mean() - made.mean()) / spread.clamp_min(1e-6)),
                "critic spread": float(spread / (1e-6 + torch.cat([real, made]).abs().mean()))}  # fmt: skip

    @torch.no_grad()
    def _weights(self) -> dict[str, float]:
        """Of each network that a turn moves, the sum of its squared weights: the same in two looks where none did."""
        moved = {id(weight) for weights in self._state.weights.values() for weight in weights}
        parts = {role: [p for p in net.parameters() if id(p) in moved] for role, net in self._state.nets.items()}
        return {f"weights of {role}": float(torch.stack([p.double().square().sum() for p in part]).sum())
                for role, part in parts.items() if part}  # fmt: skip

    def _facts(self) -> dict[str, float]:
        """What does not change: pictures that occur twice, and whether labels can be guessed from pictures."""
        train, held = self._train, self._held_out
        facts = {"repeated": repetition(train.x), "leaked": repetition(held.x, train.x)}
        told = any(getattr(net, "classes", 0) for net in self._state.nets.values())
        if told and train.label is not None and held.label is not None and not train.label.is_floating_point():
            skill = label_skill(train.features, train.label, held.features, held.label)
            facts |= {"label skill": skill} if math.isfinite(skill) else {}
        return facts

    @torch.no_grad()
    def _nats(self, net: LikelihoodGenerator) -> float:
        """-log p of the held-out images, each rounded in the same way at each look."""
        x = self._held_out.x
        noise = torch.rand(x.shape, generator=generator(self._seed, 0, "monitor", x.device), device=x.device)
        x, label = net.quantise(x, noise), self._held_out.label
        rows = [slice(i, i + 128) for i in range(0, len(x), 128)]
        return -float(torch.cat([net.log_likelihood(x[r], None if label is None else label[r]) for r in rows]).mean())

    def _gap(self, critic: Critic) -> float:
        """How much more real the critic finds training than held-out images, in standard deviations of its logits."""
        train = critic(self._train.x, self._train.label)
        held = critic(self._held_out.x, self._held_out.label)
        return float((train.mean() - held.mean()) / torch.cat([train, held]).std().clamp_min(1e-6))

    def _part(self, pictures: Pictures, purpose: str) -> Part:
        """A fixed draw, without repetition."""
        rng = np.random.default_rng([self._seed, len(purpose)])
        rows = np.sort(rng.permutation(len(pictures.pixels))[: self._n])
        x = to_float(np.asarray(pictures.pixels[rows]), self._state.device)
        labels = None if pictures.told is None else torch.from_numpy(pictures.told[rows]).to(self._state.device)
        return Part(x, labels, self._extract)


def _evenly(x: Tensor, n: int) -> Tensor:
    """At most n of the images, evenly among all: they may be in the order of the data, a folder after the other."""
    return x[torch.linspace(0, len(x) - 1, min(n, len(x))).long()]


def _spread(features: Tensor) -> float:
    """Root mean squared distance of features from their mean."""
    return float(features.double().var(0).sum().sqrt())
