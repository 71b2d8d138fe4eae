"""For a hundred to a few thousand pictures."""

from __future__ import annotations

from limner.core.spec import Spec
from limner.recipes.base import Facts, recipe
from limner.recipes.families import run


@recipe
def small(facts: Facts) -> Spec:
    """Few pictures: skip-layer excitation, a critic that rebuilds what it sees, DiffAugment always on.

    See docs/systems/small.md for what it costs and what it gives.
    """
    wide = 2 if facts.device == "cuda" else 1
    generator = facts.net("SmallGenerator", width=24 * wide, widest=256 * wide)
    planned = run(facts, generator, facts.net("SmallCritic", width=32 * wide, widest=256 * wide))
    penalties = ["R1(1.0)", "R2(1.0)", "SelfReconstruction"]
    return planned | {
        "objective": {"is": "GAN", "game": "Relativistic", "penalties": penalties},
        "augment": "DiffAugment",
    }
