"""Which network the scores look through, chosen by name."""

from __future__ import annotations

from pathlib import Path

from limner.core.errors import UserError
from limner.data.images import Images as Data
from limner.metrics.base import Extractor
from limner.metrics.fixed import RandomFeatures
from limner.metrics.indomain import InDomain
from limner.metrics.weights import WeightsFile, inception_file


def choose(name: str, data: Data) -> Extractor:
    """The extractor `--features` names: `in-domain`, `random`, `inception`, or a file of weights.

    `data` is what an in-domain network is trained on. Raises UserError for anything else.
    """
    if name == "in-domain":
        return InDomain.of(data)
    if name == "random":
        return RandomFeatures()
    if name == "inception":
        return WeightsFile(str(inception_file()))
    if Path(name).suffix in (".safetensors", ".pth", ".pt") or Path(name).exists():
        return WeightsFile(name)
    raise UserError(f"--features {name}: type in-domain, random, inception, or the path of a .safetensors or .pth file")
