"""Which pictures a model was trained on and which it never saw, so that its samples can be searched for copies."""

from __future__ import annotations

import dataclasses

from limner.data.images import Images
from limner.metrics.base import Extractor
from limner.project import set_aside
from limner.report.subjects import Draw, Subject
from limner.report.suspects import LEAST, Search, Share, Suspects


class Searches:
    """A search for each way to part the pictures, made when it is first needed.

    real: what is scored against; the held-out pictures, unless it is the training split itself
    train: the training split, None where `real` is that
    val: held-out pictures beside a `real` that is the training split
    """

    def __init__(
        self, real: Images, train: Images | None, extractor: Extractor, seed: int = 0, val: Images | None = None
    ) -> None:
        self._train, self._held = (real, val) if train is None else (train, real)
        self._extractor, self._seed = extractor, seed
        self._made: dict[int | None, Search | str] = {}

    @property
    def shown(self) -> Search | None:
        """The first one that was made, for its controls."""
        return next((s for s in self._made.values() if not isinstance(s, str)), None)

    def of(self, subject: Subject, draw: Draw, n: int) -> tuple[Suspects, Share] | str:
        """The most suspicious of up to n samples and how many there are, or why that cannot be known."""
        key = None if self._held is not None else self._aside(subject)
        if self._held is None and key is None:
            return (
                f"which pictures it was not trained on is not known, so there is nothing to compare with; "
                f"give {self._train.source} a test split"
            )
        if key not in self._made:
            self._made[key] = self._search(key)
        search = self._made[key]
        return search if isinstance(search, str) else search.among(draw(0, min(n, search.count)))

    def _aside(self, subject: Subject) -> int | None:
        """The seed by which its training set a tenth of these pictures aside; None where it did not."""
        head = {} if subject.likeness is None else subject.likeness.header
        same = (head.get("data") or {}).get("fingerprint") == self._train.fingerprint
        return int(head["seed"]) if same and "seed" in head else None

    def _search(self, seed: int | None) -> Search | str:
        train, held = self._train, self._held
        if held is None and seed is not None:
            rows, held = set_aside(train, None, seed)
            train = dataclasses.replace(train, pixels=train.pixels[rows], labels=None, numbers=None, files=())
        assert held is not None
        if len(held) < LEAST:
            return f"{len(held)} pictures that it was not trained on are too few to compare with; {LEAST} are needed"
        return Search(train, held, self._extractor, self._seed)
