"""A planted optimum is found, a search goes on where it was, what falls behind is broken off, a recipe is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from limner.core.errors import UserError
from limner.core.pixels import Image
from limner.core.spec import load_user_file
from limner.recipes import base as recipe_book
from limner.recipes.base import Facts, plan

pytest.importorskip("optuna")

from limner.tuning.knobs import assigned, knobs
from limner.tuning.study import STEPS, Broken, Report, Tried, open_study, search, tried, winner
from limner.tuning.trainings import write_recipe

FACTS = Facts(Image(1, 8, 8), 1000, 0, "cpu")
ABOUT = {"data": "blobs"}


def planted(number: int, assignments: tuple[str, ...], report: Report) -> float:
    """Lowest, 0, where the generator's rate is half the recipe's, gammas are 3 and the batch is doubled."""
    said = dict(text.split("=") for text in assignments)
    rate = float(said["players.generator.optimizer.lr.start"]) / 5e-4
    gamma = float(said["objective.penalties.0.gamma"]) / 3
    return math.log(rate) ** 2 + math.log(gamma) ** 2 + (said["batch"] != "64")


def run(folder: Path, count: int, measure: Any = planted, seed: int = 0) -> list[Tried]:
    """So many more trials."""
    turned = knobs(plan("default", FACTS))
    study = open_study(folder, ABOUT, seed)
    end = len(tried(study, turned)) + count
    return [*search(study, turned, measure, lambda: len(tried(study, turned)) < end)]


def test_the_recipe_itself_is_first_and_a_planted_optimum_is_found(tmp_path: Path) -> None:
    found = run(tmp_path, 60)
    assert set(found[0].values.values()) == {1.0, 32, "DiffAugment"}
    assert plan("default", FACTS, found[0].assignments) == plan("default", FACTS)
    best = winner(found)
    assert best is not None and best.score is not None and found[0].score is not None
    assert best.score < 0.2 * found[0].score
    drawn = min(one.score for one in found[1:9] if one.score is not None)
    assert best.score < drawn, "proposals after the drawn ones are better"
    assert best.values["batch"] == 64 and 0.3 < best.values["rate of the generator"] < 0.85


def test_a_search_goes_on_where_it_was(tmp_path: Path) -> None:
    first = run(tmp_path, 5)
    more = run(tmp_path, 3)
    assert [one.number for one in (*first, *more)] == list(range(8))
    study = open_study(tmp_path, ABOUT, 0)
    assert [one.values for one in tried(study, knobs(plan("default", FACTS)))] == [o.values for o in (*first, *more)]
    with pytest.raises(UserError, match="a search with data blobs, not digits; give another --out"):
        open_study(tmp_path, {"data": "digits"}, 0)


def test_the_same_seed_searches_alike(tmp_path: Path) -> None:
    ours, theirs, other = (run(tmp_path / n, 4, seed=s) for n, s in (("a", 3), ("b", 3), ("c", 4)))
    assert [o.values for o in ours] == [t.values for t in theirs] != [o.values for o in other]


def test_a_killed_trial_is_no_result(tmp_path: Path) -> None:
    def killed(*_: object) -> float:
        raise KeyboardInterrupt

    run(tmp_path, 2)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, 1, killed)
    found = run(tmp_path, 1)
    assert found[-1].number == 3 and found[-1].score is not None
    study = open_study(tmp_path, ABOUT, 0)
    assert [one.score is None for one in tried(study, knobs(plan("default", FACTS)))] == [False, False, True, False]


def test_what_falls_behind_the_median_is_broken_off(tmp_path: Path) -> None:
    """Six trials end at 1; the next is at 2 from the start and must not go to its end."""
    steps: list[int] = []

    def level(number: int, assignments: tuple[str, ...], report: Report) -> float:
        for step in range(STEPS):
            steps.append(step)
            if report(step, 2.0 if number == 6 else 1.0):
                raise Broken
        return 1.0

    found = run(tmp_path, 7, level)
    assert [one.score for one in found] == [1.0] * 6 + [None]
    assert len(steps) == 6 * STEPS + STEPS // 4 + 1


def test_a_training_that_fails_does_not_end_the_search(tmp_path: Path) -> None:
    def sometimes(number: int, assignments: tuple[str, ...], report: Report) -> float:
        if number == 1:
            raise UserError("a weight is not a number")
        return math.nan if number == 2 else 1.0

    assert [one.score for one in run(tmp_path, 4, sometimes)] == [1.0, None, None, 1.0]


def turns(recipe: str) -> dict[str, Callable[[Any], tuple[str, ...]]]:
    return {knob.name: knob.assign for knob in knobs(plan(recipe, FACTS))}


def test_knobs_are_those_that_a_recipe_has() -> None:
    default = turns("default")
    assert default["gamma of the penalties"](3.0) == ("objective.penalties.0.gamma=3", "objective.penalties.1.gamma=3")
    assert default["rate of the critic"](2.0) == ("players.critic.optimizer.lr.start=0.002",
                                                  "players.critic.optimizer.lr.end=0.0002")  # fmt: skip
    assert turns("textbook")["rate of the critic"](0.5) == ("players.critic.optimizer.lr=0.0001",)
    assert "gamma of the penalties" not in turns("textbook") and "augment" not in turns("vae")
    for recipe in ("default", "textbook", "wgan_gp", "vae", "style"):
        turned = knobs(plan(recipe, FACTS))
        start = {knob.name: knob.start for knob in turned}
        assert plan(recipe, FACTS, assigned(turned, start)) == plan(recipe, FACTS), "nothing turned, nothing changed"


@pytest.fixture
def own_recipes() -> Iterator[None]:
    before = recipe_book.recipes()
    yield
    recipe_book._recipes.clear()
    recipe_book._recipes.update(before)


@pytest.mark.usefixtures("own_recipes")
def test_the_winner_is_a_recipe_for_with(tmp_path: Path) -> None:
    changes = ("batch=64", "objective.penalties.0.gamma=0.3")
    load_user_file(str(write_recipe(tmp_path, "default", changes, "found on blobs")))
    assert plan("tuned", FACTS) == plan("default", FACTS, changes)
    load_user_file(str(write_recipe(tmp_path, "default", (), "the recipe as it is won")))
    assert plan("tuned", FACTS) == plan("default", FACTS)


@pytest.mark.usefixtures("own_recipes")
def test_the_winner_may_hold_any_quotes(tmp_path: Path) -> None:
    changes = ("""objective.distance=LPIPS('alexnet.pth', "my heads.safetensors")""", "batch=64")
    load_user_file(str(write_recipe(tmp_path, "autoencoder", changes, 'found on C:\\new "blobs"')))
    assert plan("tuned", FACTS) == plan("autoencoder", FACTS, changes)
