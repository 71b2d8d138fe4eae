"""Early stopping: a training that no longer gets better on held-out images is stopped, and says so (Prechelt 1998).

Nothing is remembered beside the history of scores, which is part of a training's state: a run that was interrupted
stops where the other one does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

from limner.core.events import Alarm, Event, Look

History = list[dict[str, float]]


def worn_out(history: History, patience: int | None) -> str:
    """Why to stop, in words, or nothing: `patience` looks in a row had no better score than one before them."""
    scores = [look["score"] if math.isfinite(look.get("score", math.nan)) else math.inf for look in history]
    if patience is None or not scores:
        return ""
    best = scores.index(min(scores))
    if (waited := len(scores) - 1 - best) < patience:
        return ""
    return (
        f"the score on held-out pictures has not been better for {waited} looks: "
        f"{scores[best]:.4g} after {history[best]['nimg']:,.0f} images, {scores[-1]:.4g} now"
    )


class Reason:
    """Why to stop, in words, or nothing: asked at every step, thought about only when there is a new look."""

    def __init__(self, history: Callable[[], History], why: Callable[[History], str]) -> None:
        self._history, self._why = history, why
        self._newest: dict[str, float] | None = None
        self._words = ""

    def __call__(self) -> str:
        history = self._history()
        newest = history[-1] if history else None
        if newest is not self._newest:
            self._newest, self._words = newest, self._why(history)
        return self._words


def patient(events: Iterable[Event], why: Callable[[], str], action: str = "stop here") -> Iterator[Event]:
    """The same events, and an Alarm before the Look at which there is a reason to stop."""
    for event in events:
        if isinstance(event, Look) and (words := why()):
            yield Alarm(event.nimg, "early stop", words, action)
        yield event
