"""What objectives of translation share: batches with a second domain, and one critic's side of a game."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from limner.core.errors import UserError
from limner.core.moment import Moment
from limner.core.pixels import Image
from limner.models.base import Critic, Model, Pictures, Translator
from limner.objectives.base import Examples, Game, Penalty, Scene, verdict

Terms = dict[str, Float[Tensor, " n"]]


@runtime_checkable
class Couple(Examples, Protocol):
    """A batch with as many pictures of another domain beside its own."""

    @property
    def other(self) -> Pictures: ...


def other_of(batch: Examples) -> Pictures:
    """The pictures of the second domain."""
    assert isinstance(batch, Couple), "an objective of two domains was given batches of one"
    return batch.other


def translator_of(nets: nn.ModuleDict, role: str) -> Translator:
    """A translator among the players."""
    net = nets[role]
    assert isinstance(net, Translator)
    return net


def judge_of(nets: nn.ModuleDict, role: str) -> Critic:
    """A critic among the players."""
    net = nets[role]
    assert isinstance(net, Critic)
    return net


def insist_on_shape(name: str, nets: Mapping[str, Model], role: str, *allowed: Image) -> None:
    """Raise UserError unless a network sees pictures of a shape that it will be shown."""
    shape = getattr(nets[role], "image", None)
    if shape not in allowed:
        told = allowed[0]
        raise UserError(
            f"{name}: the {role} is made for {shape}, but will be shown {' or '.join(map(str, allowed))}; "
            f'type -o "nets.{role}.image=Image({told.channels}, {told.height}, {told.width})"'
        )


def fool(game: Game, critic: Critic, real: Pictures, fake: Pictures, at: Moment) -> Float[Tensor, " n"]:
    """The translator's side of a game."""
    fake_logits = critic(at.seen(fake))
    real_logits = critic(at.seen(real)) if game.pairs else fake_logits.detach()
    return game.generator(real_logits, fake_logits)


def judge(
    game: Game, penalties: tuple[Penalty, ...], critic: Critic, real: Pictures, fake: Pictures, at: Moment
) -> Terms:
    """A critic's side of a game, and its penalties."""
    real, fake = at.seen(real).detach().requires_grad_(), at.seen(fake).detach().requires_grad_()
    scene = Scene(critic, real, fake, None, critic(real), critic(fake), at)
    return verdict(game, penalties, scene)


def project(penalties: tuple[Penalty, ...], critic: Critic) -> None:
    """Put a critic's weights back where its penalties want them."""
    for penalty in penalties:
        penalty.project(critic)
