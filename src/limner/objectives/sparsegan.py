"""Generator against critic, and beside the generator a sparse encoder whose codes it turns back into pictures.

Codes of pictures and codes of the prior go through the generator in one batch, so that the running statistics of its
norms are those of both.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.core.moment import Moment
from limner.core.schedule import Schedule
from limner.core.spec import register
from limner.distances.base import Distance
from limner.distances.pixel import Squared
from limner.models.base import Model
from limner.models.sparse import SparseEncoder
from limner.objectives.base import Examples, generator_of, insist_on_one_latent
from limner.objectives.gan import GAN
from limner.objectives.sparse import sparse_encoder_of

Terms = dict[str, Float[Tensor, " n"]]


@register
@dataclass(frozen=True)
class SparseGAN(GAN):
    """A GAN on sparse codes, and the encoder that finds a picture's code trained beside it (after Larsen et al. 2016).

    The generator's turn moves generator and encoder together: game + reconstruction + price of the code.

    game: the adversarial loss
    penalties: further terms of the critic's turn
    distance: between a picture and what the generator makes of its code
    reconstruction: weight of that distance
    every: one picture in so many is encoded and reconstructed; the others only meet the critic
    revival: weight of what lifts the pre-activations of dead codes
    activations: price of the mean size of the numbers inside the generator, 0 for none
    """

    distance: Distance = Squared()
    reconstruction: Schedule = 5.0
    every: int = 4
    revival: float = 0.1
    activations: Schedule = 0.0
    begins_small: ClassVar[bool] = False
    players: ClassVar[dict[str, tuple[str, ...]]] = {"generator": ("generator", "encoder"), "critic": ("critic",)}
    kinds: ClassVar[dict[str, type[Model]]] = {"encoder": SparseEncoder}

    def generator_terms(self, nets: nn.ModuleDict, batch: Examples, at: Moment) -> Terms:
        """Both sides of the generator: its fakes against the critic, and pictures made of pictures' codes."""
        generator, encoder = generator_of(nets), sparse_encoder_of(nets)
        chosen = slice((-(at.rows.start or 0)) % self.every, None, self.every)
        x, label = batch.x[chosen], None if batch.label is None else batch.label[chosen]
        if at.nimg == 0:
            encoder.centre(batch.x)
        h = encoder.before(x, label)
        code = encoder.code(h, at.progress)
        told = None if batch.label is None else torch.cat([batch.label, batch.label[chosen]])
        with sizes(generator, self.activations != 0.0) as heard:
            made = generator(torch.cat([at.codes(generator.latent), code]), told)
        fake, again = made.split([len(batch.x), len(x)])
        terms = self.deceive(nets, fake, batch, at) | {
            "distance": self.spread(at(self.reconstruction) * self.distance(again, x), chosen, batch, at),
            "price": self.spread(encoder.sparsity.price(code) + self.lift(encoder, h), chosen, batch, at),
        }
        if heard:
            terms["activations"] = (at(self.activations) * torch.stack(heard).mean()).expand(len(fake))
        at.notes["active"] = encoder.active(code)
        encoder.count(code, -(-at.total // self.every))
        return terms

    def check(self, nets: Mapping[str, Model]) -> None:
        insist_on_one_latent("SparseGAN", nets)

    def lift(self, encoder: SparseEncoder, h: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
        """How far dead codes' pre-activations are below the picture's largest."""
        below = (h.detach().amax(1, keepdim=True) - h).relu()
        dead = encoder.dead.float()
        return self.revival * (below * dead).sum(1) / dead.sum().clamp_min(1)

    def spread(self, term: Float[Tensor, " k"], chosen: slice, batch: Examples, at: Moment) -> Float[Tensor, " n"]:
        """A term of the chosen rows as one of all rows, with the same mean over the whole batch."""
        full = term.new_zeros(len(batch.x))
        full[chosen] = term * (at.total / -(-at.total // self.every))
        return full


@contextmanager
def sizes(net: nn.Module, listen: bool) -> Generator[list[Tensor]]:
    """A list that fills with the mean absolute output of each layer of a network but the last, while it runs."""
    heard: list[Tensor] = []
    layers = [m for m in net.modules() if not list(m.children())][:-1] if listen else []

    def hear(_layer: nn.Module, _given: object, out: Tensor) -> None:
        heard.append(out.float().abs().mean())

    hooks = [layer.register_forward_hook(hear) for layer in layers]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()
