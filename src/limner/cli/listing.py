"""`limner list`: everything in the catalogue, one line each; or one thing in full."""

from __future__ import annotations

import inspect
from typing import Any

import click

from limner.cli.flags import examples, json_flag, load_files
from limner.cli.kinds import HOMES, kind, kinds, summary, type_name, typed
from limner.cli.show import emit, line, table
from limner.core.errors import unknown

RECIPES = "recipes"


@click.command(
    "list",
    help=f"""List what can be chosen: networks, objectives, metrics, recipes, ...

    KIND is one of {", ".join(HOMES)} or {RECIPES}; NAME is any one thing of them.
    """,
    short_help="Everything that can be chosen, one line each.",
    epilog=examples(
        "limner list  # everything there is",
        "limner list Game  # the games and their options",
        "limner list R1  # one thing: each option, its default and meaning",
        "limner list recipes  # ready-made settings for limner train --recipe",
    ),
)
@click.argument("what", required=False, metavar="[KIND|NAME]")
@click.option("--with", "files", multiple=True, metavar="FILE.py", help="Your own file, to see what it adds.")
@json_flag
def listing(what: str | None, files: tuple[str, ...], as_json: bool) -> None:
    """List what can be chosen: networks, objectives, metrics, recipes, ..."""
    load_files(files)
    shelves = {name: _shelf(name) for name in ([what] if what in (*HOMES, RECIPES) else [*HOMES, RECIPES])}
    if what is None or what in shelves:
        _print_json(shelves) if as_json else _print_shelves(shelves)
        return
    things = {name: thing for shelf in shelves.values() for name, thing in shelf.items()}
    if what not in things:
        raise unknown("kind or name", what, [*shelves, *things])
    _print_json({what: {what: things[what]}}) if as_json else _print_thing(what, things[what])


def _shelf(name: str) -> dict[str, Any]:
    """Name → class, or recipe name → function."""
    if name == RECIPES:
        from limner.recipes.base import recipes

        return dict(recipes())
    from limner.core.spec import catalog

    return dict(catalog(kind(name)))


def _options(thing: Any) -> list[dict[str, Any]]:
    """Each option of a class as JSON; recipes take theirs from the data."""
    from limner.core.spec import options, spec

    if not isinstance(thing, type):
        return []
    return [
        {"name": o.name, "type": type_name(o.type), "doc": o.doc} | ({} if o.required else {"default": spec(o.default)})
        for o in options(thing)
    ]


def _print_json(shelves: dict[str, dict[str, Any]]) -> None:
    emit(
        {
            shelf: {name: {"doc": inspect.getdoc(thing), "options": _options(thing)} for name, thing in things.items()}
            for shelf, things in shelves.items()
        }
    )


def _print_shelves(shelves: dict[str, dict[str, Any]]) -> None:
    for number, (shelf, things) in enumerate(shelves.items()):
        about = "settings for limner train --recipe NAME" if shelf == RECIPES else summary(kinds()[shelf])
        line(f"{chr(10) if number else ''}{shelf}: {about}")
        table([(f"  {name}", summary(thing), _short(thing)) for name, thing in things.items()])


def _short(thing: Any) -> str:
    return " ".join(f"{o['name']}={typed(o['default'])}" if "default" in o else o["name"] for o in _options(thing))


def _print_thing(name: str, thing: Any) -> None:
    given = _options(thing)
    names = {o["name"] for o in given}
    prose = [t for t in (inspect.getdoc(thing) or "").splitlines() if t.partition(": ")[0] not in names]
    line(f"{name}\n\n" + "\n".join(prose).strip())
    if given:
        line()
        rows = [(o["name"], typed(o["default"]) if "default" in o else "required", o["type"], o["doc"]) for o in given]
        table(rows, head=("option", "default", "takes", "meaning"))
