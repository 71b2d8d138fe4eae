"""The one abstraction of training: who plays, in which order, and what each player makes small."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.core.errors import UserError
from limner.core.moment import Moment
from limner.models.base import Critic, Encoder, Generator, Labels, Model, Pictures
from limner.objectives.piecewise import Said

Logits = Float[Tensor, " n"]
Domains = Literal["one", "two", "matched"]


@runtime_checkable
class Examples(Protocol):
    """A batch: images and their labels."""

    @property
    def x(self) -> Pictures: ...

    @property
    def label(self) -> Labels | None: ...


@runtime_checkable
class Preparation(Protocol):
    """The training pictures, for what is computed of them before the first step."""

    @property
    def rng(self) -> torch.Generator: ...

    def first(self, count: int) -> Iterator[Examples]:
        """At most so many pictures, in batches, in an order drawn by the seed."""
        ...


CALIBRATION = 256
"""Training pictures on which a network's fixed features are standardised."""


class Objective:
    """Says which roles each turn moves, and the named terms whose sum that turn makes small.

    Turns are taken in the order of `players`. A later turn may use what an earlier one left in `at.kept`.
    """

    players: ClassVar[dict[str, tuple[str, ...]]]
    kinds: ClassVar[dict[str, type[Model]]] = {}
    """Role → what its network must be, where it is not the role's usual kind: a critic of codes, say."""
    sampled: ClassVar[bool] = True
    """Whether codes of the prior make pictures, to be shown and judged; where not, reconstructions are."""
    domains: ClassVar[Domains] = "one"
    """What a batch holds: pictures, pictures of two domains, or of two domains matched one to one."""
    begins_small: ClassVar[bool] = False
    """Whether fakes may be smaller than the pictures, as those of a growing generator are at first."""
    fitted: ClassVar[tuple[str, ...]] = ()
    """Further roles that no turn moves: what they know is computed in `prepare`."""
    labelled: ClassVar[tuple[str, ...]] = ()
    """Roles that must be told labels: without them there is nothing to train."""

    def loss(self, turn: str, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        """Terms per sample; their sum is minimised and each mean is logged."""
        raise NotImplementedError

    def shown(self, batch: Examples, rng: torch.Generator) -> Examples:
        """What a translator is tried on, of held-out pictures: pairs, where the objective makes them itself."""
        return batch

    def prepare(self, nets: nn.ModuleDict, data: Preparation) -> None:
        """Before the first step: let networks compute what they need of the training pictures."""
        for net in nets.values():
            if isinstance(net, Model):
                net.fit(batch.x for batch in data.first(CALIBRATION))

    def after(self, turn: str, nets: nn.ModuleDict) -> None:
        """Put weights back where they must be, after the turn's step."""

    def check(self, nets: Mapping[str, Model]) -> None:
        """Raise UserError unless these networks, one for each role, can play together."""

    @classmethod
    def roles(cls) -> tuple[str, ...]:
        """Every role that some turn moves, in order of first use, and those that are fitted."""
        return tuple(dict.fromkeys((*(role for moved in cls.players.values() for role in moved), *cls.fitted)))


class Game:
    """An adversarial loss as two functions of logits, each (n,), (n,) → (n,)."""

    pairs: ClassVar[bool] = True
    """Whether the generator's side looks at real logits; where it does not, real images need not be judged for it."""

    def critic(self, real: Logits, fake: Logits) -> Logits:
        """What the critic makes small."""
        raise NotImplementedError

    def generator(self, real: Logits, fake: Logits) -> Logits:
        """What the generator makes small."""
        raise NotImplementedError

    def confidence(self, real: Logits, fake: Logits) -> Logits:
        """Positive where the critic takes a real image for real: where 0 means nothing, for more real than its fake."""
        return real - fake


@dataclass
class Scene:
    """One turn of the critic: what it judges (images, codes or both) and what it said, once for all penalties."""

    critic: nn.Module
    real: Float[Tensor, "n ..."]
    fake: Float[Tensor, "n ..."]
    label: Labels | None
    real_logits: Logits
    fake_logits: Logits
    at: Moment
    said: tuple[Said, Said] | None = None
    """Of real and of fake, where the critic is piecewise linear."""
    age: int = 0
    """Of the critic's weights then."""

    @cached_property
    def real_slope(self) -> Float[Tensor, "n ..."]:
        """d logit / d x at real images, itself differentiable."""
        return self.said[0].slope if self.said else slope(self.real, self.real_logits)

    @cached_property
    def fake_slope(self) -> Float[Tensor, "n ..."]:
        """d logit / d x at fakes, itself differentiable."""
        return self.said[1].slope if self.said else slope(self.fake, self.fake_logits)


def slope(x: Float[Tensor, "n ..."], logits: Logits) -> Float[Tensor, "n ..."]:
    """d logit / d x of each row, itself differentiable; each logit must depend on its own row alone."""
    return torch.autograd.grad(logits.sum(), x, create_graph=True)[0]


class Penalty:
    """A further term of the critic's turn, (n,), and a place where weights must stay."""

    def __call__(self, scene: Scene) -> Float[Tensor, " n"]:
        """The term per sample."""
        raise NotImplementedError

    def check(self, critic: nn.Module) -> None:
        """Raise UserError unless it can be taken of this critic."""

    def project(self, critic: nn.Module) -> None:
        """Put the critic's weights back where they must be."""


def verdict(game: Game, penalties: Sequence[Penalty], *scenes: Scene) -> dict[str, Float[Tensor, " n"]]:
    """The critic's side of a game and its penalties by name, summed over its judges.

    Notes how sure the critic is of real images, as the mean over its judges.
    """
    sure = [game.confidence(scene.real_logits, scene.fake_logits).detach() for scene in scenes]
    scenes[0].at.notes["real"] = torch.stack(sure).mean(0)
    terms: dict[str, Float[Tensor, " n"]] = {}
    for scene in scenes:
        found = [("game", game.critic(scene.real_logits, scene.fake_logits))]
        for name, term in (*found, *((type(penalty).__name__, penalty(scene)) for penalty in penalties)):
            terms[name] = terms[name] + term if name in terms else term
    return terms


def generator_of(nets: nn.ModuleDict) -> Generator:
    """The generator among the players."""
    net = nets["generator"]
    assert isinstance(net, Generator)
    return net


def encoder_of(nets: nn.ModuleDict) -> Encoder:
    """The encoder among the players."""
    net = nets["encoder"]
    assert isinstance(net, Encoder)
    return net


def critic_of(nets: nn.ModuleDict) -> Critic:
    """The critic among the players."""
    net = nets["critic"]
    assert isinstance(net, Critic)
    return net


def insist_on_one_latent(name: str, nets: Mapping[str, Model]) -> None:
    """Raise UserError unless every network that has to do with codes speaks of the generator's."""
    wanted = getattr(nets["generator"], "latent", None)
    for role, net in nets.items():
        latent = getattr(net, "latent", wanted)
        if latent != wanted:
            raise UserError(
                f"{name}: the {role}'s latent must be the generator's, {wanted}, not {latent}; "
                f'type -o "{role}.latent={wanted}"'
            )
