"""Mapping network and modulated synthesis."""

from __future__ import annotations

from limner.core.spec import Spec, override
from limner.recipes.base import Facts, recipe
from limner.recipes.families import run
from limner.run import Run


@recipe
def style(facts: Facts) -> Spec:
    """The style family: a second latent space to truncate, mix and edit in; a tenth slower than the default.

    See docs/systems/style.md for what it costs and what it gives.
    """
    wide = 2 if facts.device == "cuda" else 1
    generator = facts.net("StyleGenerator", width=48 * wide, widest=256 * wide)
    planned = run(facts, generator, facts.net("LightCritic", width=32 * wide, widest=256 * wide))
    # No norm holds the colours, which every grid adds to from all its channels: at the default's rate they are driven
    # to black and white within ten steps, from which tanh does not let them return.
    return override(planned, "players.generator.optimizer.lr=Cosine(2e-4, 2e-5, 0.5)", Run)
