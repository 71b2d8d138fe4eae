"""Recipes whose codes can be read: an encoder plays beside generator and critic."""

from __future__ import annotations

from limner.core.spec import Spec, check
from limner.recipes.base import Facts, recipe
from limner.recipes.light import light
from limner.run import Run

READ = "Categorical(10, 10.0), Uniform(2)"
"""The parts of an InfoGAN's code that are read from the picture again."""


@recipe
def infogan(facts: Facts) -> Spec:
    """One category in ten and two continuous codes, found without labels, beside 16 numbers of free noise.

    Categories are learned from real pictures too: all are used, and a picture turned, moved, scaled or slanted a
    little keeps its own. `-o objective.sorting=0` is the paper's InfoGAN, which sorts by stroke as much as by digit.
    Set as many categories as you expect with `-o encoder.latent=…` and `-o generator.latent=…`.
    """
    run = check(light(facts), Run)
    narrow = {"width": 32, "classes": 0}
    nets = {
        "generator": facts.net("LightGenerator", latent=f"Mixed([{READ}, Gaussian(16)])", **narrow),
        "encoder": facts.net("LightEncoder", latent=f"Mixed([{READ}])", **narrow),
        "critic": facts.net("LightCritic", **narrow),
    }
    objective = {
        "is": "InfoGAN",
        "game": "Relativistic",
        "penalties": ["R1(1.0)", "R2(1.0)"],
        "sorting": 1.0,
        # at first no category may be given up; later a batch need not hold as many of each
        "even": {"is": "Ramp", "start": 20.0, "end": 2.0, "begin": 0.3, "finish": 0.6},
    }
    return run | {"objective": objective, "nets": nets, "augment": None, "batch": 128}


@recipe
def bigan(facts: Facts) -> Spec:
    """Finds the code of a picture by playing against a critic of pairs; no error of a reconstruction is ever taken.

    The encoder learns besides from generated pictures, whose code is known, a little turned, moved, scaled and
    slanted; `-o objective.regress=0` is the paper's BiGAN. Short trainings whose rate falls early give the best codes.
    """
    latent, narrow = "Gaussian(50)", {"width": 32, "classes": 0}
    nets = {
        "generator": facts.net("LightGenerator", latent=latent, **narrow),
        "encoder": facts.net("LightEncoder", latent=latent, **narrow),
        "critic": facts.net("LightJointCritic", latent=latent, **narrow),
    }
    objective = {"is": "BiGAN", "game": "Relativistic", "penalties": ["R1(30.0)", "R2(30.0)"], "regress": 10.0}
    falling = {"is": "Cosine", "start": 1e-3, "end": 5e-5, "begin": 0.2}
    adam = {"is": "Adam", "lr": falling, "beta1": 0.0, "beta2": 0.99}
    players = {turn: {"is": "Player", "optimizer": adam} for turn in ("generator", "critic")}
    run = check(light(facts), Run)
    return run | {"objective": objective, "nets": nets, "players": players, "augment": None, "batch": 64}


@recipe
def aae(facts: Facts) -> Spec:
    """An autoencoder whose 16 numbers a critic holds to a Gaussian: reconstructs, and samples from the prior."""
    latent, narrow = "Gaussian(16)", {"width": 32, "classes": 0}
    nets = {
        "generator": facts.net("LightGenerator", latent=latent, **narrow),
        "encoder": facts.net("LightEncoder", latent=latent, **narrow),
        "critic": {"is": "PlainCodeCritic", "latent": latent},
    }
    return check(light(facts), Run) | {"objective": "AAE", "nets": nets, "augment": None}
