"""A critic of K + 1 classes, K real and one fake: labels teach it a little, pictures without labels the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limner.core import parallel
from limner.core.moment import Moment
from limner.core.schedule import Schedule
from limner.core.spec import register
from limner.models.base import Labels, Model, Pictures
from limner.objectives.base import Examples, Objective, critic_of, generator_of
from limner.objectives.classify import insist_on_classes, surprise


@register
@dataclass(frozen=True)
class SemiSupervisedGAN(Objective):
    """A classifier that also tells real from generated (Salimans et al. 2016, section 5).

    Its K class logits l say both: p(class | real) = softmax(l), and real or fake is the logit log Σ exp l,
    the logit of a (K+1)th class, fake, being 0. The generator matches the mean of the critic's features.
    Labelled images teach the class; those without a label, or all where all have one, that they are real.

    weight: of -log p(class) of labelled images, a number or a curve
    agreement: of -log p(class) of augmented images without a label, for the class of the same image as it is
    sure: p(class) of the image as it is, from which that counts
    """

    weight: Schedule = 1.0
    agreement: Schedule = 0.0
    sure: float = 0.95
    players: ClassVar[dict[str, tuple[str, ...]]] = {"generator": ("generator",), "critic": ("critic",)}
    labelled: ClassVar[tuple[str, ...]] = ("critic",)

    def loss(self, turn: str, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        return self.generator_terms(nets, batch, at) if turn == "generator" else self.critic_terms(nets, batch, at)

    def generator_terms(self, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        """Feature matching (Salimans et al. 2016, section 3.1); leaves its fakes for the critic."""
        critic, (free, share) = critic_of(nets), unlabelled(batch)
        fake = invent(nets, batch, at)
        at.kept["fake"] = fake.detach()
        return {"features": gap(critic.features(at.seen(fake)), critic.features(at.seen(batch.x)), free / share)}

    def critic_terms(self, nets: nn.ModuleDict, batch: Examples, at: Moment) -> dict[str, Float[Tensor, " n"]]:
        """The class where it is known; real or fake where it is not."""
        critic, (free, share) = critic_of(nets), unlabelled(batch)
        fake = at.kept.pop("fake", None)
        fake = invent(nets, batch, at).detach() if fake is None else fake
        real_logits, fake_logits = critic.class_logits(at.seen(batch.x)), critic.class_logits(at.seen(fake))
        terms = {
            "classes": at(self.weight) * surprise(real_logits, batch.label),
            "real": free * F.softplus(-real_logits.logsumexp(1)),
            "fake": share * F.softplus(fake_logits.logsumexp(1)),
        }
        if weight := at(self.agreement):
            with torch.no_grad():
                plain = critic.class_logits(batch.x)
            terms["agreement"] = weight * free * unlike(real_logits, plain, self.sure)
        return terms

    def check(self, nets: Mapping[str, Model]) -> None:
        insist_on_classes("SemiSupervisedGAN", nets)


def invent(nets: nn.ModuleDict, batch: Examples, at: Moment) -> Pictures:
    """As many images as the batch has, of its labels where the generator is told any."""
    generator = generator_of(nets)
    return generator(at.codes(generator.latent), batch.label if generator.classes else None)


def unlabelled(batch: Examples) -> tuple[Float[Tensor, " n"], Float[Tensor, ""]]:
    """1 where an image has no label and 0 where it has one, or all 1 where all have one; its mean over the batch."""
    free = torch.ones(len(batch.x), device=batch.x.device) if batch.label is None else known(batch.label).logical_not()
    free = free.to(batch.x.dtype)
    share = free.mean()
    parallel.average([share])
    none = (share <= 0).to(share.dtype)  # not `if`: a GPU would have to be waited for
    return free + none, share + none


def known(label: Labels) -> Tensor:
    """(n,): whether an image has a label."""
    return ~label.isnan().all(1) if label.is_floating_point() else label >= 0


def unlike(logits: Float[Tensor, "n k"], other: Float[Tensor, "n k"], sure: float) -> Float[Tensor, " n"]:
    """-log p(class) for the class that the other logits name, 0 where they are not sure (Sohn et al. 2020, eq. 4)."""
    p, named = other.softmax(1).max(1)
    return (p >= sure) * F.cross_entropy(logits, named, reduction="none")


def gap(fake: Float[Tensor, "n d"], real: Float[Tensor, "n d"], weight: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Terms whose mean over the whole batch is ‖mean fake - mean real‖², and whose gradient is that one's too.

    The distance of two means is no sum over images. But with d, the difference of the means, held fixed, the
    mean of ‖d‖² + 2 d·(f - mean f) has the same value and gradient, in one process and in many.
    """
    fake, real = fake.float(), real.detach().float()
    mean_fake, mean_real = fake.detach().mean(0), (weight[:, None] * real).mean(0)
    parallel.average([mean_fake, mean_real])
    d = mean_fake - mean_real
    return d.square().sum() + 2 * (fake - mean_fake) @ d
