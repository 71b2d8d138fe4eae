"""The roles: Generator z → x, Encoder x → q(z), Critic x → score, Translator x → x.

Some objectives give the critic's role to one of another kind: a JointCritic of pictures and codes, a CodeCritic.

A model is an nn.Module that remembers the arguments it was made with, so `spec(model)` is all that a
model file needs beside the weights.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from limner.core.errors import UserError
from limner.core.latent import Latent
from limner.core.pixels import Image
from limner.core.posterior import Posterior

Pictures = Float[Tensor, "n c h w"]
Labels = Int[Tensor, " n"] | Float[Tensor, "n told"]
"""Class numbers, -1 where the class is not known; or k numbers in [0, 1] each, nan where one is not known."""


class Model(nn.Module):
    """A network that remembers the arguments it was made with.

    grow: shares of a training after which the size of its pictures doubles; empty for full size throughout
    """

    grow: tuple[float, ...] = ()
    arguments: dict[str, Any]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__init__" in cls.__dict__:
            cls.__init__ = _remembering(cls.__init__)

    def pace(self, progress: float) -> None:
        """Told before each step of a training how much of it is over, 0 to 1; never told otherwise."""

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Compute what depends on training pictures without gradients, once before the first step; nothing here."""


class Generator(Model):
    """z → x. `latent` is the prior its codes come from, `image` the shape of what it makes."""

    latent: Latent
    image: Image
    classes: int

    def forward(self, z: Float[Tensor, "n d"], label: Labels | None = None) -> Pictures:
        """Images in [-1, 1]."""
        raise NotImplementedError

    def truncated(self, z: Float[Tensor, "n d"], label: Labels | None, psi: float) -> Pictures:
        """Images of codes moved towards the middle, psi 1 leaving them; a family may do so in a space of its own."""
        return self(self.latent.truncate(z, psi), label)


class LikelihoodGenerator(Generator):
    """A generator that knows its own distribution."""

    def quantise(self, x: Pictures, noise: Float[Tensor, "n c h w"] | float = 0.5) -> Pictures:
        """Images as the distribution takes them, rounded by uniform noise."""
        raise NotImplementedError

    def log_likelihood(self, x: Pictures, label: Labels | None = None) -> Float[Tensor, " n"]:
        """log p(x | label) in nats."""
        raise NotImplementedError


class Critic(Model):
    """x → how real it looks, a logit."""

    image: Image
    classes: int
    head: Judgement

    def forward(self, x: Pictures, label: Labels | None = None) -> Float[Tensor, " n"]:
        """Logits: higher is more real."""
        return self.head(self.features(x), label)

    def features(self, x: Pictures) -> Float[Tensor, "n d"]:
        """What the last layer reads."""
        raise NotImplementedError

    def class_logits(self, x: Pictures) -> Float[Tensor, "n k"]:
        """Which class: a logit each, which an objective with a classifier in it trains."""
        return self.head.class_logits(self.features(x))

    def judges(self) -> Sequence[nn.Module]:
        """The networks that play a game, each on a view of its own, (view, label) → (n,); here the critic itself."""
        return (self,)

    def views(self, x: Pictures) -> Sequence[Tensor]:
        """What each judge sees of pictures, computed without weights that learn; here the pictures themselves.

        Penalties on gradients are taken with respect to views.
        """
        return (x,)


