"""Generators that are trained by their exact likelihood, pixel after pixel: no critic, no game."""

from __future__ import annotations

from limner.core.spec import Spec
from limner.recipes.base import Facts, recipe


@recipe
def lstm(facts: Facts) -> Spec:
    """Row LSTM over black and white pixels, by maximum likelihood. Readable digits after some minutes on a CPU."""
    return _run(facts, facts.net("RowLSTMGenerator", width=_width(facts, 32)), "fp32")


@recipe
def pixelcnn(facts: Facts) -> Spec:
    """Gated masked convolutions over black and white pixels, by maximum likelihood. Samples take seconds."""
    return _run(facts, facts.net("MaskedGenerator", width=_width(facts, 16)), facts.precision)


def _run(facts: Facts, generator: Spec, precision: str) -> Spec:
    adam = {"is": "Adam", "lr": {"is": "Cosine", "start": 4e-3, "end": 1e-4}, "beta1": 0.9, "beta2": 0.99}
    return {
        "is": "Run",
        "objective": "MaximumLikelihood",
        "nets": {"generator": generator},
        "players": {"generator": {"is": "Player", "optimizer": adam, "clip_norm": 100.0}},
        "batch": 32,
        "average": 2_000.0,
        "precision": precision,
        "seed": facts.seed,
    }


def _width(facts: Facts, cpu: int) -> int:
    """Four times as wide on a GPU."""
    return cpu if facts.device == "cpu" else 4 * cpu
