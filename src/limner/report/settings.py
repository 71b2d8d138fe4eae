"""The settings of runs: read from run.json, written flat, and compared so that only what differs is left.

Only JSON is read: the user's own files, which a run folder may hold, are not executed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from limner.core.errors import UserError

ASIDE = ("counts", "names", "fingerprint")
"""What follows from the data, of which only the source and the total are told."""
ABSENT = object()


def settings(folder: Path) -> dict[str, Any]:
    """run.json, with what decides the training beside what it is for. Raises UserError when it cannot be read."""
    path = folder / "run.json"
    if not path.exists():
        raise UserError(f"{folder} holds no run: there is no run.json in it; give folders of limner train --out")
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        run = said.pop("run")
        return {key: value for key, value in run.items() if key != "is"} | said
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}); leave that run out") from error


def flat(said: Any, where: str = "") -> dict[str, str]:
    """Nested settings as `nets.generator.width` → `32`; a thing's own name stands at its place."""
    if isinstance(said, dict) and said:
        inner = [flat(value, where if key == "is" else f"{where}.{key}".lstrip(".")) for key, value in said.items()]
        return {key: value for part in inner for key, value in part.items() if key.partition(".")[0] not in ASIDE}
    return {where: written(said)}


def differences(runs: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Setting → what it is in each run, for those that are not equal in all.

    Where runs have different things in one place, each is written as a whole: `Hinge` beside `Softplus`.
    """
    alike = [{key: value for key, value in run.items() if key not in ASIDE} for run in runs]
    return dict(_differ(alike, "")) if runs else {}


def written(value: Any) -> str:
    """A setting as one would type it: `R1(gamma=0.5)`, `none`, `60,000`."""
    if value is ABSENT:
        return "–"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(written, value)) or "none"
    if isinstance(value, dict):
        said = ", ".join(f"{key}={written(v)}" for key, v in value.items() if key not in ("is", "image"))
        return f"{value.get('is', '')}({said})" if said else str(value.get("is", "none"))
    return str(value)


def _differ(values: Sequence[Any], where: str) -> Iterator[tuple[str, list[str]]]:
    if all(value == values[0] for value in values):
        return
    if all(isinstance(value, dict) for value in values) and len({value.get("is") for value in values}) == 1:
        for key in dict.fromkeys(key for value in values for key in value):
            yield from _differ([value.get(key, ABSENT) for value in values], f"{where}.{key}".lstrip("."))
        return
    yield where, [written(value) for value in values]
