"""Recipes that make good what happened to pictures."""

from __future__ import annotations

from limner.core.spec import Spec, spec
from limner.recipes.base import Facts, recipe


@recipe
def restorer(facts: Facts) -> Spec:
    """Damaged pictures made good: denoised, enlarged, filled in, as told by -o damage=…; for limner restore.

    Unless told otherwise it takes away noise of any level up to 50 of 255. Learns from squares of 64 pixels, takes
    pictures of every size. Minutes on a CPU.
    """
    wide = 2 if facts.device == "cuda" else 1
    net = {"is": "RestoringTranslator", "image": spec(facts.image), "width": 32 * wide, "widest": 96 * wide}
    adam = {"is": "Adam", "lr": {"is": "Cosine", "start": 1e-3, "end": 1e-5, "begin": 0.2}}
    return {
        "is": "Run",
        "objective": {"is": "Restoration"},
        "nets": {"translator": net},
        "players": {"translator": {"is": "Player", "optimizer": adam, "clip_norm": 1.0}},
        "batch": 16,
        "average": 2_000.0,
        "precision": facts.precision,
        "seed": facts.seed,
    }
