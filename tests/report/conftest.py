"""A page as a browser would read it, strictly: each element closed where it must be, nothing fetched, nothing run."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

import numpy as np

from limner.data.gather import of_arrays
from limner.data.images import Images

EMPTY = {"img", "meta", "br"}
FETCHING = {"src", "href", "srcset", "data", "action", "poster"}


@dataclass
class Element:
    name: str
    attributes: dict[str, str]
    inside: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.text for part in self.inside)

    def all(self, *names: str) -> list[Element]:
        """Every element of these names, in order."""
        found = [self] if self.name in names else []
        return found + [e for part in self.inside if isinstance(part, Element) for e in part.all(*names)]


class Reader(HTMLParser):
    """Fails on what is not closed, or closed in the wrong order."""

    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("document", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"<{tag}> says an attribute twice"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inside.append(element)
        if tag not in EMPTY:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].inside.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].name == tag, f"</{tag}> closes <{self.open[-1].name}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)


def parsed(text: str) -> Element:
    """The page, checked."""
    assert text.startswith("<!DOCTYPE html>\n")
    reader = Reader()
    reader.feed(text)
    reader.close()
    (document,) = reader.open
    check(document, text)
    return document


def check(document: Element, text: str) -> None:
    """Nothing external, no scripts, accessible."""
    assert "http://" not in text and "https://" not in text and "@import" not in text and "url(" not in text
    assert not document.all("script", "link", "iframe", "object", "embed")
    (html,), (title,), (top,) = document.all("html"), document.all("title"), document.all("h1")
    assert html.attributes["lang"] == "en" and title.text == top.text
    names = {e.attributes["id"] for e in everything(document) if "id" in e.attributes}
    for element in everything(document):
        for name, value in element.attributes.items():
            assert not name.startswith("on"), f"{element.name} runs {name}"
            if name in FETCHING:
                inside = value[:1] == "#" and value[1:] in names
                assert inside or value.startswith("data:image/png;base64,"), value[:80]
        if element.name == "img":
            assert "alt" in element.attributes and element.attributes["width"].isdigit()
        if element.attributes.get("role") == "img":
            assert element.attributes["aria-label"]
    for section in document.all("section"):
        assert len(section.all("h2")) == 1
    for table in document.all("table"):
        assert all(row.all("th") and row.all("th")[0].attributes.get("scope") for row in table.all("tr"))
        widths = {len(row.all("th", "td")) for row in table.all("tr")}
        assert len(widths) == 1, f"rows of {widths} cells"


def everything(element: Element) -> list[Element]:
    return [element] + [e for part in element.inside if isinstance(part, Element) for e in everything(part)]


def pictures(n: int, seed: int, centre: float = 128, source: str = "made") -> Images:
    """Grey 4×4 pictures around a level."""
    rng = np.random.default_rng(seed)
    return of_arrays(rng.normal(centre, 30, (n, 4, 4, 1)).clip(0, 255).astype(np.uint8), source=source)
