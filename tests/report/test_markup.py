"""Elements are well-formed and text is escaped by construction."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from limner.report.markup import Markup, join, tag
from limner.report.page import Section, page

from .conftest import Reader, parsed

HOSTILE = ["<script>alert(1)</script>", "\"><img src=x onerror='y'>", "a & b", "</title>", "&lt;", "'", "{x} %s"]


def test_what_is_written() -> None:
    assert tag("td", "a < b", class_="number") == '<td class="number">a &lt; b</td>'
    assert tag("p", ["x", None, 3, tag("b", "y")]) == "<p>x3<b>y</b></p>"
    assert tag("img", alt="", width=0, hidden=True, id=None, title=False) == '<img alt="" width="0" hidden>'
    assert tag("line", x1=0, text_anchor="end") == '<line x1="0" text-anchor="end"/>'
    assert join(Markup("<b>")) == "<b>" and join("<b>") == "&lt;b&gt;"


@given(st.text(), st.text())
def test_any_text_comes_back_as_it_was(inside: str, value: str) -> None:
    reader = Reader()
    reader.feed(tag("p", inside.replace("\r", ""), title=value))
    reader.close()
    (p,) = reader.open[0].all("p")
    assert p.text == inside.replace("\r", "") and p.attributes["title"] == value


def test_a_page_survives_hostile_words() -> None:
    for words in HOSTILE:
        section = Section("a", words, tag("p", words), lead=words)
        document = parsed(page(words, words, [section], words))
        assert document.all("h1")[0].text == words and document.all("p")[-1].text == words
