"""Probability tables of whole numbers, the same integers on every machine, for an entropy coder.

192 tables: 96 two-sided exponentials (Laplace) and 96 bells (Gauss), each of 96 scales, eight to an octave from 1/16 to
about 230. They are computed in decimal arithmetic, which is rounded alike everywhere, so a table's number is all that
has to be told. What a table does not reach is an escape.
"""

from __future__ import annotations

import functools
import math
from decimal import Decimal, localcontext

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

Whole = NDArray[np.int64]

SCALES = 96
"""Tables of each of the two shapes."""
TABLES = 2 * SCALES
LAPLACE, GAUSS = 0, SCALES
"""Number of the first table of a shape."""
PER_OCTAVE, LOWEST = 8, -4
TOTAL = 1 << 22
"""Sum of a table's integers."""
UNIT = 1 << 12
"""Scales in fixed point are multiples of 1 / UNIT."""
WIDEST = 512


def scale(table: int) -> float:
    """The scale of a table: mean size of a Laplace variable, standard deviation of a Gaussian one."""
    return 2.0 ** (table % SCALES / PER_OCTAVE + LOWEST)


def reach(table: int) -> int:
    """The largest number that the table has; all from minus that on are in it."""
    octave = table % SCALES // PER_OCTAVE + LOWEST + 1
    scales = 10 if table < SCALES else 6
    return min(WIDEST, max(2, scales << octave if octave > 0 else -(-scales >> -octave)))


@functools.cache
def counts(table: int) -> tuple[int, ...]:
    """How often, of TOTAL, each number from -reach to reach comes, and last an escape; none is 0."""
    most = reach(table)
    with localcontext() as context:
        context.prec = 30
        width = (Decimal(2).ln() * (Decimal(table % SCALES) / PER_OCTAVE + LOWEST)).exp()
        sides = _laplace(width, most) if table < SCALES else _gauss(width, most)
        right = [max(1, round(p * TOTAL)) for p in sides[:-1]]
        escape = max(1, round(sides[-1] * TOTAL))
    middle = TOTAL - 2 * sum(right) - escape
    return (*reversed(right), middle, *right, escape)


@functools.cache
def cost(table: int) -> Float[np.ndarray, " k"]:
    """Bits of each entry of `counts`."""
    return -np.log2(np.array(counts(table), np.float64) / TOTAL)


@functools.cache
def borders() -> Whole:
    """Scales in fixed point from which on the next table is nearer, in the sense of ratios."""
    with localcontext() as context:
        context.prec = 30
        halfway = ((Decimal(i) + Decimal("0.5")) / PER_OCTAVE + LOWEST for i in range(SCALES - 1))
        return np.array([int((Decimal(2).ln() * e).exp() * UNIT) for e in halfway], np.int64)


def nearest(fixed: Whole) -> Whole:
    """Scales in fixed point → the number of the Laplace table of about that scale."""
    return np.searchsorted(borders(), fixed, side="right").astype(np.int64)


@functools.cache
def flag_counts(level: int) -> tuple[int, int]:
    """How often, of TOTAL, a flag is down and up: up in a share of 2^(-(level + 1) / 4), level 0 to 63."""
    with localcontext() as context:
        context.prec = 30
        up = max(1, int(TOTAL * (Decimal(2).ln() * -(Decimal(level + 1) / 4)).exp()))
    return TOTAL - up, up


def flag_level(up: float) -> int:
    """The level whose share is nearest to this one, in the sense of ratios."""
    return min(max(round(-4 * math.log2(max(up, 2**-17))) - 1, 0), 63)


def gamma_bits(past: Whole) -> float:
    """Bits of what follows escapes: a sign each, and Elias's gamma code of how far past the table, from 1 on."""
    return float(sum(2 * int(p).bit_length() for p in past))


def ideal_bits(symbols: Whole, tables: Whole) -> float:
    """The ideal code length of numbers, each under its table, in bits."""
    total = 0.0
    for table in np.unique(tables).tolist():
        own, most = symbols[tables == table], reach(table)
        past = np.abs(own) - most
        at = np.where(past > 0, 2 * most + 1, np.clip(own, -most, most) + most)
        total += float(cost(table)[at].sum()) + gamma_bits(past[past > 0])
    return total


def fitted(symbols: Whole) -> int:
    """The table, of all, under which these numbers are shortest; of each shape those near the matching scale."""
    if not len(symbols):
        return LAPLACE
    size = max(float(np.abs(symbols).mean()), 1e-9)
    square = max(float(np.square(symbols.astype(np.float64)).mean()), 1e-9)
    # moments of whole numbers: below a third of a step hardly any is not 0
    laplace = 1 / (2 * math.asinh(1 / (2 * size)))
    gauss = math.sqrt(square) if square > 0.2 else 1 / math.sqrt(2 * math.log(2 / square))
    near: set[int] = set()
    for first, wide in ((LAPLACE, laplace), (GAUSS, gauss)):
        index = round(PER_OCTAVE * (math.log2(wide) - LOWEST))
        near |= {first + min(max(index + by, 0), SCALES - 1) for by in range(-3, 4)}
    return min(sorted(near), key=lambda t: ideal_bits(symbols, np.full(len(symbols), t)))


def _laplace(width: Decimal, most: int) -> list[Decimal]:
    """p(1), …, p(most) of a Laplace variable rounded to whole numbers, and the mass beyond on both sides."""
    ratio = (-1 / width).exp()
    first = ratio.sqrt() * (1 - ratio) / 2
    return [first * ratio**k for k in range(most)] + [ratio.sqrt() * ratio**most]


def _gauss(width: Decimal, most: int) -> list[Decimal]:
    """p(1), …, p(most) of a bell at whole numbers; what is beyond is the next few."""
    right = [(-Decimal(k * k) / (2 * width * width)).exp() for k in range(1, most + 65)]
    total = 1 + 2 * sum(right, Decimal(0))
    return [p / total for p in right[:most]] + [2 * sum(right[most:], Decimal(0)) / total]
