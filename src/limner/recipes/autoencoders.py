"""Recipes with an encoder: pictures into codes and back."""

from __future__ import annotations

from limner.core.spec import Spec
from limner.recipes.base import Facts, recipe
from limner.recipes.light import light


@recipe
def autoencoder(facts: Facts) -> Spec:
    """Pictures into 64 numbers (128 in colour) and back, by squared error: to reconstruct, not to sample."""
    return run(facts, {"is": "Autoencoder"})


@recipe
def denoising(facts: Facts) -> Spec:
    """The autoencoder told to undo noise and holes: codes that know what belongs together."""
    return run(facts, {"is": "Autoencoder", "noise": 0.5, "masked": 0.25})


@recipe
def vae(facts: Facts) -> Spec:
    """A variational autoencoder: smooth samples, reconstructions and codes that follow the prior. Trains steadily."""
    return run(facts, {"is": "VAE", "likelihood": "Student"})


@recipe
def vaegan(facts: Facts) -> Spec:
    """A VAE whose pictures a critic compares and judges: sharper; reconstructions alike in kind, not in pixels."""
    planned, rival = run(facts, {"is": "VAEGAN", "pixels": 0.2}), light(facts)
    critic = rival["nets"]["critic"] | {"classes": 0}
    players = {"autoencoder": rival["players"]["generator"], "critic": rival["players"]["critic"]}
    return planned | {"nets": planned["nets"] | {"critic": critic}, "players": players, "augment": rival["augment"]}


def run(facts: Facts, objective: Spec) -> Spec:
    """Light networks, told no labels, with a code between them."""
    wide = 2 if facts.device == "cuda" else 1
    options = {
        "classes": 0,
        "latent": f"Gaussian({64 if facts.image.channels < 3 else 128})",
        "width": 32 * wide,
        "widest": 256 * wide,
    }
    adam = {"is": "Adam", "lr": {"is": "Cosine", "start": 1e-3, "end": 1e-5, "begin": 0.3}}
    return {
        "is": "Run",
        "objective": objective,
        "nets": {role: facts.net(f"Light{role.title()}", **options) for role in ("encoder", "generator")},
        "players": {"autoencoder": {"is": "Player", "optimizer": adam}},
        "batch": 32,
        "average": 10_000.0,
        "precision": facts.precision,
        "seed": facts.seed,
    }
