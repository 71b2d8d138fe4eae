"""Limner trains an image generator on your own pictures and lets you use it.

Names are fetched when first used: `import limner` alone costs nothing and does not load torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limner.core.errors import UserError
    from limner.core.spec import build, catalog, options, register, spec
    from limner.data.gather import gather, survey
    from limner.likeness import load

__version__ = "0.1.0"

_HOMES = {
    "UserError": "limner.core.errors",
    "build": "limner.core.spec",
    "catalog": "limner.core.spec",
    "gather": "limner.data.gather",
    "load": "limner.likeness",
    "options": "limner.core.spec",
    "register": "limner.core.spec",
    "spec": "limner.core.spec",
    "survey": "limner.data.gather",
}

__all__ = ["UserError", "__version__", "build", "catalog", "gather", "load", "options", "register", "spec", "survey"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'limner' has no attribute {name!r}; there are {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
