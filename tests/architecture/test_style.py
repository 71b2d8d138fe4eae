"""The house style, as far as a program can see it."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "limner"
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FILE, LONGEST_FUNCTION = 400, 40
LONGER_FUNCTIONS = {("train.py", "train"): 120}
"""The training loop is read from top to bottom."""
BANNED_NAMES = {"utils", "misc", "helpers", "common"}
MACHINE_PATHS = ("/" + "work/", "/" + "tmp/w", "/home" + "/")

each_file = pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """(name, lines of code without its docstring) of each function."""
    for node in ast.walk(tree(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            yield node.name, (node.end_lineno or 0) - body[0].lineno + 1 if body else 0


@each_file
def test_length(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_FILE, f"{path.name} has {lines} lines: which two ideas are in it?"
    for name, length in functions(path):
        allowed = LONGER_FUNCTIONS.get((path.name, name), LONGEST_FUNCTION)
        assert length <= allowed, f"{path.name}: {name} has {length} lines, {allowed} are allowed"


@each_file
def test_docstring_and_names(path: Path) -> None:
    source = tree(path)
    text = ast.get_docstring(source) or ""
    assert text.partition("\n")[0].rstrip(), f"{path} does not say what it is"
    assert path.stem not in BANNED_NAMES
    future = [n for n in source.body if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
    assert future or len(source.body) <= 1, f"{path}: from __future__ import annotations"


@each_file
def test_the_library_is_silent_and_loads_no_code(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"print", "exec", "eval", "breakpoint"}, f"{path}:{node.lineno}"
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = {alias.name.split(".")[0] for alias in node.names} | {getattr(node, "module", None) or ""}
            assert not names & {"pickle", "dill", "shelve", "marshal"}, f"{path}:{node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "load":
            given = {k.arg: k.value for k in node.keywords}
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "torch":
                safe = given.get("weights_only")
                assert isinstance(safe, ast.Constant) and safe.value is True, f"{path}:{node.lineno}"
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "np":
                assert "allow_pickle" not in given, f"{path}:{node.lineno}"


@each_file
def test_no_path_of_one_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not [found for found in MACHINE_PATHS if found in text]


@pytest.mark.parametrize("path", [p for p in FILES if "__all__" in p.read_text(encoding="utf-8")], ids=lambda p: str(p))
def test_all_is_sorted_and_there(path: Path) -> None:
    name = ".".join(("limner", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    module = importlib.import_module(name)
    assert list(module.__all__) == sorted(set(module.__all__))
    assert all(getattr(module, public) is not None for public in module.__all__)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_defaults_are_immutable(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            given = [*node.args.defaults, *(d for d in node.args.kw_defaults if d)]
            assert not [d for d in given if isinstance(d, (ast.List, ast.Dict, ast.Set))], f"{path}:{node.lineno}"
