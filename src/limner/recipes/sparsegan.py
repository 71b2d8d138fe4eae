"""Sparse autoencoder inside the GAN."""

from __future__ import annotations

from limner.core.spec import Spec
from limner.recipes.base import Facts, recipe
from limner.recipes.light import light

CODES, ACTIVE = 512, 32


@recipe
def sparsegan(facts: Facts) -> Spec:
    """The default GAN on sparse codes, with an encoder that learns the code of a picture beside it.

    For samples and features from one training: 32 of 512 numbers describe a picture, and each can be looked at alone.
    """
    run = light(facts)
    latent = {"is": "Sparse", "dim": CODES, "active": ACTIVE}
    widths = {k: run["nets"]["generator"][k] for k in ("width", "widest")}
    trunk = facts.net("LightEncoder", **widths)
    encoder = facts.net("SparseEncoder", latent=latent, sparsity=f"TopK({ACTIVE})", trunk=trunk, window=2_000)
    generator = run["nets"]["generator"] | {"latent": latent}
    return run | {
        "objective": {"is": "SparseGAN", "game": "Relativistic", "penalties": ["R1(1.0)", "R2(1.0)"]},
        "nets": run["nets"] | {"generator": generator, "encoder": encoder},
    }
