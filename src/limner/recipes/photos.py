"""For photographs."""

from __future__ import annotations

from limner.core.spec import Spec
from limner.recipes.base import Facts, recipe

CODE = 128
"""Numbers in the code of a picture."""


@recipe
def photos(facts: Facts) -> Spec:
    """Photographs: a critic on frozen ImageNet features, and codes that such features give without training.

    Pictures can be inverted, edited and restored at once, since the encoder is there from the start. Mirror images
    count as pictures too; say -o mirror=false where left and right must not be exchanged (writing, faces of clocks).
    """
    wide = 2 if facts.device == "cuda" else 1
    latent = {"is": "Gaussian", "dim": CODE * wide}

    def adam(lr: float) -> Spec:
        rate = {"is": "Cosine", "start": lr, "end": lr / 20, "begin": 0.6}
        return {"is": "Player", "optimizer": {"is": "Adam", "lr": rate, "beta1": 0.0, "beta2": 0.99}}

    return {
        "is": "Run",
        "objective": {"is": "InstanceGAN", "game": "Relativistic", "penalties": ["R1(1.0)", "R2(1.0)"]},
        "nets": {
            "generator": facts.net("PhotoGenerator", latent=latent, width=16 * wide, widest=256 * wide),
            "critic": facts.net("ProjectedCritic"),
            "encoder": facts.net("PhotoEncoder", latent=latent),
        },
        "players": {"generator": adam(1.4e-3), "critic": adam(7e-4)},
        "batch": 32 * wide,
        "average": 5_000.0,
        "augment": {"is": "DiffAugment", "colour": False, "cutout": 0.0},
        "mirror": True,
        "precision": facts.precision,
        "seed": facts.seed,
    }
