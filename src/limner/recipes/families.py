"""One recipe a family of networks, for comparing them and for those who know what they want."""

from __future__ import annotations

from limner.core.spec import Spec
from limner.recipes.base import Facts, recipe


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
def light(facts: Facts) -> Spec:
    """The default family at its default size: most quality a second on a CPU."""
    return run(facts, facts.net("LightGenerator"), facts.net("LightCritic"))


@recipe
def residual(facts: Facts) -> Spec:
    """Norm-free residual networks: slower steps, better in the long run and on a GPU."""
    width = 16 if facts.device == "cpu" else 64
    return run(facts, facts.net("ResidualGenerator", width=width), facts.net("ResidualCritic", width=width), lr=5e-4)


def run(facts: Facts, generator: Spec, critic: Spec, lr: float = 1e-3) -> Spec:
    """What the families share: the default objective and optimizers."""
    adam = {"is": "Adam", "lr": {"is": "Cosine", "start": lr, "end": lr / 10, "begin": 0.3}, "beta1": 0.0, "beta2": 0.99}
    return {
        "is": "Run",
        "objective": {"is": "GAN", "game": "NonSaturating", "penalties": [{"is": "R1", "gamma": 1.0}]},
        "nets": {"generator": generator, "critic": critic},
        "players": {turn: {"is": "Player", "optimizer": adam} for turn in ("generator", "critic")},
        "batch": 64,
        "average": 10_000.0,
        "precision": facts.precision,
        "seed": facts.seed,
    }
