"""Light networks that see pixels."""

from __future__ import annotations

from limner.core.spec import Spec
from limner.recipes.base import Facts, recipe

FEW = 8_000
"""Images under which the critic would soon know them by heart."""


@recipe
def light(facts: Facts) -> Spec:
    """Light networks, relativistic game, R1 and R2; labels where there are some, DiffAugment where images are few.

    Chosen by distance at equal seconds (`benchmarks/quality.py`). 28×28 digits are readable after a minute on two
    CPU cores. What `default` does for grey pictures and for small ones.
    """
    wide = 2 if facts.device == "cuda" else 1
    small = max(facts.image.height, facts.image.width) <= 32
    adam = {
        "is": "Adam",
        "lr": {"is": "Cosine", "start": 1e-3, "end": 1e-4, "begin": 0.5},
        "beta1": 0.0,
        "beta2": 0.99,
    }
    return {
        "is": "Run",
        "objective": {"is": "GAN", "game": "Relativistic", "penalties": ["R1(1.0)", "R2(1.0)"]},
        "nets": {
            "generator": facts.net("LightGenerator", width=(32 if small else 16) * wide, widest=256 * wide),
            "critic": facts.net("LightCritic", width=32 * wide, widest=256 * wide),
        },
        "players": {turn: {"is": "Player", "optimizer": adam} for turn in ("generator", "critic")},
        "batch": 32 * wide,
        "average": 10_000.0,
        "augment": "DiffAugment" if facts.count < FEW else None,
        "precision": facts.precision,
        "seed": facts.seed,
    }
