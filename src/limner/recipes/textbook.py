"""The recipe of first tutorials, as the rival to beat."""

from __future__ import annotations

from limner.core.spec import Spec
from limner.recipes.base import Facts, recipe


@recipe
def textbook(facts: Facts) -> Spec:
    """DCGAN as published: binary cross-entropy, Adam 2e-4 with β₁ 0.5, no penalty (Radford et al. 2016)."""
    adam = "Adam(lr=0.0002, beta1=0.5)"
    return {
        "is": "Run",
        "objective": {"is": "GAN", "game": "NonSaturating", "penalties": []},
        "nets": {"generator": facts.net("DCGANGenerator"), "critic": facts.net("DCGANCritic")},
        "players": {
            "generator": {"is": "Player", "optimizer": adam},
            "critic": {"is": "Player", "optimizer": adam},
        },
        "batch": 64,
        "precision": facts.precision,
        "seed": facts.seed,
    }
