"""Generator against critic: any game, any penalties.

The generator moves first; the critic then learns from what it said of the same fakes, so that they are made, and
judged, once a step.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limner.core.moment import Moment
from limner.core.spec import register
from limner.models.base import Critic, Labels, Pictures
from limner.objectives.base import Examples, Game, Objective, Penalty, Scene, critic_of, generator_of, verdict
from limner.objectives.games import Relativistic
from limner.objectives.penalties import R1, R2, due
from limner.objectives.piecewise import ask, ask_both, piecewise_linear


@register
@dataclass(frozen=True)
class GAN(Objective):
    """Generator and critic trained against each other (Goodfellow et al. 2014).

    The default is the relativistic pairing game with R1 and R2 (Huang et al. 2024), which converges.

    game: the adversarial loss
    penalties: further terms of the critic's turn
    """

    game: Game = Relativistic()
    penalties: tuple[Penalty, ...] = (R1(), R2())
    begins_small: ClassVar[bool] = True
    players: ClassVar[dict[str, tuple[str, ...]]] = {"generator": ("generator",), "critic": ("critic",)}

    def loss(self, turn: str, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        return self.generator_terms(nets, batch, at) if turn == "generator" else self.critic_terms(nets, batch, at)

    def generator_terms(self, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        """The generator's side of the game; leaves its fakes for the critic."""
        generator = generator_of(nets)
        return self.deceive(nets, generator(at.codes(generator.latent), batch.label), batch, at)

    def deceive(
        self, nets: nn.ModuleDict, fake: Pictures, batch: Examples, at: Moment
    ) -> dict[str, Float[Tensor, " n"]]:
        """The generator's side of the game for these fakes; leaves the scenes for the critic, who moves later."""
        critic, seen = critic_of(nets), at.seen(fake)
        fake_views = critic.views(seen)
        with torch.no_grad():
            real_views = critic.views(at.seen(as_large(batch.x, fake)))
        return self.play(critic, real_views, fake_views, batch.label, at)

    def play(
        self, critic: Critic, real: Sequence[Tensor], fake: Sequence[Tensor], label: Labels | None, at: Moment
    ) -> dict[str, Float[Tensor, " n"]]:
        """The generator's side of the game, for what each judge of the critic sees; leaves the scenes for the critic.

        The graph of each judge stays whole for the critic's turn. The generator is given the value of its loss, and
        the gradient at the fakes, as a term that is linear in them.
        """
        at.kept["scenes"] = scenes = list[Scene]()
        total = torch.zeros(len(fake[0]), device=fake[0].device)
        for judge, shown, seen in zip(critic.judges(), real, fake, strict=True):
            with recorded(judge):
                scene = self.stage(judge, shown, seen, label, at)
                scene.age = age(judge)
                value, push = self.push(scene)
            scenes.append(scene)
            total = total + value + ((seen - seen.detach()) * push).flatten(1).sum(1)
        return {"game": total}

    def push(self, scene: Scene) -> tuple[Float[Tensor, " n"], Float[Tensor, "n ..."]]:
        """The generator's loss, and its slope at the fakes: the one that R2 needs anyway, times a number each."""
        logits = scene.fake_logits.detach().requires_grad_()
        value = self.game.generator(scene.real_logits.detach(), logits)
        (pull,) = torch.autograd.grad(value.sum(), logits)
        if scene.said or (self.slopes_due(R2, scene.at) and judges_alone(scene.critic)):
            return value.detach(), pull.view(-1, *(1,) * (scene.fake.ndim - 1)) * scene.fake_slope.detach()
        return value.detach(), torch.autograd.grad(scene.fake_logits, scene.fake, pull, retain_graph=True)[0]

    def critic_terms(self, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        """The critic's side of the game, and the penalties."""
        generator, critic, scenes = generator_of(nets), critic_of(nets), at.kept.pop("scenes", None)
        if scenes is None:
            fake = at.kept.pop("fake", None)
            if fake is None:
                fake = generator(at.codes(generator.latent), batch.label).detach()
            with torch.no_grad():
                real_views = critic.views(at.seen(as_large(batch.x, fake)))
                fake_views = critic.views(at.seen(fake))
            views = zip(critic.judges(), real_views, fake_views, strict=True)
            scenes = [self.stage(judge, real, fake, batch.label, at) for judge, real, fake in views]
        elif any(age(scene.critic) != scene.age for scene in scenes):  # the critic has moved: it is asked again
            scenes = [self.stage(s.critic, s.real, s.fake, batch.label, at) for s in scenes]
        for scene in scenes:
            scene.at = at
        return verdict(self.game, self.penalties, *scenes)

    def judge(
        self, critic: nn.Module, real: Tensor, fake: Tensor, label: Labels | None, at: Moment
    ) -> dict[str, Float[Tensor, " n"]]:
        """The critic's side of the game and the penalties, for whatever it judges."""
        return verdict(self.game, self.penalties, self.stage(critic, real, fake, label, at))

    def stage(self, critic: nn.Module, real: Tensor, fake: Tensor, label: Labels | None, at: Moment) -> Scene:
        """What a critic says of real rows and of fakes, cut off from where they come from.

        Where slopes are penalised, a piecewise linear critic is asked in the way that has them cheaply.
        """
        real, fake = real.detach(), fake.detach()
        at_real, at_fake = (self.slopes_due(kind, at) for kind in (R1, R2))
        if (at_real or at_fake) and piecewise_linear(critic, real, label):
            if at_real and at_fake:
                said = ask_both(critic, real, fake, label)
            else:
                said = ask(critic, real, label), ask(critic, fake, label)
            return Scene(critic, real, fake, label, said[0].logits, said[1].logits, at, said)
        real, fake = real.requires_grad_(), fake.requires_grad_()
        return Scene(critic, real, fake, label, critic(real, label), critic(fake, label), at)

    def slopes_due(self, kind: type[R1] | type[R2], at: Moment) -> bool:
        """Whether this step takes such a penalty."""
        return any(isinstance(p, kind) and due(p.every, at) for p in self.penalties)

    def after(self, turn: str, nets: nn.ModuleDict) -> None:
        if turn == "critic":
            for penalty in self.penalties:
                penalty.project(nets["critic"])


def as_large(x: Float[Tensor, "n c _ _"], fake: Float[Tensor, "n c _ _"]) -> Pictures:
    """Pictures averaged down to the fakes' size, where these are smaller."""
    return x if x.shape == fake.shape else F.adaptive_avg_pool2d(x, (fake.shape[2], fake.shape[3]))


def age(net: nn.Module) -> int:
    """Changes whenever weights do."""
    return sum(weight._version for weight in net.parameters())


@contextmanager
def recorded(net: nn.Module) -> Generator[None]:
    """What a frozen network computes in here can be differentiated by its weights once these are free again."""
    frozen = [weight for weight in net.parameters() if not weight.requires_grad]
    for weight in frozen:
        weight.requires_grad_()
    try:
        yield
    finally:
        for weight in frozen:
            weight.requires_grad_(False)


def judges_alone(critic: nn.Module) -> bool:
    """Whether a critic judges each row by itself: batch norm does not."""
    return not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in critic.modules())  # pyright: ignore[reportPrivateUsage]
