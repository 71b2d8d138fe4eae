"""Sparse autoencoder: pictures as sums of few atoms."""

from __future__ import annotations

from limner.core.spec import Spec
from limner.recipes.base import Facts, recipe

CODES, ACTIVE = 1024, 32


@recipe
def sparse(facts: Facts) -> Spec:
    """A dictionary of 1,024 atoms, 32 of them a picture, and the encoder that chooses them; labels are not used.

    For features and for seeing what pictures are made of, not for samples. MNIST takes minutes on two CPU cores.
    """
    latent = {"is": "Sparse", "dim": CODES, "active": ACTIVE}
    adam = {"is": "Adam", "lr": {"is": "Cosine", "start": 1e-3, "end": 1e-5, "begin": 0.3}}
    return {
        "is": "Run",
        "objective": "SparseAutoencoder",
        "nets": {
            "encoder": facts.net("SparseEncoder", classes=0, latent=latent, sparsity=f"TopK({ACTIVE})"),
            "generator": facts.net("SparseGenerator", classes=0, latent=latent),
        },
        "players": {"both": {"is": "Player", "optimizer": adam}},
        "batch": 64,
        "average": 10_000.0,
        "precision": "fp32",
        "seed": facts.seed,
    }
