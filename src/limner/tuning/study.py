"""Settings found by trying: short trainings of one recipe under changed options, judged by the held-out score.

A trial turns every knob, trains for its seconds, and is broken off at a look where its score is worse than the median
of what others had there (Golovin et al. 2017). Proposals come from the tree-structured Parzen estimator (Bergstra et
al. 2011) in Optuna, and every trial lies in an SQLite study: a search that was stopped goes on where it was. The recipe
as it is is always the first trial.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.core.errors import UserError
from limner.tuning.knobs import Knob, assigned

STUDY = "study.db"
WARM = 4
"""Trials before any is broken off."""
STEPS = 20
"""Looks of a trial, at which it may be."""


@dataclass(frozen=True)
class Tried:
    """What came of a trial: settings by knob, `-o` assignments, the best held-out score; None if broken off."""

    number: int
    values: dict[str, Any]
    assignments: tuple[str, ...]
    score: float | None
    seconds: float


Report = Callable[[int, float], bool]
"""`report(step, score)`: whether to break off."""
Measure = Callable[[int, tuple[str, ...], Report], float]
"""`measure(number, assignments, report)`: the best score of one training; `Broken` when told to break off."""


class Broken(Exception):
    """A trial was told to break off."""


def open_study(folder: Path, about: dict[str, str], seed: int) -> Any:
    """The study in a folder, new or gone on with. Raises UserError when it is about something else."""
    optuna = _optuna()
    folder.mkdir(parents=True, exist_ok=True)
    there = (folder / STUDY).exists()
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / STUDY}")
    study = optuna.create_study(
        study_name="limner", storage=storage, load_if_exists=True, direction="minimize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=WARM, n_warmup_steps=STEPS // 4),
    )  # fmt: skip
    for name, value in about.items():
        known = study.user_attrs.get(name, value)
        if there and known != value:
            raise UserError(f"{folder} holds a search with {name} {known}, not {value}; give another --out")
        study.set_user_attr(name, value)
    for trial in study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.RUNNING]):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)  # a killed session left it
    # the same seed and the same trials so far, the same proposal
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials), n_startup_trials=2 * WARM)
    return study


def search(study: Any, turned: Sequence[Knob], measure: Measure, go_on: Callable[[], bool]) -> Iterator[Tried]:
    """Trial after trial until `go_on()` is false; the first one is the recipe as it is."""
    optuna = _optuna()
    if not study.trials:
        study.enqueue_trial({knob.name: knob.start for knob in turned})
    while go_on():
        trial = study.ask()
        values = {knob.name: knob.turn(trial) for knob in turned}
        assignments = assigned(turned, values)

        seen: set[int] = set()

        def report(step: int, score: float, trial: Any = trial, seen: set[int] = seen) -> bool:
            if math.isfinite(score) and step not in seen:  # a study keeps the first score of a step
                seen.add(step)
                trial.report(score, step)
            return bool(trial.should_prune())

        try:
            score = measure(trial.number, assignments, report)
        except Broken:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        except UserError as error:  # a training that was given up
            trial.set_user_attr("problem", str(error))
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            state = None if math.isfinite(score) else optuna.trial.TrialState.FAIL
            study.tell(trial, score if state is None else None, state=state)
        yield tried(study, turned)[-1]


def tried(study: Any, turned: Sequence[Knob]) -> list[Tried]:
    """All trials that ended, in order."""
    found: list[Tried] = []
    complete = _optuna().trial.TrialState.COMPLETE
    for trial in study.trials:
        if trial.state.is_finished() and len(trial.params) == len(turned):
            score = trial.value if trial.state == complete else None
            seconds = trial.duration.total_seconds() if trial.duration else 0.0
            found.append(Tried(trial.number, trial.params, assigned(turned, trial.params), score, seconds))
    return found


def winner(found: Sequence[Tried]) -> Tried | None:
    """The best one that was not broken off."""
    done = [one for one in found if one.score is not None]
    return min(done, key=lambda one: one.score or 0.0, default=None)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise UserError("limner tune needs Optuna; install it with: pip install 'limner[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
