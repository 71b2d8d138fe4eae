"""Recipes that need labels: told to the networks, named by the critic, or known of a few images only."""

from __future__ import annotations

from limner.core.spec import Spec
from limner.recipes.base import Facts, recipe
from limner.recipes.light import light

KNOWN = ("image", "classes")
"""What the network around another one tells it."""


@recipe
def conditional(facts: Facts) -> Spec:
    """`default`, whose networks are told labels in a way of choice: -o critic.by=embedding. Needs labels.

    `generator.by` is concatenation, product or inner; `critic.by` is concatenation, embedding or projection.
    """
    planned = light(facts)
    inner = {role: {k: v for k, v in net.items() if k not in KNOWN} for role, net in planned["nets"].items()}
    generator = facts.net("ConditionalGenerator", by="inner", inner=inner["generator"])
    critic = facts.net("ConditionalCritic", by="projection", inner=inner["critic"])
    return planned | {"objective": "ConditionalGAN", "nets": {"generator": generator, "critic": critic}}


@recipe
def acgan(facts: Facts) -> Spec:
    """AC-GAN: the critic names the class instead of being told it; otherwise as `default`. Needs labels."""
    return light(facts) | {"objective": {"is": "ACGAN", "game": "Relativistic", "penalties": ["R1(1.0)", "R2(1.0)"]}}


@recipe
def semisupervised(facts: Facts) -> Spec:
    """A classifier from few labels and many pictures, with a GAN's help (Salimans et al. 2016). Needs some labels.

    To try it on labelled pictures: -o labels=100 keeps so few. A quarter of the images shown are labelled ones, all are
    shown augmented, since few labels are soon known by heart.
    """
    wide = 2 if facts.device == "cuda" else 1
    return light(facts) | {
        "objective": {"is": "SemiSupervisedGAN", "weight": 4.0, "agreement": 3.0, "sure": 0.9},
        "nets": {
            "generator": facts.net("LightGenerator", classes=0, width=8 * wide, widest=128 * wide),
            "critic": facts.net("LightCritic", width=32 * wide),
        },
        "batch": 64,
        "average": 3_000.0,
        "augment": {"is": "DiffAugment", "colour": False, "shift": 0.15, "cutout": 0.3},
        "keep": "last",
        "labelled": 0.25,
    }


@recipe
def supervised(facts: Facts) -> Spec:
    """The same classifier from the labels alone: what `semisupervised` has to beat."""
    planned = semisupervised(facts)
    return planned | {
        "objective": "Classification",
        "nets": {"critic": planned["nets"]["critic"]},
        "players": {"critic": planned["players"]["critic"]},
        "labelled": 0.5,
    }


@recipe
def logistic(facts: Facts) -> Spec:
    """Logistic regression from pixels to labels: the plainest classifier, whose weights are pictures. Needs labels."""
    planned = {name: value for name, value in supervised(facts).items() if name not in ("augment", "labelled")}
    return planned | {"nets": {"critic": facts.net("LogisticCritic")}}
