"""Prints what is installed here as pip constraints: exact versions, no addresses.

A release that has left an older Python behind is pinned only where it runs; there pip takes the newest that does.
"""

from __future__ import annotations

from importlib.metadata import Distribution, distributions

from packaging.specifiers import SpecifierSet

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
OURS = {"limner", "pip", "setuptools", "wheel"}


def line(found: Distribution) -> str:
    """`name==version`, with a marker where not every supported Python can have it."""
    name, version = found.metadata["Name"].lower().replace("_", "-"), found.version.partition("+")[0]
    allowed = SpecifierSet(found.metadata.get("Requires-Python") or "")
    fits = [python for python in PYTHONS if allowed.contains(f"{python}.99")]
    marker = "" if len(fits) == len(PYTHONS) else f'; python_version >= "{fits[0]}"'
    return f"{name}=={version}{marker}"


print("# Tested together. Written by `make lock`.")
print("\n".join(sorted({line(d) for d in distributions() if d.metadata["Name"].lower() not in OURS})))
