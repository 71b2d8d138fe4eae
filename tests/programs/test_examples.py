"""Every example in a verb's help can be pasted into a shell: verb, options and values are what the program takes."""

from __future__ import annotations

import shlex
from typing import Any

import click
import pytest

from limner.cli import app
from limner.core.errors import UserError
from limner.core.pixels import Image
from limner.operators.base import as_operator
from limner.recipes.base import Facts, plan


def lines(command: click.Command) -> list[str]:
    """The examples at the end of a verb's help."""
    return [text.strip() for text in (command.epilog or "").splitlines() if text.startswith("  ")]


def parsed(example: str) -> tuple[str, dict[str, Any]]:
    """The verb and what the program would be given by it, as a shell reads the line up to a comment or a pipe."""
    words = shlex.split(example, comments=True)
    words = words[: words.index("|")] if "|" in words else words
    assert words[0] == "limner", example
    with app.make_context("limner", words[1:]) as context:
        verb, command, rest = app.resolve_command(context, words[1:])
        assert verb is not None and command is not None
        return verb, command.make_context(verb, rest, parent=context).params


EXAMPLES = [(name, text) for name, command in app.commands.items() for text in lines(command)]


def test_every_verb_has_examples_of_its_own() -> None:
    own = {name for name, text in EXAMPLES if text.startswith(f"limner {name}")}
    assert own == set(app.commands)


@pytest.mark.parametrize("text", [text for _, text in EXAMPLES])
def test_an_example_parses(text: str) -> None:
    verb, given = parsed(text)
    if given.get("damage"):
        as_operator(given["damage"])
    if verb == "train" and not given["files"]:
        plan(given["recipe"] or "default", Facts(Image(1, 28, 28), 10_000, 10, "cpu"), given["assignments"])


@pytest.mark.parametrize(
    "text",
    [
        "limner sampel runs/demo --out grid.png",
        "limner sample runs/demo --walks walk.gif --out grid.png",
        "limner restore runs/restorer photos/ --out tried/      and a remark without its #",
        "limner restore runs/restorer photos/ --fit stretch --out x/",
    ],
)
def test_a_wrong_example_is_found(text: str) -> None:
    with pytest.raises((click.ClickException, UserError)):
        parsed(text)