class JointCritic(Model):
    """A picture beside a code → how much they look like an image and its code, a logit (Donahue et al. 2017)."""

    image: Image
    latent: Latent
    classes: int
    head: Judgement

    def forward(self, both: Float[Tensor, "n k"], label: Labels | None = None) -> Float[Tensor, " n"]:
        """Logits of what `pair` made; one tensor, so that a penalty on slopes sees image and code."""
        return self.head(self.features(*apart(both, self.image)), label)

    def features(self, x: Pictures, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """What the last layer reads."""
        raise NotImplementedError


def pair(x: Pictures, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
    """Pictures and their codes as one row of numbers each, for a joint critic."""
    return torch.cat([x.flatten(1), z], 1)


def apart(both: Float[Tensor, "n k"], image: Image) -> tuple[Pictures, Float[Tensor, "n d"]]:
    """What `pair` put together: pictures of this shape, and their codes."""
    pixels, z = both.split([image.size, both.shape[1] - image.size], dim=1)
    x = pixels.view(-1, image.channels, image.height, image.width)
    return x.contiguous(memory_format=torch.channels_last), z


class CodeCritic(Model):
    """A code → how much it looks drawn from the prior, a logit (Makhzani et al. 2016)."""

    latent: Latent
    classes: int

    def forward(self, z: Float[Tensor, "n d"], label: Labels | None = None) -> Float[Tensor, " n"]:
        """Logits: higher is more like the prior."""
        raise NotImplementedError


class CodePrior(Model):
    """How likely codes of whole numbers are, number after number, so that an entropy coder can write them.

    Codes are told in `turns`. What is said of the numbers of a turn may depend on those of earlier turns alone, and is
    made of whole numbers only: whoever decodes says exactly the same, on every machine.
    """

    latent: Latent
    image: Image
    turns: int

    def bits(self, noisy: Float[Tensor, "n d"], whole: Float[Tensor, "n d"], step: Tensor | float) -> Tensor:
        """Bits of each code, (n,), to train by: `noisy` is the code with noise as wide as rounding, in steps."""
        raise NotImplementedError

    def places(self, turn: int) -> NDArray[np.int64]:
        """Which numbers of a code a turn tells."""
        raise NotImplementedError

    def said(self, turn: int, whole: NDArray[np.int64], step: Fraction) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of codes (n, d) that are known up to this turn: the middles and the tables (`core.tables`) of its numbers."""
        raise NotImplementedError


class Encoder(Model):
    """x → q(z|x)."""

    latent: Latent
    image: Image
    classes: int
    body: nn.Module
    head: Inference

    def forward(self, x: Pictures, label: Labels | None = None) -> Posterior:
        """The distribution over codes."""
        return self.head(self.body(x), label)


class Translator(Model):
    """x → x: image to image.

    any_size: whether pictures may be of another size than `image` says
    """

    any_size: ClassVar[bool] = False
    image: Image

    def forward(self, x: Pictures, label: Labels | None = None) -> Pictures:
        """Images in [-1, 1]."""
        raise NotImplementedError


ROLES: dict[str, type[Model]] = {
    "generator": Generator,
    "encoder": Encoder,
    "critic": Critic,
    "translator": Translator,
}


def kind_of(role: str) -> type[Model] | None:
    """What plays a role: `translator` and a second one, `translator_back`, are both a Translator."""
    return ROLES.get(role.partition("_")[0])


class Classes(nn.Module):
    """Class numbers → vectors; one more row stands for an unknown class (-1)."""

    def __init__(self, classes: int, dim: int, scale: float = 1.0) -> None:
        super().__init__()
        self.rows = nn.Embedding(classes + 1, dim)
        nn.init.normal_(self.rows.weight, std=scale)

    def forward(self, label: Labels | None, n: int) -> Float[Tensor, "n d"]:
        """Rows for labels, or n rows of the unknown class; several numbers at once weigh their rows."""
        if label is None:
            label = torch.full((n,), -1, device=self.rows.weight.device)
        if label.is_floating_point():
            unknown = label.isnan().to(label.dtype).mean(1, keepdim=True)
            return torch.cat([unknown, label.nan_to_num()], 1) @ self.rows.weight
        return self.rows(label + 1)


class Entry(nn.Module):
    """Code and label → the first numbers of a generator: embedding, concatenation, one dense layer."""

    def __init__(self, latent: Latent, classes: int, out: int) -> None:
        super().__init__()
        self.label = Classes(classes, latent.dim) if classes else None
        self.dense = nn.Linear(latent.dim * (2 if classes else 1), out)

    def forward(self, z: Float[Tensor, "n d"], label: Labels | None) -> Float[Tensor, "n k"]:
        """(n, dim) → (n, out)."""
        return self.dense(z if self.label is None else torch.cat([z, self.label(label, len(z))], 1))


class Judgement(nn.Module):
    """Features and label → a logit, by projection (Miyato & Koyama 2018, eq. 3)."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.dense = nn.Linear(features, 1)
        self.label = Classes(classes, features, scale=0.0) if classes else None

    def forward(self, h: Float[Tensor, "n d"], label: Labels | None) -> Float[Tensor, " n"]:
        """(n, features) → (n,)."""
        # Full precision: games compare logits with each other, and bfloat16 keeps only three digits.
        with torch.autocast(h.device.type, enabled=False):
            h = h.float()
            logit = self.dense(h)[:, 0]
            return logit if self.label is None else logit + (h * self.label(label, len(h))).sum(1)

    def class_logits(self, h: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """(n, features) → (n, classes): the rows of the projection are a linear classifier already."""
        if self.label is None:
            raise UserError("this critic cannot name classes: train it on labelled images, told by projection")
        with torch.autocast(h.device.type, enabled=False):
            return h.float() @ self.label.rows.weight[1:].T


class Inference(nn.Module):
    """Features and label → what is believed about the code."""

    def __init__(self, features: int, latent: Latent, classes: int) -> None:
        super().__init__()
        self.features, self.latent = features, latent
        self.label = Classes(classes, latent.dim) if classes else None
        self.dense = nn.Linear(features + (latent.dim if classes else 0), latent.numbers)

    def forward(self, h: Float[Tensor, "n d"], label: Labels | None) -> Posterior:
        """(n, features) → q."""
        h = h if self.label is None else torch.cat([h, self.label(label, len(h))], 1)
        return self.latent.posterior(self.dense(h).float())


def _remembering(init: Any) -> Any:
    signature = inspect.signature(init)

    @functools.wraps(init)
    def wrapped(self: Model, *args: Any, **kwargs: Any) -> None:
        if "arguments" not in self.__dict__:
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            object.__setattr__(self, "arguments", {k: v for k, v in bound.arguments.items() if k != "self"})
        init(self, *args, **kwargs)

    return wrapped
