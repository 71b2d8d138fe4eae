"""A prior over the codes of pictures: rectified flow between a standard normal and the codes (Liu et al. 2022).

A velocity v(x, t) carries normal noise, t = 0, to codes, t = 1, along paths that were trained to be straight. The map
is differentiable and is run backwards to find the noise of a code, so whatever is done with a standard normal latent
(truncation, walks, climbs, densities) can be done with the codes of pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limner.models.base import Labels

Codes = Float[Tensor, "n d"]
Velocity = Callable[[Codes, float], Codes]
STEPS = 8
"""Steps of the integration, by Heun's rule: two velocities each."""
WAVES = 8
"""Frequencies by which the velocity is told the time."""
HELD_OUT = 10
"""One code in so many is not trained on; it tells when to stop."""
BATCH = 256
"""Codes a step of `fit`."""
UNLABELLED = 0.1
"""Share of the labels that are hidden in training, so that codes without a label can be drawn as well."""


class CodeFlow(nn.Module):
    """The velocity: dense layers with skip connections. It is fitted by `fit`, and constant afterwards.

    dim: numbers in a code
    classes: how many labels it is told, 0 for none
    width: numbers in a hidden layer
    depth: hidden layers
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int, classes: int = 0, width: int = 384, depth: int = 3) -> None:
        super().__init__()
        self.classes, self.depth = classes, depth
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))
        shapes = [(width, dim + 2 * WAVES), *[(width, width)] * (depth - 1), (dim, width)]
        for k, (out, into) in enumerate(shapes):
            last = k == len(shapes) - 1
            self.register_buffer(f"weight{k}", torch.zeros(out, into) if last else torch.randn(out, into) * into**-0.5)
            self.register_buffer(f"bias{k}", torch.zeros(out))
        # one more row for an unknown label
        self.register_buffer("label", torch.randn(classes + 1, width) * 0.1 if classes else torch.zeros(1, width))

    def forward(self, z: Codes, label: Labels | None = None) -> Codes:
        """Standard normal noise (n, d) → codes (n, d)."""
        return self.mean + self.scale * heun(lambda x, t: self.velocity(x, t, label), z.float(), 0.0, 1.0)

    def noise(self, code: Codes, label: Labels | None = None) -> Codes:
        """The inverse of `forward`: codes (n, d) → the noise that leads to them."""
        x = (code.float() - self.mean) / self.scale
        return heun(lambda x, t: self.velocity(x, t, label), x, 1.0, 0.0)

    def velocity(self, x: Codes, t: float | Float[Tensor, " n"], label: Labels | None) -> Codes:
        """dx/dt of standardised codes at time t, 0 to 1."""
        with torch.autocast(x.device.type, enabled=False):
            # filled, not copied from a number: a copy to a GPU waits for it, sixteen times a code
            time = t[:, None].to(x) if isinstance(t, Tensor) else x.new_full((len(x), 1), t)
            waves = time * torch.arange(WAVES, device=x.device) * math.pi
            h = F.silu(self._dense(0, torch.cat([x, waves.cos(), waves.sin()], 1)) + self._told(label, len(x)))
            for k in range(1, self.depth):
                h = h + F.silu(self._dense(k, h))
            return self._dense(self.depth, h)

    def fit(self, codes: Codes, label: Labels | None, rng: torch.Generator, steps: int = 1500) -> None:
        """Train the velocity on codes of pictures; keeps the weights that did best on held-out ones.

        label: (n,) class numbers, -1 where unknown; or (n, k) numbers
        """
        self.mean.copy_(codes.mean(0))
        self.scale.copy_(codes.std(0).clamp_min(1e-6))
        x = (codes - self.mean) / self.scale
        held = torch.arange(len(x), device=x.device) % HELD_OUT == 0
        own, other = (None if label is None else label[rows] for rows in (~held, held))
        weights = [w for name, w in self.named_buffers() if name not in ("mean", "scale")]
        probe = _Pairs.drawn(x[held], other, rng)
        best, kept = math.inf, [w.clone() for w in weights]
        with torch.enable_grad():
            for w in weights:
                w.requires_grad_()
            optimizer = torch.optim.Adam(weights, lr=1e-3)
            for step in range(steps):
                rows = torch.randint(int((~held).sum()), (BATCH,), generator=rng, device=rng.device).to(x.device)
                pairs = _Pairs.drawn(x[~held][rows], None if own is None else own[rows], rng)
                for group in optimizer.param_groups:
                    group["lr"] = 1e-3 * min(1.0, 2.02 - 2 * step / steps)
                optimizer.zero_grad()
                self._error(pairs, rng).backward()
                optimizer.step()
                if (step + 1) % 100 == 0:
                    with torch.no_grad():
                        now = self._error(probe).item()
                    if now < best:
                        best, kept = now, [w.detach().clone() for w in weights]
        for w, good in zip(weights, kept, strict=True):
            w.requires_grad_(False).copy_(good)

    def _error(self, pairs: _Pairs, rng: torch.Generator | None = None) -> Tensor:
        """Mean squared error of the velocity (Liu et al. 2022, eq. 1); with `rng` some labels are hidden."""
        label = pairs.label
        if label is not None and rng is not None:
            hidden = torch.rand(len(label), generator=rng, device=rng.device).to(label.device) < UNLABELLED
            label = torch.where(hidden.view(-1, *(1,) * (label.ndim - 1)), _unknown(label), label)
        between = torch.lerp(pairs.noise, pairs.codes, pairs.time[:, None])
        return (self.velocity(between, pairs.time, label) - (pairs.codes - pairs.noise)).square().mean()

    def _dense(self, k: int, x: Tensor) -> Tensor:
        return F.linear(x, getattr(self, f"weight{k}"), getattr(self, f"bias{k}"))

    def _told(self, label: Labels | None, n: int) -> Tensor:
        """What a label adds to the first layer."""
        rows = self.get_buffer("label")
        if not self.classes or label is None:
            return rows[:1].expand(n, -1)
        if label.is_floating_point():
            unknown = label.isnan().to(label.dtype).mean(1, keepdim=True)
            return torch.cat([unknown, label.nan_to_num()], 1) @ rows
        return rows[label + 1]


class _Pairs:
    """Codes, as many draws of noise, and a time between them for each."""

    def __init__(self, codes: Codes, noise: Codes, time: Float[Tensor, " n"], label: Labels | None) -> None:
        self.codes, self.noise, self.time, self.label = codes, noise, time, label

    @classmethod
    def drawn(cls, codes: Codes, label: Labels | None, rng: torch.Generator) -> _Pairs:
        """Times are logit-normal: the middle of the way is hardest (Esser et al. 2024, section 3.1)."""
        noise = torch.randn(codes.shape, generator=rng, device=rng.device).to(codes)
        time = torch.randn(len(codes), generator=rng, device=rng.device).to(codes).sigmoid()
        return cls(codes, noise, time, label)


def heun(velocity: Velocity, x: Codes, begin: float, end: float, steps: int = STEPS) -> Codes:
    """dx/dt = velocity(x, t) from one time to another by Heun's rule."""
    h = (end - begin) / steps
    for k in range(steps):
        t = begin + k * h
        first = velocity(x, t)
        x = x + h / 2 * (first + velocity(x + h * first, t + h))
    return x


def _unknown(label: Labels) -> Labels:
    return torch.full_like(label, math.nan) if label.is_floating_point() else torch.full_like(label, -1)
