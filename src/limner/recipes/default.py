"""What `limner train` does when no recipe is named, and the same at full size throughout."""

from __future__ import annotations

from limner.core.spec import Spec
from limner.recipes.base import Facts, recipe

FEW = 8_000
"""Images under which the critic would soon know them by heart."""
SMALL = 32
"""Pixels up to which growing gains nothing."""


@recipe
def default(facts: Facts) -> Spec:
    """Relativistic game, R1 and R2, light networks, which learn small pictures first above 32 pixels.

    Labels where there are some, DiffAugment where images are few. Chosen by distance at equal seconds
    (`benchmarks/quality.py`). 28×28 digits are readable after a minute on two CPU cores; 64×64 photographs take tens of
    minutes there, and minutes on a GPU, where the networks are wider.
    """
    planned = light(facts)
    if max(facts.image.height, facts.image.width) <= SMALL:
        return planned
    nets = {role: net | {"is": f"Growing{role.title()}"} for role, net in planned["nets"].items()}
    return planned | {"nets": nets}


@recipe
def light(facts: Facts) -> Spec:
    """The default with pictures of full size throughout: crisper and less varied after some minutes."""
    wide = 2 if facts.device == "cuda" else 1
    small = max(facts.image.height, facts.image.width) <= SMALL
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
