"""Wasserstein GANs as published: weights clipped, or the gradient penalised, and five turns of the critic to one."""

from __future__ import annotations

from limner.core.spec import Spec
from limner.recipes.base import Facts, recipe


@recipe
def wgan(facts: Facts) -> Spec:
    """WGAN: weights cut to ±0.01, RMSprop 5e-5, five turns of the critic to one (Arjovsky et al. 2017, algorithm 1)."""
    rmsprop = "RMSprop(lr=0.00005)"
    return {
        "is": "Run",
        "objective": {"is": "GAN", "game": "Wasserstein", "penalties": ["WeightClip(0.01)"]},
        "nets": {"generator": facts.net("DCGANGenerator"), "critic": facts.net("DCGANCritic")},
        "players": {
            "generator": {"is": "Player", "optimizer": rmsprop},
            "critic": {"is": "Player", "optimizer": rmsprop, "steps": 5},
        },
        "batch": 64,
        "precision": facts.precision,
        "seed": facts.seed,
    }


@recipe
def wgan_gp(facts: Facts) -> Spec:
    """WGAN-GP: slopes of the critic held at 1 between real and fake, five turns to one (Gulrajani et al. 2017)."""
    adam = "Adam(lr=0.0005, beta1=0.0, beta2=0.9)"
    return {
        "is": "Run",
        "objective": {"is": "GAN", "game": "Wasserstein", "penalties": ["GradientPenalty(10.0)"]},
        "nets": {"generator": facts.net("LightGenerator"), "critic": facts.net("LightCritic")},
        "players": {
            "generator": {"is": "Player", "optimizer": adam},
            "critic": {"is": "Player", "optimizer": adam, "steps": 5},
        },
        "batch": 64,
        "precision": facts.precision,
        "seed": facts.seed,
    }
