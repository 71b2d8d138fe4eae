"""How a training of translators goes: held-out pictures above what becomes of them, and how far off that is.

Passes a training's events on and, before each Look, adds a Preview and Scores. Watching does not change a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from limner.core.events import Event, Glance, Look, Preview, Scores
from limner.core.pixels import grid, psnr, to_bytes
from limner.core.spec import build
from limner.metrics.base import Extractor, Metric
from limner.models.base import Pictures, Translator

COLUMNS, BLOCK = 16, 128
OFF = "mean absolute error"
"""Not `error`, which in a history is the standard error of its score."""


@runtime_checkable
class Trained(Protocol):
    """What is seen of a training's state."""

    history: list[dict[str, float]]

    @property
    def averaged(self) -> nn.ModuleDict: ...


def watch_translations(events: Iterable[Event], state: Trained, held_out: Callable[[], Any]) -> Iterator[Event]:
    """The same events, and before each Look what there is to see of the translators, if there are any.

    `held_out()` gives pictures with an `other` domain, and is asked once there is a translator to try on them.
    The score that picks the best checkpoint is, where answers are known, the mean absolute error, else the kernel
    distance of translated pictures to those of the other domain on fixed random features.
    """
    watch: Watch | None = None
    for event in events:
        if isinstance(event, Look | Glance) and "translator" in state.averaged:
            watch = watch or Watch(state, held_out)
            yield from watch.look(event) if isinstance(event, Look) else watch.glance(event)
        yield event


class Watch:
    """The same held-out pictures each time."""

    def __init__(self, state: Trained, held_out: Callable[[], Any]) -> None:
        self._state, self._pair = state, held_out()
        self._extract, self._distance = build("RandomFeatures", Extractor), build("KernelDistance", Metric)

    @torch.no_grad()
    def glance(self, at: Glance) -> Iterator[Event]:
        """A preview: what can be drawn at once."""
        yield self._preview(at, *self._there_and_back(COLUMNS))

    @torch.no_grad()
    def look(self, at: Look) -> Iterator[Event]:
        """Preview and Scores."""
        there, back = self._there_and_back()
        yield self._preview(at, there, back)
        values = self._scores(there, back)
        score = values[OFF if self._pair.matched else "kernel distance"]
        self._state.history.append({"nimg": at.nimg, "share": at.share, "score": score} | values)
        yield Scores(at.nimg, values, score)

    def _there_and_back(self, most: int | None = None) -> tuple[Pictures, Pictures | None]:
        """Translations of pictures of one domain and, where that is learned too, of the other; of so many of them."""
        there = self._translated("translator", self._pair.x[:most])
        assert there is not None
        return there, self._translated("translator_back", self._pair.other[:most])

    def _preview(self, at: Event, there: Pictures, back: Pictures | None) -> Preview:
        rows = [self._pair.x, there, *([self._pair.other] if self._pair.matched or back is not None else [])]
        rows += [back] if back is not None else []
        sheet = torch.cat([row[:COLUMNS].float() for row in rows])
        return Preview(at.nimg, grid(to_bytes(sheet), min(COLUMNS, len(self._pair.x)))[None])

    def _scores(self, there: Pictures, back: Pictures | None) -> dict[str, float]:
        pair = self._pair
        values = {"kernel distance": self._distance(self._extract(pair.other), self._extract(there))}
        if back is not None:
            values["kernel distance"] += self._distance(self._extract(pair.x), self._extract(back))
            again = self._translated("translator_back", there)
            assert again is not None
            values["cycle error"] = _error(again, pair.x)
        if pair.matched:
            values[OFF] = _error(there, pair.other)
            values["PSNR"] = float(psnr(there, pair.other).mean())
        return values

    def _translated(self, role: str, x: Pictures) -> Pictures | None:
        """What the averaged translator of that role makes of pictures."""
        if role not in self._state.averaged:
            return None
        net = self._state.averaged[role]
        assert isinstance(net, Translator)
        return torch.cat([net(block) for block in x.split(BLOCK)])


def _error(x: Tensor, y: Tensor) -> float:
    """Mean absolute difference in the [-1, 1] range."""
    return float((x.float() - y.float()).abs().mean())
