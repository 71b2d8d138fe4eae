"""Generators that follow a velocity from noise to a picture: no critic, no game, a loss that only falls."""

from __future__ import annotations

from limner.core.spec import Spec
from limner.recipes.base import Facts, recipe


@recipe
def flow(facts: Facts) -> Spec:
    """Rectified flow in 8 steps: steady, covers all kinds of pictures, and slower to readable ones than the default."""
    return _run(facts, "RectifiedFlow", {"steps": 8, "solver": "heun"})


@recipe
def meanflow(facts: Facts) -> Spec:
    """MeanFlow: average velocities, so that a picture takes one step; a step of training costs half as much again."""
    return _run(facts, "MeanFlow", {"steps": 1, "solver": "average"})


def _run(facts: Facts, objective: str, sampling: Spec) -> Spec:
    wide = 32 if facts.device == "cpu" else 128
    side = max(facts.image.height, facts.image.width)
    sampling |= {"width": wide, "widest": 4 * wide, "patch": max(1, round(side / 16))}
    adam = {"is": "Adam", "lr": {"is": "Cosine", "start": 1e-3, "end": 1e-5, "begin": 0.3}, "beta2": 0.99}
    return {
        "is": "Run",
        "objective": objective,
        "nets": {"generator": facts.net("FlowGenerator", **sampling)},
        "players": {"generator": {"is": "Player", "optimizer": adam, "clip_norm": 1.0}},
        "batch": 32,
        "average": 10_000.0,
        "precision": facts.precision,
        "seed": facts.seed,
    }
