"""What networks say of a picture: how real it looks, which class it is, how strongly one of their units answers."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from limner.core import store
from limner.core.errors import UserError, unknown
from limner.core.spec import build, register
from limner.goals.base import Goal, Scene, View
from limner.models.base import Critic, Model


@register
@dataclass(frozen=True)
class Plausible(Goal):
    """The critic's logit: how real it looks.

    of: a model file whose critic is asked; none for the model's own
    """

    of: str | None = None

    def __call__(self, view: View) -> Float[Tensor, " n"]:
        return asked(view.scene, self.of).critic(view.x, view.label)


@register
@dataclass(frozen=True)
class Class(Goal):
    """Log-probability of a class, in nats, as a network trained to name classes sees it.

    name: of the class, or its number
    of: a model file whose critic is asked; none for the model's own
    """

    name: str
    of: str | None = None

    def __call__(self, view: View) -> Float[Tensor, " n"]:
        scene = asked(view.scene, self.of)
        logits = scene.critic.class_logits(view.x)
        k = self._number(scene.names or tuple(map(str, range(logits.shape[1]))), logits.shape[1])
        return F.logsigmoid(logits[:, k]) if scene.numbered else logits.log_softmax(1)[:, k]

    def _number(self, names: tuple[str, ...], classes: int) -> int:
        if self.name in names:
            return names.index(self.name)
        if self.name.isdecimal() and int(self.name) < classes:
            return int(self.name)
        raise unknown("class", self.name, names)


@register
@dataclass(frozen=True)
class Unit(Goal):
    """How strongly one of the numbers that a critic's last layer reads answers.

    number: which, from 0
    of: a model file whose critic is asked; none for the model's own
    """

    number: int = 0
    of: str | None = None

    def __call__(self, view: View) -> Float[Tensor, " n"]:
        features = asked(view.scene, self.of).critic.features(view.x)
        if not 0 <= self.number < features.shape[1]:
            raise UserError(f"Unit({self.number}): this critic has units 0 to {features.shape[1] - 1}")
        return features[:, self.number]


def asked(scene: Scene, of: str | None) -> Scene:
    """The scene itself, or that of a model file or run folder."""
    if not of:
        return scene
    net = next(iter(scene.nets.values()))
    found = _opened(of, net.arguments["image"])
    found.critic.to(next(net.parameters()).device)
    return found


@functools.lru_cache(maxsize=8)
def _opened(path: str, image: object) -> Scene:
    file = Path(path) / "model.safetensors" if Path(path).is_dir() else Path(path)
    header, tensors = store.load_model(file)
    if "critic" not in header["nets"]:
        raise UserError(f"of={path}: has no critic to ask; it has {', '.join(header['nets'])}")
    net = build(header["nets"]["critic"], Model)
    net.load_state_dict({k.removeprefix("critic."): v for k, v in tensors.items() if k.startswith("critic.")})
    if not isinstance(net, Critic) or net.image != image:
        raise UserError(f"of={path}: judges {getattr(net, 'image', 'other')} pictures; this model makes {image}")
    counts = header.get("counts") or [0]
    names = tuple(header.get("names", ()))
    return Scene({"critic": net.eval().requires_grad_(False)}, names, numbered=isinstance(counts[0], list))
