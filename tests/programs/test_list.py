"""`limner list`, help and mistyped words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limner.cli.kinds import HOMES, kinds
from limner.core.spec import catalog

Limner = Callable[..., Any]


def test_list_names_everything(limner: Limner) -> None:
    said = limner("list")
    assert said.code == 0 and said.err == ""
    for kind in kinds().values():
        for name in catalog(kind):
            assert f"  {name}" in said.out
    assert max(len(line) for line in said.out.splitlines()) < 400
    assert [line.partition(":")[0] for line in said.out.splitlines() if line and line[0] != " "] == [*HOMES, "recipes"]


def test_one_thing_in_full(limner: Limner) -> None:
    said = limner("list", "GradientPenalty")
    assert "Gulrajani" in said.out
    words = next(line for line in said.out.splitlines() if line.startswith("weight")).split()
    assert words[:2] == ["weight", "10.0"]


def test_json_is_the_same_catalogue(limner: Limner) -> None:
    said = limner("list", "Penalty", "--json").json
    assert list(said["Penalty"]) == list(catalog(kinds()["Penalty"]))
    assert said["Penalty"]["R1"]["options"][0] == {
        "name": "gamma",
        "type": "number or Curve",
        "doc": "weight, a number or a curve",
        "default": 1.0,
    }


def test_a_users_file_joins_the_list(limner: Limner, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from dataclasses import dataclass\n"
        "from limner.core.spec import register\n"
        "from limner.objectives.base import Game\n"
        "@register\n@dataclass(frozen=True)\nclass MineOnly(Game):\n"
        '    """A game of my own.\n\n    margin: how far\n    """\n    margin: float = 0.5\n'
    )
    try:
        said = limner("list", "MineOnly", "--with", file)
        assert said.code == 0
        assert "A game of my own." in said.out and "how far" in said.out
    finally:
        from limner.core import spec

        spec._classes.pop("MineOnly", None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], "did you mean train?"),
        (["list", "Hing"], "did you mean Hinge?"),
        (["list", "--jsn"], "--json"),
        (["list", "--with", "nowhere.py"], "nowhere.py: there is no such file"),
        (["train"], "--out"),
        (["sample"], "MODEL"),
        (["train", "digits", "--out", "x", "--for", "soon"], "--for: 'soon' is no time; write it as 90s"),
        (["train", "digits", "--out", "x", "--size", "big"], "--size: 'big' is no size"),
        (["check", "digits", "--device", "tpu"], "--device tpu: choose one of auto, cpu, cuda, mps"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(limner: Limner, arguments: list[str], words: str) -> None:
    said = limner(*arguments)
    assert said.code == 2
    assert said.out == ""
    assert said.err.count("\n") == 1 and said.err.startswith("limner: ")
    assert words in said.err


def test_without_a_verb_it_helps(limner: Limner) -> None:
    said = limner()
    assert said.code == 0 and said.out == limner("--help").out
    assert limner("--version").out.startswith("limner 0.")
