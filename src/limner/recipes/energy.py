"""GANs whose critic is an autoencoder."""

from __future__ import annotations

from limner.core.spec import Spec
from limner.recipes.base import Facts, recipe


@recipe
def ebgan(facts: Facts) -> Spec:
    """EBGAN with the pull-away term: a steady critic that never wins outright (Zhao et al. 2017)."""
    return run(facts, {"is": "EBGAN"}, batch=64)


@recipe
def began(facts: Facts) -> Spec:
    """BEGAN: smooth pictures, one knob for diversity, and a measure of convergence (Berthelot et al. 2017)."""
    return run(facts, {"is": "BEGAN", "diversity": 0.7, "speed": 0.02}, batch=16)


def run(facts: Facts, objective: Spec, batch: int) -> Spec:
    """Light generator, autoencoder critic, one rate for both."""
    adam = {"is": "Adam", "lr": {"is": "Cosine", "start": 5e-4, "end": 5e-5, "begin": 0.5}, "beta1": 0.5}
    return {
        "is": "Run",
        "objective": objective,
        "nets": {"generator": facts.net("LightGenerator"), "critic": facts.net("AutoencoderCritic")},
        "players": {turn: {"is": "Player", "optimizer": adam} for turn in ("generator", "critic")},
        "batch": batch,
        "average": 10_000.0,
        "precision": facts.precision,
        "seed": facts.seed,
    }
