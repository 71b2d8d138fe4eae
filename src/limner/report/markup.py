"""HTML as values: `tag` makes an element, and text is escaped unless it is Markup already.

So a page is well-formed and free of injected markup by construction, however hostile a class name is.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

EMPTY = {"img", "meta", "br", "line", "path", "rect", "circle", "polyline", "polygon"}
"""Elements without inside."""


class Markup(str):
    """A string that is HTML."""

    __slots__ = ()


Inside: TypeAlias = "str | int | float | Iterable[Inside] | None"
"""Text, which is escaped; Markup, which is not; nothing; or several of them."""


def tag(name: str, /, *inside: Inside, **attributes: object) -> Markup:
    """`tag("td", "a < b", class_="number")` → `<td class="number">a &lt; b</td>`.

    A trailing _ of an attribute's name is dropped and other _ are hyphens; None or False leaves the attribute out.
    """
    there = {key: value for key, value in attributes.items() if value is not None and value is not False}
    said = "".join(_attribute(key, value) for key, value in there.items())
    if name in EMPTY:
        return Markup(f"<{name}{said}>" if name in ("img", "meta", "br") else f"<{name}{said}/>")
    return Markup(f"<{name}{said}>{join(inside)}</{name}>")


def join(inside: Inside) -> Markup:
    """Several things one after another."""
    if inside is None:
        return Markup("")
    if isinstance(inside, Markup):
        return inside
    if isinstance(inside, (str, int, float)):
        return Markup(escape(str(inside)))
    return Markup("".join(join(part) for part in inside))


def _attribute(key: str, value: object) -> str:
    name = key.removesuffix("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
