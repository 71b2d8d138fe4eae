"""Imports go downwards only, as the architecture's table says; found by reading the source, not by running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "limner"
FILES = sorted(PACKAGE.rglob("*.py"))
LAYERS = (
    {"core", "lessons"},
    {"models", "distances", "data"},
    {"objectives", "augments", "operators", "goals", "metrics", "baselines"},
    {"run", "train", "explore", "evaluate", "codec", "recognise", "monitor", "patience", "likeness", "journal", "curve"}
    | {"translations", "restoring", "judging", "alarms", "symptoms", "trend"},
    {"project", "recipes", "report", "selection", "tuning"},
    {"cli", "studio", "proofs", "verify"},
)
SHOWN_TO_ALL = ("limner.metrics.visible", "limner.metrics.sight", "limner.metrics.contrast")
"""What the eye sees at once is measured at each look and named in captions: engines know its scores by name."""
VOCABULARIES, ENGINES = LAYERS[2], LAYERS[3]
ALLOWED_SIDEWAYS = {("goals", "operators"), ("objectives", "operators"), ("objectives", "augments")}
ALLOWED_SIDEWAYS |= {("distances", "models")}
ALLOWED_SIDEWAYS |= {("train", "run"), ("restoring", "explore"), ("monitor", "alarms"), ("monitor", "symptoms")}
CORE_MAY_IMPORT = {"torch", "numpy", "jaxtyping", "safetensors"}
CORE_MAY_IMPORT_LATE = CORE_MAY_IMPORT | {"PIL"}
STANDARD = __import__("sys").stdlib_module_names
HEAVY = {"torch", "numpy", "scipy", "matplotlib", "PIL", "safetensors", "rich", "sklearn"}
"""What `limner --help` must not load."""
OPTIONAL = {"huggingface_hub", "pyarrow", "tensorboard", "torchmetrics", "torch_fidelity", "gradio", "torchvision"}
OPTIONAL |= {"sklearn", "cma", "constriction", "playwright", "optuna"}


def part(path: Path) -> str:
    """`core`, `train`, ...: the box of the architecture's table that a file lies in."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def for_types(node: ast.AST) -> bool:
    """Whether this is `if TYPE_CHECKING:`, which never runs."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """(module, is it at the top of the file) for each import, names of `from limner import x` included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) or for_types(f) for n in ast.walk(f)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) not in late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            base = [node.module or ""]
            names = [f"{node.module}.{a.name}" for a in node.names] if node.module == "limner" else base
            yield from ((name, id(node) not in late) for name in names)


def floor(name: str) -> int:
    """The number of a box's layer."""
    return next(i for i, layer in enumerate(LAYERS) if name in layer)


def ours(path: Path) -> list[str]:
    return [name for name, _ in imports(path) if name.startswith("limner.") and not name.startswith("limner.__")]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    here = part(path)
    if here == "__init__":
        at_once = [name for name, top in imports(path) if top and name.startswith("limner")]
        assert not at_once, "limner/__init__.py must import nothing of Limner until it is asked"
        return
    for name in ours(path):
        there = name.split(".")[1]
        beside = floor(there) == floor(here) and here != there
        assert floor(there) <= floor(here), f"{here} (layer {floor(here)}) imports {name} (layer {floor(there)})"
        if beside and floor(here) in (1, 2, 3):
            assert (here, there) in ALLOWED_SIDEWAYS, f"{here} and {there} are neighbours: {name}"


@pytest.mark.parametrize("path", [p for p in FILES if part(p) in ENGINES], ids=lambda p: p.stem)
def test_engines_know_vocabularies_by_their_base_only(path: Path) -> None:
    for name in ours(path):
        words = name.split(".")
        if words[1] in VOCABULARIES | {"models", "distances"}:
            known = words[2] == "base" or name.startswith(SHOWN_TO_ALL)
            assert known, f"{path.name} imports {name}: engines import */base.py only"


@pytest.mark.parametrize("path", [p for p in FILES if part(p) == "core"], ids=lambda p: p.stem)
def test_core_needs_little(path: Path) -> None:
    for name, top in imports(path):
        first = name.split(".")[0]
        if first not in STANDARD | {"limner"}:
            assert first in (CORE_MAY_IMPORT if top else CORE_MAY_IMPORT_LATE), f"core/{path.name} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_optional_packages_are_imported_late(path: Path) -> None:
    top = {name.split(".")[0] for name, at_top in imports(path) if at_top}
    assert not top & OPTIONAL
    if part(path) == "cli":
        assert not top & HEAVY, "a verb imports what it needs when it runs"


def test_every_part_has_a_layer() -> None:
    known = set().union(*LAYERS) | {"__init__", "__main__"}
    assert {part(path) for path in FILES} <= known
