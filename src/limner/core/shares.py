"""Shares of trials that came true, and how far they can be trusted."""

from __future__ import annotations

import math

NORMAL_95 = 1.959964
"""97.5 % quantile of the normal distribution."""


def wilson(share: float, n: float, quantile: float = NORMAL_95) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share of n independent trials; n may be an effective number."""
    square = quantile**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    reach = quantile / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    # rounding must not put a share of 0 or 1 outside
    return max(0.0, min(share, middle - reach)), min(1.0, max(share, middle + reach))
