"""Values as people type them: times, counts, sizes. Pure functions; each error says how to write it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from limner.core.errors import UserError

SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
MULTIPLES = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}


def seconds(text: str) -> float:
    """`90s`, `10m`, `1h30m`, `1.5h`, `2d` → seconds; a bare number is seconds."""
    parts = re.fullmatch(r"(?:([\d.]+)d)?(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?", text.strip().lower())
    try:
        given = [] if parts is None else [(float(n), u) for n, u in zip(parts.groups(), SECONDS, strict=True) if n]
    except ValueError:
        given = []
    total = sum(number * SECONDS[unit] for number, unit in given)
    if total <= 0:
        raise UserError(f"{text!r} is no time; write it as 90s, 10m or 1h30m")
    return total


def count(text: str) -> int:
    """`500k`, `2M`, `1.5M`, `60000`, `60_000` → a whole number above 0."""
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgG]?)", text.strip().replace("_", "").replace(",", ""))
    number = float(parts[1]) * MULTIPLES[_multiple(parts[2])] if parts else 0
    if number < 1 or number != int(number):
        raise UserError(f"{text!r} is no count; write it as 60000, 500k or 2M")
    return int(number)


def size(text: str) -> tuple[int, int]:
    """`64` → (64, 64), `96x64` → (96, 64): height, then width, in pixels."""
    parts = re.fullmatch(r"(\d+)(?:[x×*](\d+))?", text.strip().lower())
    height, width = (int(parts[1]), int(parts[2] or parts[1])) if parts else (0, 0)
    if not (height and width):
        raise UserError(f"{text!r} is no size; write 64, or 96x64 for 96 high and 64 wide")
    return height, width


def duration(span: float) -> str:
    """Seconds → `45 s`, `3 min 20 s`, `1 h 5 min`."""
    whole = round(span)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    return f"{whole // 3600} h" + (f" {whole % 3600 // 60} min" if whole % 3600 // 60 else "")


def amount(number: float) -> str:
    """1234567 → `1.23M`, 45_300 → `45.3k`, 820 → `820`."""
    for suffix, multiple in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= multiple:
            few = number / multiple
            return f"{few:.3g}{suffix}" if few < 999.5 else f"{few:.0f}{suffix}"
    return f"{number:.3g}" if number < 100 else f"{number:.0f}"


class Typed(click.ParamType):  # pyright: ignore[reportMissingTypeArgument]  (generic only in newer clicks)
    """A click type from one of the functions above; its error names the option."""

    def __init__(self, read: Callable[[str], Any], name: str) -> None:
        self.read, self.name = read, name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self.read(value)
        except UserError as error:
            option = f"{param.opts[-1]}: " if param else ""
            raise UserError(f"{option}{error}") from None


DURATION = Typed(seconds, "time")
COUNT = Typed(count, "count")
SIZE = Typed(size, "size")


def _multiple(letter: str) -> str:
    return "k" if letter in ("k", "K") else letter.upper()
