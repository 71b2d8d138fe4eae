"""Networks around another network: how a layer is switched on in a family that does not know of it.

The inner network is given as a spec without image and classes, which it gets from outside; the spec that a
model file keeps is complete, so a default that changes later does not change an old model.
"""

from __future__ import annotations

from typing import TypeVar

from limner.core.pixels import Image
from limner.core.spec import Spec, build, spec
from limner.models.base import Model

M = TypeVar("M", bound=Model)

GIVEN = ("image", "classes")


def within(outer: Model, kind: type[M], described: str | Spec, image: Image, classes: int) -> M:
    """The network described by name or spec; `outer` remembers it as `inner`, with every default filled in."""
    net = build(described, kind, image=image, classes=classes)
    outer.arguments["inner"] = {name: value for name, value in spec(net).items() if name not in GIVEN}
    return net
