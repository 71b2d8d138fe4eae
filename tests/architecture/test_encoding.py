"""Text files are UTF-8 whatever the machine's language: none is opened without saying so."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).parents[2] / "src" / "limner").rglob("*.py"))
MODES = {"r", "w", "a", "x", "r+", "rt", "wt", "at"}


def unsaid(source: str) -> Iterator[str]:
    """Calls that read or write text in the encoding of the machine."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or any(word.arg == "encoding" for word in node.keywords):
            continue
        name, method = getattr(node.func, "attr", getattr(node.func, "id", "")), isinstance(node.func, ast.Attribute)
        modes = {given.value for given in node.args if isinstance(given, ast.Constant) and given.value in MODES}
        reads, writes = name == "read_text" and not node.args, name == "write_text" and method and len(node.args) < 2
        if reads or writes or (name == "open" and modes):
            yield ast.unparse(node)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_every_text_file_is_utf8(path: Path) -> None:
    found = [call for call in unsaid(path.read_text("utf-8")) if not call.startswith(("store.", "limner."))]
    assert not found


def test_what_would_be_found() -> None:
    wrong = "a.read_text()", "a.write_text(b)", "a.open('w')", "open(a, 'r')"
    right = "a.read_text('utf-8')", "a.write_text(b, 'utf-8')", "a.open('rb')", "a.open('w', encoding='utf-8')"
    assert [len(list(unsaid(call))) for call in wrong] == [1, 1, 1, 1]
    assert not any(list(unsaid(call)) for call in right)
