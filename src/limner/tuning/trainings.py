"""Trials that are real trainings, in run folders of their own, and the recipe that is made of the best."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from limner.core import store
from limner.core.events import Look, Scores
from limner.data.images import Images
from limner.project import Project, Settings
from limner.recipes.base import Facts, plan
from limner.train import Budget
from limner.tuning.study import STEPS, Broken, Report

RECIPE = "tuned.py"


@dataclass(frozen=True)
class Trainings:
    """Measures by real trainings, in a folder each; of those that ended, the model and the journal stay."""

    folder: Path
    images: Images
    held_out: Images | None
    recipe: str
    facts: Facts
    budget: Budget
    assignments: tuple[str, ...] = ()
    stop: Callable[[], bool] = lambda: False

    def __call__(self, number: int, assignments: tuple[str, ...], report: Report) -> float:
        """The best held-out score of one training. Raises Broken, and UserError for one that was given up."""
        place = self.folder / "trials" / f"{number:04d}"
        shutil.rmtree(place, ignore_errors=True)
        run = plan(self.recipe, self.facts, (*self.assignments, *assignments))
        project = Project.create(place, Settings.of(self.images, run, self.recipe, self.budget))
        best = math.inf
        try:
            for event in project.work(self.images, self.held_out, device=self.facts.device, stop=self.stop):
                if isinstance(event, Scores):
                    best = min(best, event.score if math.isfinite(event.score) else math.inf)
                if self.stop() or (isinstance(event, Look) and report(int(event.share * STEPS), best)):
                    raise Broken
        finally:
            shutil.rmtree(place / "checkpoints", ignore_errors=True)
        return best


def write_recipe(folder: Path, base: str, assignments: tuple[str, ...], said: str) -> Path:
    """The winner as a recipe of one's own, for `--with`."""
    quoted = partial(json.dumps, ensure_ascii=False)  # as Python reads them too, whatever quotes are in them
    listed = "".join(f"    {quoted(assignment)},\n" for assignment in assignments)
    return store.write_text(
        folder / RECIPE,
        f"{quoted(f'Found by limner tune: {said}')}\n\n"
        "from __future__ import annotations\n\n"
        "from limner.core.spec import Spec\n"
        "from limner.recipes.base import Facts, plan, recipe\n\n"
        f"FOUND = (\n{listed})\n\n\n"
        "@recipe\n"
        "def tuned(facts: Facts) -> Spec:\n"
        f'    """The recipe {base} with what was found."""\n'
        f'    return plan("{base}", facts, FOUND)\n',
    )
