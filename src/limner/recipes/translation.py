"""Recipes for picture to picture."""

from __future__ import annotations

from dataclasses import replace

from limner.core.pixels import Image
from limner.core.spec import Spec, spec
from limner.recipes.base import Facts, recipe

ADAM: Spec = {
    "is": "Adam",
    "lr": {"is": "Cosine", "start": 1e-3, "end": 1e-4, "begin": 0.5},
    "beta1": 0.5,
    "beta2": 0.99,
}


@recipe
def cyclegan(facts: Facts) -> Spec:
    """Two folders of pictures that nobody has matched, each translated into the other (CycleGAN, Zhu et al. 2017).

    Needs DATA with two sub-folders A/ and B/, or --to OTHER. Colours, ink and texture change; shapes hardly do.
    """
    one = replace(facts, classes=0)
    nets = {
        "translator": translator("LightTranslator", facts.image, facts),
        "translator_back": translator("LightTranslator", facts.image, facts),
        "critic": one.net("PatchCritic", width=critic_width(facts)),
        "critic_back": one.net("PatchCritic", width=critic_width(facts)),
        "history": {"is": "History", "image": spec(facts.image)},
        "history_back": {"is": "History", "image": spec(facts.image)},
    }
    return run("CycleGAN", nets, facts, cycle=2.0)


@recipe
def paired(facts: Facts) -> Spec:
    """Pictures and their answers, matched: what the one becomes, the other shows (pix2pix, Isola et al. 2017).

    Needs DATA with A/ and B/ that hold files of the same names, --to OTHER, or two pictures side by side in each file.
    """
    sheet = facts.image
    image = Image(sheet.channels, sheet.height, max(1, sheet.width // 2))
    both = Image(2 * image.channels, image.height, image.width)
    nets = {
        "translator": translator("UNetTranslator", image, facts),
        "critic": replace(facts, image=both, classes=0).net("PatchCritic", width=critic_width(facts)),
    }
    return run("Paired", nets, facts)


def translator(name: str, image: Image, facts: Facts) -> Spec:
    """A translator of pictures of this shape."""
    wide = 2 if facts.device == "cuda" else 1
    return {"is": name, "image": spec(image), "width": 32 * wide, "widest": 128 * wide}


def critic_width(facts: Facts) -> int:
    """Channels of a critic's first stage."""
    return 64 if facts.device == "cuda" else 32


def run(objective: str, nets: dict[str, Spec], facts: Facts, **options: object) -> Spec:
    """The settings that both share."""
    player = {"is": "Player", "optimizer": ADAM}
    return {
        "is": "Run",
        "objective": {"is": objective, "penalties": ["R1(1.0)"]} | options,
        "nets": nets,
        "players": {turn: player for turn in ("translator", "critic")},
        "batch": 16,
        "average": 5_000.0,
        "precision": facts.precision,
        "seed": facts.seed,
    }
