"""The page: a title, sections with a list of them, one style sheet; nothing is fetched and nothing runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from limner.report.markup import Inside, Markup, join, tag


@dataclass(frozen=True)
class Section:
    """A part of a page.

    name: what links to it
    title: its heading
    body: what it holds
    lead: a sentence on how to read it
    """

    name: str
    title: str
    body: Markup
    lead: Inside = None


def page(title: str, about: Inside, sections: Sequence[Section], foot: Inside = None) -> str:
    """A whole HTML document."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(style())),
    )
    links = tag("ul", [tag("li", tag("a", s.title, href=f"#{s.name}")) for s in sections])
    body = tag(
        "body",
        tag("header", tag("h1", title), tag("p", about), tag("nav", links, aria_label="Sections")),
        tag("main", [_section(s) for s in sections]),
        tag("footer", foot),
    )
    return "<!DOCTYPE html>\n" + tag("html", head, "\n", body, lang="en") + "\n"


def table(head: Sequence[Inside], rows: Sequence[Sequence[Inside]], caption: Inside = None, kind: str = "") -> Markup:
    """A table whose first column names its rows; it scrolls by itself where the screen is narrow."""
    top = tag("thead", tag("tr", [tag("th", cell, scope="col") for cell in head])) if head else None
    lines = [tag("tr", tag("th", row[0], scope="row"), [tag("td", cell) for cell in row[1:]]) for row in rows]
    named = tag("caption", caption) if caption else None
    whole = tag("table", named, top, tag("tbody", lines), class_=kind or None)
    return tag("div", whole, class_="scroll", tabindex="0", role="group", aria_label=_words(caption) or "Table")


def style() -> str:
    """The style sheet."""
    return Path(__file__).with_name("style.css").read_text(encoding="utf-8")


def _section(section: Section) -> Markup:
    lead = tag("p", section.lead, class_="lead") if section.lead else None
    return join(["\n", tag("section", tag("h2", section.title), lead, section.body, id=section.name)])


def _words(said: Inside) -> str:
    return said if isinstance(said, str) and not isinstance(said, Markup) else ""
