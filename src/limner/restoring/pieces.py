"""A picture of another size than a generator's: each of its pieces is a case, and their answers are one again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from limner.core.pixels import to_bytes, to_float
from limner.data.fit import Fitted
from limner.data.whole import Whole
from limner.restoring.cases import Answer, Case


@dataclass(frozen=True)
class Pieces:
    """One picture as the cases that are solved for it.

    whole: it, at the size that it will be written with
    cases: one for each piece
    fitted: how the pieces lie in it; None where it is one piece, as it is
    """

    whole: Whole
    cases: tuple[Case, ...]
    fitted: Fitted | None = None

    def joined(self, answers: Sequence[Answer]) -> tuple[Case, Answer]:
        """The case and its answer at the size of the whole, from the answers to the pieces."""
        first, fitted = self.cases[0], self.fitted
        if fitted is None:
            return first, answers[0]
        seen = _together(fitted, [case.seen for case in self.cases])
        known = [case.truth for case in self.cases if case.truth is not None]
        truth = _together(fitted, known) if known else None
        holes = [2 * case.missing - 1 for case in self.cases if case.missing is not None]
        missing = (_together(fitted, holes) + 1) / 2 if holes else None
        samples = _together(fitted, [answer.samples for answer in answers])
        return replace(first, seen=seen, truth=truth, missing=missing), Answer(samples)


def _together(fitted: Fitted, parts: Sequence[Float[Tensor, "k c _ _"]]) -> Float[Tensor, "k c high wide"]:
    """Pictures (k, …) of each piece → k pictures of the whole."""
    pieces = np.stack([to_bytes(part) for part in parts], 1)
    return torch.cat([to_float(fitted.joined(some)[None]) for some in pieces]).to(parts[0].device)
