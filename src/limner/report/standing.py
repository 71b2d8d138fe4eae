"""How a run stands, from its folder: is it still getting better, and what would ten more minutes bring?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.journal import looks, read
from limner.trend import Forecast, Trend, forecast, regular, trend

MORE, ASKED = 600.0, "another 10 min"
"""Seconds that are asked about, and how they are called."""


@dataclass(frozen=True)
class Standing:
    """The trend of the held-out score, what `MORE` seconds would bring, and the alarms there were."""

    trend: Trend
    forecast: Forecast
    alarms: tuple[str, ...]

    @property
    def words(self) -> tuple[str, str]:
        """Two lines for people."""
        return f"trend    {self.trend.words}", f"outlook  {self.outlook}"

    @property
    def outlook(self) -> str:
        """What more training would bring, in one sentence."""
        return self.forecast.words(ASKED)

    @property
    def report(self) -> dict[str, Any]:
        """For programs."""
        return {"trend": self.trend, "forecast": self.forecast, "alarms": list(self.alarms)}


def standing_of(folder: Path) -> Standing | None:
    """What the journal of a run folder tells; None before the first look that has a score."""
    lines = read(folder / "events.jsonl")
    history = looks(lines)
    if not regular(history):
        return None
    speed = history[-1]["nimg"] / max(history[-1]["seconds"], 1e-6)
    said = [f"{line['nimg']:,} images, {line['kind']}: {line['words']}" for line in lines if line["event"] == "Alarm"]
    return Standing(trend(history), forecast(history, MORE * speed), tuple(said))
