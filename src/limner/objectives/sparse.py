"""A picture as a sum of few atoms: distance to the reconstruction, the price of the code, dead codes brought back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limner.core.errors import UserError
from limner.core.moment import Moment
from limner.core.spec import register
from limner.distances.base import Distance
from limner.distances.pixel import Squared
from limner.models.base import Model, Pictures
from limner.models.sparse import SparseEncoder, SparseGenerator
from limner.models.sparsity import keep
from limner.objectives.base import Examples, Objective, insist_on_one_latent

Terms = dict[str, Float[Tensor, " n"]]


@register
@dataclass(frozen=True)
class SparseAutoencoder(Objective):
    """A sparse code and a dictionary that pictures are sums of (Ng 2011; Gao et al. 2024).

    How sparse, and by which rule, is the encoder's own `sparsity`.

    distance: between a picture and its reconstruction
    auxiliary: weight of the loss that lets dead codes explain what the others left (Gao et al. 2024, appendix A.2)
    helpers: most dead codes that take part in it for one picture
    fragments: width in pixels of windows through which pieces of the first batch are cut that atoms begin as, as a
        standard deviation; 0 for atoms that begin at random
    """

    distance: Distance = Squared()
    auxiliary: float = 1 / 32
    helpers: int = 64
    fragments: float = 0.0
    players: ClassVar[dict[str, tuple[str, ...]]] = {"both": ("encoder", "generator")}
    sampled: ClassVar[bool] = False
    kinds: ClassVar[dict[str, type[Model]]] = {"encoder": SparseEncoder, "generator": SparseGenerator}

    def loss(self, turn: str, nets: nn.ModuleDict, batch: Examples, at: Moment) -> Terms:
        encoder, generator = sparse_encoder_of(nets), dictionary_of(nets)
        if at.nimg == 0:
            self.begin(encoder, generator, batch.x, at)
        h = encoder.before(batch.x, batch.label)
        code = encoder.code(h, at.progress)
        made = generator(code, batch.label)
        terms = {"distance": self.distance(made, batch.x), "price": encoder.sparsity.price(code)}
        if self.auxiliary:
            terms["auxiliary"] = self.auxiliary * self.left_to_the_dead(encoder, generator, h, batch.x - made.detach())
        at.notes["active"] = encoder.active(code)
        encoder.count(code, at.total)
        return terms

    def begin(self, encoder: SparseEncoder, generator: SparseGenerator, x: Pictures, at: Moment) -> None:
        """Set both roles on the first batch."""
        encoder.centre(x)
        generator.centre(x)
        if self.fragments:
            places = torch.rand(generator.latent.dim, 2, generator=at.rng, device=at.rng.device)
            generator.begin(x, self.fragments, places)
            encoder.weight.data.copy_(generator.weight.data)

    def left_to_the_dead(
        self, encoder: SparseEncoder, generator: SparseGenerator, h: Float[Tensor, "n m"], error: Pictures
    ) -> Float[Tensor, " n"]:
        """How badly the likeliest dead codes alone explain the error; 0 while none is dead."""
        dead = encoder.dead
        if h.device.type == "cpu" and not dead.any():  # elsewhere the answer would have to be waited for
            return h.new_zeros(len(h))
        # where fewer are dead than may help, the others are -inf and so 0 in the code
        code = keep(h.masked_fill(~dead, -torch.inf), min(self.helpers, len(dead))).relu()
        return dead.any() * (generator.mix(code) - error.flatten(1)).float().square().mean(1)

    def check(self, nets: Mapping[str, Model]) -> None:
        insist_on_one_latent("SparseAutoencoder", nets)
        encoder = nets["encoder"]
        if self.fragments and isinstance(encoder, SparseEncoder) and not isinstance(encoder.body, nn.Flatten):
            raise UserError(
                "fragments are of pixels, and the encoder's trunk reads features; use objective.fragments=0"
            )

    def after(self, turn: str, nets: nn.ModuleDict) -> None:
        dictionary_of(nets).project()


def sparse_encoder_of(nets: nn.ModuleDict) -> SparseEncoder:
    """The encoder among the players."""
    net = nets["encoder"]
    assert isinstance(net, SparseEncoder)
    return net


def dictionary_of(nets: nn.ModuleDict) -> SparseGenerator:
    """The generator among the players, which is a dictionary."""
    net = nets["generator"]
    assert isinstance(net, SparseGenerator)
    return net
