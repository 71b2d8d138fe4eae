"""Recipes that make pictures small."""

from __future__ import annotations

from limner.core.spec import Spec, spec
from limner.recipes.base import Facts, recipe


@recipe
def codec(facts: Facts) -> Spec:
    """A learned codec for limner compress: better pictures than JPEG and WebP of as few bytes, of pictures like these.

    One model serves a range of qualities by --step; -o objective.weight=… moves the range. Minutes on a CPU.
    """
    wide = 2 if facts.device == "cuda" else 1
    shape: Spec = {"image": spec(facts.image), "halvings": 2 if min(facts.image.height, facts.image.width) < 48 else 3}
    adam = {"is": "Adam", "lr": {"is": "Cosine", "start": 1e-3, "end": 2e-5, "begin": 0.3}}
    return {
        "is": "Run",
        "objective": "RateDistortion",
        "nets": {
            "encoder": {"is": "GridEncoder", "width": 128 * wide} | shape,
            "generator": {"is": "GridGenerator", "width": 128 * wide} | shape,
            "prior": {"is": "GridPrior"} | shape,
        },
        "players": {"codec": {"is": "Player", "optimizer": adam, "clip_norm": 1.0}},
        "batch": 16,
        "average": 10_000.0,
        "precision": facts.precision,
        "keep": "last",
        "seed": facts.seed,
    }
