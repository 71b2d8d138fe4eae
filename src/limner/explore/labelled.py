"""Codes whose labels are known, to learn directions from; and how cleanly a direction moves what it is named after.

Codes are those of labelled pictures, by the encoder; or draws, labelled by whoever can judge pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limner.baselines.base import scikit
from limner.core.errors import UserError
from limner.core.rng import generator as random_of
from limner.explore.ascents import Points
from limner.explore.directions import Directions
from limner.explore.spaces import Space
from limner.goals.base import Scene
from limner.models.base import Encoder, Pictures

Chances = Float[Tensor, "n k"]
BLOCK = 256
LEAST = 8
"""A label that fewer codes have, or lack, is not learned."""
REACH = 4.0
"""Steps to either side at which purity is measured."""


@dataclass(frozen=True)
class Judge:
    """Who names what is in a picture.

    names: of the labels
    chances: pictures → probability of each
    exclusive: whether a picture has exactly one of them
    said: who it is, and how right it is
    """

    names: tuple[str, ...]
    chances: Callable[[Pictures], Chances]
    exclusive: bool
    said: str

    def __call__(self, x: Pictures) -> Chances:
        """Probabilities, block by block."""
        with torch.no_grad():
            return torch.cat([self.chances(part) for part in x.split(BLOCK)])


@dataclass(frozen=True)
class Labelled:
    """Points of a space and which labels each has."""

    points: Points
    told: Bool[Tensor, "n k"]
    names: tuple[str, ...]

    def usable(self) -> Labelled:
        """The labels that enough points have, and enough lack. Raises UserError when there is none."""
        yes = self.told.sum(0)
        kept = ((yes >= LEAST) & (len(self.told) - yes >= LEAST)).nonzero()[:, 0].tolist()
        if not kept:
            raise UserError(f"no label is on {LEAST} codes and off {LEAST}; give more labelled pictures by --data")
        return Labelled(self.points, self.told[:, kept], tuple(self.names[k] for k in kept))


def by_critic(scene: Scene, said: str) -> Judge:
    """A critic that was trained to name classes. Raises UserError where it was not."""
    critic = scene.critic
    if not critic.classes:
        raise UserError(f"{said} names no classes; give labelled pictures by --data, or another judge by --by MODEL")
    names = scene.names or tuple(map(str, range(critic.classes)))

    def chances(x: Pictures) -> Chances:
        logits = critic.class_logits(x)
        return logits.sigmoid() if scene.numbered else logits.softmax(1)

    return Judge(names, chances, not scene.numbered, said)


def by_pixels(x: Pictures, told: Bool[Tensor, "n k"], names: tuple[str, ...], exclusive: bool) -> Judge:
    """Logistic regression from pixels to each label; three quarters of the pictures teach it, the rest examine it."""
    rows = torch.randperm(len(x), generator=random_of(0, 0, "judge")).to(x.device)
    taught, asked = rows[len(x) // 4 :], rows[: len(x) // 4]
    flat, weights, shifts = x.flatten(1).double(), [], []
    for yes in told.T:
        # regularised as strongly as there are pixels: they are many, and neighbours say the same
        line = scikit("linear_model").LogisticRegression(C=1 / x[0].numel() ** 0.5, max_iter=300)
        line.fit(flat[taught].cpu().numpy(), yes[taught].cpu().numpy())
        weights.append(torch.from_numpy(line.coef_[0]))
        shifts.append(torch.from_numpy(line.intercept_))
    weight, shift = torch.stack(weights).to(flat), torch.cat(shifts).to(flat)

    def chances(x: Pictures) -> Chances:
        odds = (x.flatten(1).double() @ weight.T + shift).sigmoid()
        return (odds / odds.sum(1, keepdim=True) if exclusive else odds).float()

    guess = chances(x[asked])
    right = guess.argmax(1) == told[asked].int().argmax(1) if exclusive else (guess > 0.5) == told[asked]
    return Judge(names, chances, exclusive, f"logistic regression of pixels, {right.float().mean():.0%} right")


@torch.no_grad()
def of_pictures(within: Space, x: Pictures, told: Bool[Tensor, "n k"], names: tuple[str, ...]) -> Labelled:
    """The codes that the encoder finds for labelled pictures."""
    net = within.scene.nets.get("encoder")
    assert isinstance(net, Encoder)
    codes = torch.cat([within.of_codes(net(part).mean) for part in x.split(BLOCK)])
    return Labelled(codes, told, names)


@torch.no_grad()
def of_draws(within: Space, judge: Judge, n: int, seed: int = 0) -> Labelled:
    """Draws, each with the labels that a judge sees in what the model makes of it."""
    points = drawn(within, n, seed)
    chance = torch.cat([judge(within.decode(part)) for part in points.split(BLOCK)])
    likeliest = torch.nn.functional.one_hot(chance.argmax(1), chance.shape[1]).bool()
    return Labelled(points, likeliest if judge.exclusive else chance > 0.5, judge.names)


@torch.no_grad()
def drawn(within: Space, n: int, seed: int = 0, label: Tensor | None = None) -> Points:
    """Points of the space that draws from the prior stand for."""
    home = next(within.scene.generator.parameters())
    z = within.scene.generator.latent.sample(n, random_of(seed, 0, "directions")).to(home)
    return within.of_codes(z, label)


@torch.no_grad()
def purity(within: Space, found: Directions, judge: Judge, points: Points) -> tuple[tuple[float, float], ...]:
    """How far the asked label's probability moves from REACH steps back to as many on, and that other one's which
    moves most: means over the points."""
    measured: list[tuple[float, float]] = []
    for name in found.names:
        step = REACH * found.step(name).to(points)
        ends = (judge(within.decode(within.hold(points + way * step, "allowed"))).mean(0) for way in (-1, 1))
        back, on = ends
        moved, own = on - back, judge.names.index(name)
        others = torch.cat([moved[:own], moved[own + 1 :]]).abs()
        measured.append((moved[own].item(), others.max().item() if len(others) else 0.0))
    return tuple(measured)
