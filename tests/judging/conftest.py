"""A small study: bright pictures are real, dark ones fake, so that a test can tell what a rater has to learn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from limner.judging.store import Judgements, create
from limner.judging.study import Study

Begin = Callable[..., Judgements]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """`begin(mode=..., trials=...)`: a new file of judgements."""
    made: list[Judgements] = []

    def new(channels: int = 3, **settings: object) -> Judgements:
        study = replace(Study("single", "none", 20, 0.01), **settings)
        rng = np.random.default_rng(study.seed)
        real = rng.integers(128, 256, (study.reals, 10, 12, channels), dtype=np.uint8)
        fake = rng.integers(0, 128, (study.fakes, 10, 12, channels), dtype=np.uint8)
        sources = [f"real {k}" for k in range(len(real))] + [f"sample {k}" for k in range(len(fake))]
        made.append(create(tmp_path / f"{len(made)}.sqlite", study, real, fake, sources))
        # people answer once a second, simulated ones as fast as the disk can sync
        made[-1]._file.execute("PRAGMA synchronous = OFF")
        return made[-1]

    yield new
    for judgements in made:
        judgements.close()
