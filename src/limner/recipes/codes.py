"""Recipes whose codes can be read: an encoder plays beside generator and critic."""

from __future__ import annotations

from limner.core.spec import Spec, check
from limner.recipes.base import Facts, recipe
from limner.recipes.default import default
from limner.train import Run

READ = "Categorical(10, 8.0), Uniform(2)"
"""The parts of an InfoGAN's code that are read from the picture again."""


@recipe
def infogan(facts: Facts) -> Spec:
    """One category in ten and two continuous codes, found without labels, beside 62 numbers of free noise.

    On MNIST the categories become the digits; set as many as you expect with
    `-o encoder.latent=…` and `-o generator.latent=…`.
    """
    run = check(default(facts), Run)
    narrow = {"width": 32, "classes": 0}
    nets = {
        "generator": facts.net("LightGenerator", latent=f"Mixed([{READ}, Gaussian(16)])", **narrow),
        "encoder": facts.net("LightEncoder", latent=f"Mixed([{READ}])", **narrow),
        "critic": facts.net("LightCritic", **narrow),
    }
    objective = {"is": "InfoGAN", "game": "NonSaturating", "penalties": ["R1(1.0)"]}
    return run | {"objective": objective, "nets": nets, "augment": None}


@recipe
def bigan(facts: Facts) -> Spec:
    """Finds the code of a picture by playing against a critic of pairs; no reconstruction error is ever taken."""
    latent, narrow = "Gaussian(50)", {"width": 32, "classes": 0}
    nets = {
        "generator": facts.net("LightGenerator", latent=latent, **narrow),
        "encoder": facts.net("LightEncoder", latent=latent, **narrow),
        "critic": facts.net("LightJointCritic", latent=latent, **narrow),
    }
    objective = {"is": "BiGAN", "game": "Relativistic", "penalties": ["R1(1.0)", "R2(1.0)"]}
    return check(default(facts), Run) | {"objective": objective, "nets": nets, "augment": None}


@recipe
def aae(facts: Facts) -> Spec:
    """An autoencoder whose 16 numbers a critic holds to a Gaussian: reconstructs, and samples from the prior."""
    latent, narrow = "Gaussian(16)", {"width": 32, "classes": 0}
    nets = {
        "generator": facts.net("LightGenerator", latent=latent, **narrow),
        "encoder": facts.net("LightEncoder", latent=latent, **narrow),
        "critic": {"is": "PlainCodeCritic", "latent": latent},
    }
    return check(default(facts), Run) | {"objective": "AAE", "nets": nets, "augment": None}
