"""Successive halving: of the starts of a climb, those that have fallen behind are given up (Jamieson & Talwalkar 2016).

All starts of a target climb for a few steps; then the better half goes on for twice as long, of these the better half
for twice as long again, and so on, so that most steps are spent where they count. A target's starts compete with each
other only: what becomes of one target does not depend on which others there are.
"""

from __future__ import annotations

from dataclasses import dataclass

from limner.core.errors import UserError


@dataclass(frozen=True)
class Halving:
    """Which starts go on, and when that is decided.

    rate: of so many starts one goes on, at least 2 (η of Jamieson & Talwalkar); rounds grow by the same factor
    first: step after which starts are compared first; 0 compares them where they begin
    least: starts of each target that climb to the end
    """

    rate: int = 2
    first: int = 4
    least: int = 1

    def __post_init__(self) -> None:
        if self.rate < 2:
            raise UserError(f"Halving(rate={self.rate}): one start in so many goes on; give 2 or more")
        if self.first < 0 or self.least < 1:
            raise UserError(
                f"Halving(first={self.first}, least={self.least}): first must be 0 or more, least 1 or more"
            )

    def rounds(self, starts: int) -> dict[int, int]:
        """Step → how many of so many starts go on after it."""
        found: dict[int, int] = {}
        step = self.first
        while starts > self.least:
            starts = max(-(-starts // self.rate), self.least)
            found[step] = starts
            step = max(step, 1) * self.rate
        return found
