"""What holds for everything in the catalogue, tested the moment its file exists."""

from __future__ import annotations

import json
from typing import Any

import pytest

from limner.cli.kinds import kinds, summary, type_name, typed
from limner.core.pixels import Image
from limner.core.spec import build, catalog, check, options, parse, spec
from limner.objectives.base import Objective
from limner.operators.blur import Blur
from limner.operators.noise import Noise
from limner.run import Player, Run

KINDS = kinds() | {"Player": Player}
# what a class needs that has no default
GIVEN: dict[str, Any] = {"image": Image(1, 8, 8), "start": 1.0, "end": 0.5, "outer": Noise(0.2), "inner": Blur(2.0)}
GIVEN |= {"parts": ("Smooth", "Prior"), "weight": 2.0, "goal": "Smooth", "name": "rose"}
GIVEN |= {"picture": "photo.png", "distance": "Squared"}
MEMBERS = [
    pytest.param(kind, cls, id=f"{kind.__name__}-{name}")
    for kind in KINDS.values()
    for name, cls in catalog(kind).items()
]
BUILDABLE = [p for p in MEMBERS if all(not o.required or o.name in GIVEN for o in options(p.values[1]))]
# an extractor that is fitted to data, or what is read from a file, cannot come from nothing
NOT_BUILDABLE = {"InDomain", "WeightsFile", "Inception", "LPIPS", "RebuiltLPIPS"}

members = pytest.mark.parametrize(("kind", "cls"), MEMBERS)
buildable = pytest.mark.parametrize(("kind", "cls"), BUILDABLE)


def make(kind: type, cls: type) -> Any:
    needed = {o.name: GIVEN[o.name] for o in options(cls) if o.required}
    return build({"is": cls.__name__} | {k: spec(v) for k, v in needed.items()}, kind)


def test_every_kind_has_members() -> None:
    assert [name for name, kind in KINDS.items() if not catalog(kind)] == []


def test_what_cannot_be_built_is_known() -> None:
    built = {p.values[1].__name__ for p in BUILDABLE}
    assert {p.values[1].__name__ for p in MEMBERS} - built <= NOT_BUILDABLE


@members
def test_first_line_is_a_sentence_and_options_are_explained(kind: type, cls: type) -> None:
    first = summary(cls)
    assert first and not "a" <= first[0] <= "z" and len(first) <= 120, first
    assert (cls.__doc__ or "").strip().partition("\n\n")[0].rstrip().endswith((".", ":")), first
    for option in options(cls):
        assert option.doc, f"{cls.__name__} does not explain {option.name}: write `{option.name}: meaning`"
        assert type_name(option.type)


@buildable
def test_spec_and_back(kind: type, cls: type) -> None:
    described = spec(make(kind, cls))
    again = build(json.loads(json.dumps(described)), kind)
    assert type(again) is cls
    assert spec(again) == described


@buildable
def test_what_a_user_types_is_what_was_meant(kind: type, cls: type) -> None:
    described = spec(make(kind, cls))
    assert check(parse(typed(described)), kind) == check(described, kind)


@members
def test_unknown_options_are_named(kind: type, cls: type) -> None:
    from limner.core.errors import UserError

    with pytest.raises(UserError, match="no option"):
        check({"is": cls.__name__, "colour_of_the_sky": 1}, kind)


def test_every_recipe_is_a_plan_for_many_data_sets() -> None:
    from limner.recipes.base import Facts, plan, recipes

    for name, recipe in recipes().items():
        assert summary(recipe).endswith("."), name
        for image in (Image(1, 28, 28), Image(3, 64, 64), Image(4, 8, 8), Image(3, 33, 20)):
            for classes in (0, 10):
                planned = plan(name, Facts(image, 1000, classes, "cpu"))
                assert check(planned, Run) == planned
                # a critic of codes sees no image
                shapes = {build(net["image"], Image) for net in planned["nets"].values() if "image" in net}
                if build(planned["objective"], Objective).domains == "matched":
                    # two pictures side by side, and a critic that sees both, one behind the other
                    half = Image(image.channels, image.height, image.width // 2)
                    assert shapes == {half, Image(2 * half.channels, half.height, half.width)}
                else:
                    assert shapes == {image}
