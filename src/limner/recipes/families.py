"""One recipe a family of networks, for comparing them and for those who know what they want."""

from __future__ import annotations

from limner.core.spec import Spec, check, override
from limner.recipes.base import Facts, recipe
from limner.recipes.light import light
from limner.run import Run


@recipe
def plain(facts: Facts) -> Spec:
    """Dense layers only: the fastest step, blurry beyond 32 pixels. For points, teaching and tiny images."""
    return run(facts, facts.net("PlainGenerator", width=512), facts.net("PlainCritic", width=512, dropout=0.1))


@recipe
def dense(facts: Facts) -> Spec:
    """A dense layer to a quarter-size grid, then convolutions: the network of many first tutorials."""
    return run(facts, facts.net("DenseGenerator"), facts.net("DenseCritic"))


@recipe
def dcgan(facts: Facts) -> Spec:
    """DCGAN's networks, trained with today's objective instead of the published one (see `textbook`)."""
    return run(facts, facts.net("DCGANGenerator"), facts.net("LightCritic", width=64))


@recipe
def residual(facts: Facts) -> Spec:
    """Norm-free residual networks: slower steps, better in the long run and on a GPU."""
    width = 16 if facts.device == "cpu" else 64
    return run(facts, facts.net("ResidualGenerator", width=width), facts.net("ResidualCritic", width=width), lr=5e-4)


@recipe
def growing(facts: Facts) -> Spec:
    """Small pictures first: more variety in the first minutes of photographs of 64 pixels."""
    planned = light(facts)
    nets = {role: net | {"is": f"Growing{role.title()}"} for role, net in planned["nets"].items()}
    return planned | {"nets": nets}


def run(facts: Facts, generator: Spec, critic: Spec, lr: float = 1e-3) -> Spec:
    """The default recipe with other networks and rate."""
    planned = check(light(facts), Run)
    for turn in planned["players"]:
        planned = override(planned, f"players.{turn}.optimizer.lr=Cosine({lr}, {lr / 10}, 0.5)", Run)
    return planned | {"nets": {"generator": generator, "critic": critic}}
