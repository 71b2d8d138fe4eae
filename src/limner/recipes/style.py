"""Mapping network and modulated synthesis."""

from __future__ import annotations

from limner.core.spec import Spec
from limner.recipes.base import Facts, recipe
from limner.recipes.families import run


@recipe
def style(facts: Facts) -> Spec:
    """The style family: a second latent space to truncate, mix and edit in; a tenth slower than the default.

    See docs/systems/style.md for what it costs and what it gives.
    """
    wide = 2 if facts.device == "cuda" else 1
    generator = facts.net("StyleGenerator", width=48 * wide, widest=256 * wide)
    return run(facts, generator, facts.net("LightCritic", width=32 * wide, widest=256 * wide))
