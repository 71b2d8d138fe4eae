"""Where a point lies in the space that is climbed: how likely it is there, how far along a direction."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.errors import UserError, unknown
from limner.core.spec import register
from limner.goals.base import Goal, View


@register
@dataclass(frozen=True)
class Prior(Goal):
    """Minus the surprise in nats: 0 where the prior's codes typically are."""

    def __call__(self, view: View) -> Float[Tensor, " n"]:
        return -view.latent.surprise(view.z)


@register
@dataclass(frozen=True)
class LogPrior(Goal):
    """Log-density of the prior up to a constant, in nats: what sampling needs, where `Prior` suits climbing."""

    def __call__(self, view: View) -> Float[Tensor, " n"]:
        return view.latent.log_density(view.z)


@register
@dataclass(frozen=True)
class Direction(Goal):
    """How far a point is along a direction, in units of the space.

    which: number of a coordinate, or the name of a direction in the file
    file: a safetensors file of named directions, a vector each; none for a coordinate
    """

    which: str = "0"
    file: str | None = None

    def __call__(self, view: View) -> Float[Tensor, " n"]:
        dim = view.z.shape[1]
        if not self.file:
            if not (self.which.isdecimal() and int(self.which) < dim):
                raise UserError(f"Direction({self.which}): coordinates are 0 to {dim - 1}; a named one needs file='…'")
            return view.z[:, int(self.which)]
        known = _directions(self.file)
        if self.which not in known:
            raise unknown("direction", self.which, known)
        along = known[self.which].to(view.z)
        if len(along) != dim:
            raise UserError(f"Direction(file={self.file!r}): has {len(along)} numbers, and the codes here {dim}")
        return view.z @ (along / along.norm())


@functools.lru_cache(maxsize=8)
def _directions(path: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(path)
    except FileNotFoundError:
        raise UserError(f"Direction(file={path!r}): no such file; give a safetensors file of named vectors") from None
    except (SafetensorError, OSError):
        raise UserError(f"Direction(file={path!r}): not a safetensors file of named vectors") from None
    return {name: t.float() for name, t in found.items() if t.ndim == 1 and torch.isfinite(t).all()}
