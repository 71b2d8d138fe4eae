"""The critic as a classifier: what a label says of a picture, learned from the labelled ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limner.core.errors import UserError
from limner.core.moment import Moment
from limner.core.spec import register
from limner.models.base import Judgement, Labels, Model
from limner.objectives.base import Examples, Objective, critic_of


def surprise(logits: Float[Tensor, "n k"], label: Labels | None) -> Float[Tensor, " n"]:
    """-log p(label) in nats, 0 where the label is not known.

    Of class numbers by a softmax over the k classes; of k numbers in [0, 1] by a logistic each, added up.
    """
    if label is None:
        return logits.new_zeros(len(logits))
    if not label.is_floating_point():
        return F.cross_entropy(logits, label, reduction="none", ignore_index=-1)
    each = F.binary_cross_entropy_with_logits(logits, label.nan_to_num(), reduction="none")
    return (each * ~label.isnan()).sum(1)


def insist_on_classes(name: str, nets: Mapping[str, Model]) -> None:
    """Raise UserError where the critic cannot name classes: it has no head, or one that is told none."""
    head = getattr(nets["critic"], "head", None)
    if isinstance(head, Judgement) and head.label is None:
        raise UserError(f"{name}: this critic names no classes; take one that is told them by projection: LightCritic")


@register
@dataclass(frozen=True)
class Classification(Objective):
    """The critic's class logits fitted to labels by cross-entropy: what labels alone can teach a network."""

    players: ClassVar[dict[str, tuple[str, ...]]] = {"critic": ("critic",)}
    labelled: ClassVar[tuple[str, ...]] = ("critic",)

    def loss(self, turn: str, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        return {"classes": surprise(critic_of(nets).class_logits(at.seen(batch.x)), batch.label)}

    def check(self, nets: Mapping[str, Model]) -> None:
        insist_on_classes("Classification", nets)
