"""What a picture looks like: near another one, answering to a measurement, smooth, unlike the other starts'."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from limner.core.errors import UserError
from limner.core.pixels import MODES, to_float
from limner.core.spec import register
from limner.distances.base import Distance
from limner.goals.base import Goal, View


@dataclass(frozen=True, eq=False)
class Match(Goal):
    """Minus the distance between what is measured of each row and its target's measurement.

    y: one measurement a target, in the order of the targets' numbers; a picture where nothing is measured
    operator: what measures, an object with `measure` or `A`; none for the picture itself
    distance: between measurements, which must be pictures for it; none for the mean squared error
    """

    y: Tensor
    operator: Any = None
    distance: Distance | None = None

    def __call__(self, view: View) -> Float[Tensor, " n"]:
        seen = measured(self.operator, view.x)
        y = self.y[view.item].to(seen)
        if seen.shape != y.shape:
            given, made = (" × ".join(map(str, t.shape[1:])) for t in (y, seen))
            raise UserError(f"what is to be matched is {given}, and what is measured of this model's pictures {made}")
        return -(self.distance(seen, y) if self.distance else (seen - y).square().flatten(1).mean(1))


def measured(operator: Any, x: Tensor) -> Tensor:
    """A(x), by whichever name the operator has for it."""
    if operator is None:
        return x
    return operator.measure(x) if hasattr(operator, "measure") else operator.A(x)


@register
@dataclass(frozen=True)
class Like(Goal):
    """Minus the distance to the picture in a file.

    picture: path of the file; its size must be the model's
    distance: how far pictures are apart; none for the mean squared error
    """

    picture: str
    distance: Distance | None = None

    def __call__(self, view: View) -> Float[Tensor, " n"]:
        y = to_float(_pixels(self.picture, view.x.shape[1:]), view.x.device).expand_as(view.x)
        return -(self.distance(view.x, y) if self.distance else (view.x - y).square().flatten(1).mean(1))


@functools.lru_cache(maxsize=8)
def _pixels(path: str, shape: tuple[int, int, int]) -> Any:
    """uint8 (1, h, w, c)."""
    from PIL import Image as Pillow

    try:
        with Pillow.open(path) as opened:
            if opened.size[::-1] != shape[1:]:
                high, wide = opened.size[::-1]
                raise UserError(f"Like({path!r}): is {high}×{wide}, and the model makes {shape[1]}×{shape[2]}; crop it")
            array = np.asarray(opened.convert(MODES[shape[0]])).reshape(1, *shape[1:], shape[0])
    except FileNotFoundError:
        raise UserError(f"Like({path!r}): there is no such file") from None
    except (OSError, ValueError):
        raise UserError(f"Like({path!r}): not a picture that can be read; give a PNG or JPEG") from None
    return array.copy()


@register
@dataclass(frozen=True)
class Smooth(Goal):
    """Minus the total variation: the mean absolute difference of neighbouring pixels (Rudin et al. 1992)."""

    def __call__(self, view: View) -> Float[Tensor, " n"]:
        down, right = view.x.diff(dim=2), view.x.diff(dim=3)
        return -(down.abs().flatten(1).mean(1) + right.abs().flatten(1).mean(1))


@register
@dataclass(frozen=True)
class Diverse(Goal):
    """Mean squared difference of a start's picture to those of the other starts for the same target."""

    def __call__(self, view: View) -> Float[Tensor, " n"]:
        if view.starts < 2:
            raise UserError("Diverse compares starts with each other; give it two or more: --starts 8")
        x = view.x.flatten(1).unflatten(0, (-1, view.starts))
        middle, power = x.mean(1, keepdim=True), x.square().mean(2)
        # Σ_j |x_i - x_j|² = R|x_i|² - 2R x_i·m + Σ_j |x_j|², without a table of pairs
        total = view.starts * (power - 2 * (x * middle).mean(2)) + power.sum(1, keepdim=True)
        return (total / (view.starts - 1)).flatten()
