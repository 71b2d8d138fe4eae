"""What can be turned in a recipe: rates, penalties, widths, batch, augmentation, as `-o` assignments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from limner.core.spec import Spec


@dataclass(frozen=True)
class Knob:
    """Something to turn: a factor from `low` to `high`, equally likely in its logarithm, or one of `choices`.

    start: where the recipe has it
    assign: value → what `-o` is told
    """

    name: str
    start: Any
    assign: Callable[[Any], tuple[str, ...]]
    low: float = 0.25
    high: float = 4.0
    choices: tuple[Any, ...] = ()

    def turn(self, trial: Any) -> Any:
        """Where Optuna's trial puts it."""
        if self.choices:
            return trial.suggest_categorical(self.name, list(self.choices))
        return trial.suggest_float(self.name, self.low, self.high, log=True)


def knobs(run: Spec) -> list[Knob]:
    """What can be turned in a recipe's plan: rates, gammas of the penalties, width, batch, augmentation."""
    found = [_factor(f"rate of the {turn}", f"players.{turn}.optimizer.lr", player["optimizer"]["lr"])
             for turn, player in run["players"].items()]  # fmt: skip
    penalties = run["objective"].get("penalties", [])
    gammas = {f"objective.penalties.{k}.gamma": p["gamma"] for k, p in enumerate(penalties) if "gamma" in p}
    if gammas:
        found.append(_factors("gamma of the penalties", gammas, 0.1, 10.0))
    widths = {f"nets.{role}.width": net["width"] for role, net in run["nets"].items() if "width" in net}
    if widths:
        found.append(Knob("width", 1.0, lambda f: tuple(f"{path}={max(1, round(w * f))}" for path, w in widths.items()),
                          choices=(0.5, 1.0, 2.0)))  # fmt: skip
    batch = run["batch"]
    found.append(Knob("batch", batch, lambda n: (f"batch={n}",),
                      choices=tuple(sorted({max(2, batch // 2), batch, 2 * batch, 4 * batch}))))  # fmt: skip
    if "critic" in run["nets"]:
        now = "none" if run["augment"] is None else run["augment"]["is"]
        found.append(Knob("augment", now, lambda name: (f"augment={name}",) if name != now else (),
                          choices=tuple(sorted({"none", "DiffAugment", now}))))  # fmt: skip
    return found


def assigned(turned: Sequence[Knob], values: dict[str, Any]) -> tuple[str, ...]:
    """What `-o` is told of these values by knob."""
    return tuple(text for knob in turned for text in knob.assign(values[knob.name]))


def _factor(name: str, path: str, value: Any) -> Knob:
    return _factors(name, {path: value}, 0.25, 4.0)


def _factors(name: str, values: dict[str, Any], low: float, high: float) -> Knob:
    """One factor for several numbers or curves."""
    numbers = {
        inner: number
        for path, value in values.items()
        for inner, number in (
            {f"{path}.{end}": value[end] for end in ("start", "end")} if isinstance(value, dict) else {path: value}
        ).items()
    }
    return Knob(name, 1.0, lambda f: tuple(f"{path}={number * f:.4g}" for path, number in numbers.items()), low, high)
