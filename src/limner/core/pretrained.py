"""Which frozen, pretrained networks a model was trained with, so that none of them judges what it helped to train.

A network that is trained through a frozen backbone has an attribute `backbone` with a `name` and a `digest`. The header
of the model file records them: `"backbone": {"name": "mobilenet_v2", "digest": "…"}`, a list where there are several.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Pretrained:
    """A frozen network: its name, such as `mobilenet_v2`, and a hash of its weights, empty where it is not known."""

    name: str
    digest: str = ""

    def is_same(self, name: str, digest: str) -> bool:
        """Whether features of this name and digest look through it.

        The name suffices: other weights of the same architecture, trained on the same pictures, see much the same.
        """
        return bool(name and name == self.name) or bool(digest and digest == self.digest)


def used_by(nets: Iterable[nn.Module]) -> tuple[Pretrained, ...]:
    """The backbones that these networks or parts of them name, each once, in order.

    `backbone` is an object with a `name` and a `digest`, or a bare name.
    """
    named = (getattr(part, "backbone", None) for net in nets for part in net.modules())
    return tuple(dict.fromkeys(_named(one) for one in named if one is not None))


def written(backbones: tuple[Pretrained, ...]) -> dict[str, Any]:
    """What the header of a model file says of them: an entry `backbone`, or nothing."""
    told = [asdict(one) for one in backbones]
    return {"backbone": told[0] if len(told) == 1 else told} if told else {}


def recorded(header: Mapping[str, Any]) -> tuple[Pretrained, ...]:
    """What the header of a model file says, the inverse of `written`; older files say nothing."""
    told = header.get("backbone") or []
    several: list[Mapping[str, Any]] = told if isinstance(told, list) else [told]
    return tuple(Pretrained(str(one["name"]), str(one.get("digest", ""))) for one in several)


def _named(named: object) -> Pretrained:
    if isinstance(named, str):
        return Pretrained(named)
    return Pretrained(str(getattr(named, "name", type(named).__name__)), str(getattr(named, "digest", "")))
