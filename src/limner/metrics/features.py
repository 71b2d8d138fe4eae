"""Which networks the scores look through, chosen by name."""

from __future__ import annotations

from pathlib import Path

from limner.core.errors import UserError
from limner.core.pixels import Image
from limner.data.images import Images as Data
from limner.metrics.base import Extractor
from limner.metrics.fixed import RandomFeatures
from limner.metrics.indomain import InDomain
from limner.metrics.photographs import LARGE, SIDE, Photographs
from limner.metrics.weights import WeightsFile, inception_file

AUTO = "auto"
PHOTOGRAPHS = {one.name: one for one in (Photographs(SIDE), Photographs(LARGE))}
NAMES = "in-domain, photographs, photographs-224, random, inception"


def choose(name: str, data: Data) -> Extractor:
    """The extractor of that name: `in-domain`, `photographs`, `photographs-224`, `random`, `inception`, or a file
    of weights.

    `data` is what an in-domain network is trained on. Raises UserError for anything else.
    """
    if name == "in-domain":
        return InDomain.of(data)
    if name in PHOTOGRAPHS:
        return PHOTOGRAPHS[name]
    if name == "random":
        return RandomFeatures()
    if name == "inception":
        return WeightsFile(str(inception_file()))
    if Path(name).suffix in (".safetensors", ".pth", ".pt") or Path(name).exists():
        return WeightsFile(name)
    raise UserError(f"--features {name}: type {NAMES}, or the path of a .safetensors or .pth file")


def choose_all(names: str, data: Data) -> tuple[Extractor, ...]:
    """The extractors that `--features` names, separated by commas, each once.

    `auto` is `photographs,in-domain` for colour pictures (`photographs-224,in-domain` for large ones) and `in-domain`
    for grey ones: features trained on the pictures themselves need not see what a photograph shows. Raises UserError
    as `choose` does.
    """
    if names == AUTO:
        names = ",".join(usual(data.image))
    listed = [names] if Path(names).exists() else [name.strip() for name in names.split(",") if name.strip()]
    if not listed:
        raise UserError(f"--features {names}: type {NAMES}, or the path of a .safetensors or .pth file")
    return tuple(choose(name, data) for name in dict.fromkeys(listed))


def usual(image: Image) -> tuple[str, ...]:
    """The names of the features that pictures of this shape are judged by."""
    if image.channels < 3:
        return ("in-domain",)
    large = max(image.height, image.width) > SIDE
    return Photographs(LARGE if large else SIDE).name, "in-domain"
