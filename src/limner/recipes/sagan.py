"""Self-attention and spectral normalisation, in the combination that made them known."""

from __future__ import annotations

from limner.core.spec import Spec, check
from limner.recipes.base import Facts, recipe
from limner.recipes.light import light
from limner.run import Run


@recipe
def sagan(facts: Facts) -> Spec:
    """SAGAN's parts on light networks: attention at 16×16, spectral norm, hinge, two rates (Zhang et al. 2019).

    No gradient penalty, so nothing is differentiated twice. The rates are five times the published ones:
    runs here are short. See docs/systems/attention.md.
    """
    run = check(light(facts), Run)
    generator, critic = (
        {name: value for name, value in run["nets"][role].items() if name not in ("image", "classes")}
        for role in ("generator", "critic")
    )
    rates = {"generator": 5e-4, "critic": 2e-3}
    adams = {turn: f"Adam(Cosine({lr}, {lr / 10}, 0.5), beta1=0.0, beta2=0.9)" for turn, lr in rates.items()}
    return run | {
        "objective": {"is": "GAN", "game": "Hinge", "penalties": []},
        "nets": {
            "generator": facts.net("AttentiveGenerator", inner=generator),
            "critic": facts.net("SpectralCritic", inner={"is": "AttentiveCritic", "inner": critic}),
        },
        "players": {turn: {"is": "Player", "optimizer": adam} for turn, adam in adams.items()},
    }
