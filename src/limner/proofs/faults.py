"""Faults that the eye sees at once, planted in real pictures at a chosen strength: what scores of them are tried on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Pictures = Float[Tensor, "n c h w"]


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    make: (pictures in [-1, 1], strength, random numbers) → the same pictures with the fault
    score: the score that should see it
    strengths: from hardly seen to plain
    """

    make: Callable[[Pictures, float, torch.Generator], Pictures]
    score: str
    strengths: tuple[float, ...]


def plant(x: Pictures, kind: str, strength: float, seed: int = 0) -> Pictures:
    """Pictures with a fault of PLANTED; at strength 0 they are what they were."""
    made = PLANTED[kind].make(x, strength, torch.Generator().manual_seed(seed)) if strength else x
    return made.clamp(-1, 1)


def lattice(x: Pictures, strength: float, rng: torch.Generator) -> Pictures:
    """The same random grid with a period of 8 pixels over all pictures."""
    return _over(x, strength, torch.randn(1, x.shape[1], 8, 8, generator=rng))


def checkerboard(x: Pictures, strength: float, rng: torch.Generator) -> Pictures:
    """Every other pixel brighter, every other darker."""
    return _over(x, strength, torch.tensor([[1.0, -1.0], [-1.0, 1.0]])[None, None])


def tiles(side: int) -> Callable[[Pictures, float, torch.Generator], Pictures]:
    """A motif of each picture's own, the detail of its centre, laid over it again and again."""

    def make(x: Pictures, strength: float, rng: torch.Generator) -> Pictures:
        top, left = ((length - side) // 2 for length in x.shape[2:])
        return _over(x, strength, x[:, :, top : top + side, left : left + side])

    return make


def burnt(x: Pictures, strength: float, rng: torch.Generator) -> Pictures:
    """Tones less than `strength` from an end of the scale fall to that end."""
    return torch.where(x.abs() >= 1 - strength, x.sign(), x)


def flat(x: Pictures, strength: float, rng: torch.Generator) -> Pictures:
    """Contrast less by the share `strength`."""
    grey = x.mean((1, 2, 3), keepdim=True)
    return grey + (1 - strength) * (x - grey)


def twins(x: Pictures, strength: float, rng: torch.Generator) -> Pictures:
    """A share `strength` of the pictures become others of them, moved by at most a pixel and a little paler."""
    made, count = x.clone(), round(strength * len(x))
    others = count + torch.randint(len(x) - count, (count,), generator=rng)
    for k, (other, step) in enumerate(zip(others, torch.randint(-1, 2, (count, 2), generator=rng), strict=True)):
        made[k] = 0.97 * x[other].roll(step.tolist(), (1, 2))
    return made


def _over(x: Pictures, share: float, motif: Float[Tensor, "k d a b"]) -> Pictures:
    """Pictures of which a share gives way to a motif in every place.

    That takes contrast away. Half of it is given back, so that neither contrast nor burnt tones become a fault.
    """
    motif = motif - motif.mean((2, 3), keepdim=True)
    motif = (motif / motif.std((1, 2, 3), keepdim=True).clamp_min(0.02)).clamp(-1, 1)
    (a, b), (h, w) = motif.shape[2:], x.shape[2:]
    made = (1 - share) * x + share * motif.repeat(1, 1, -(-h // a), -(-w // b))[..., :h, :w]
    before, after = (one.std((1, 2, 3), keepdim=True).clamp_min(0.02) for one in (x, made))
    mean = made.mean((1, 2, 3), keepdim=True)
    return mean + (before / after).sqrt() * (made - mean)


PLANTED = {
    "lattice": Fault(lattice, "lattice", (0.02, 0.05, 0.1, 0.15)),
    "checkerboard": Fault(checkerboard, "lattice", (0.02, 0.05, 0.1, 0.15)),
    "tiles of 8 px": Fault(tiles(8), "tiling", (0.1, 0.15, 0.2, 0.3)),
    "tiles of 16 px": Fault(tiles(16), "tiling", (0.1, 0.15, 0.2, 0.3)),
    "burnt tones": Fault(burnt, "burnt", (0.05, 0.1, 0.2, 0.4)),
    "flat contrast": Fault(flat, "contrast", (0.1, 0.2, 0.35, 0.5)),
    "twins": Fault(twins, "near-twins", (0.05, 0.1, 0.2, 0.4)),
}
"""Kind → how it is made, which score sees it, and at which strengths."""
