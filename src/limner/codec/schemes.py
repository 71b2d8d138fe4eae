"""How codes become whole numbers and which tables these have: three schemes, by what the model's latent is.

A grid's numbers have a prior that was trained with the model. Of vectors and of sparse codes the tables are chosen for
the pictures at hand and told in the file: one for all numbers, or one for each where that pays (two-part codes,
Rissanen 1978).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from limner.codec.coder import Reader, Writer
from limner.codec.container import Bytes, pack_rows, unpack_rows, varint
from limner.core import tables as book
from limner.models.base import CodePrior

Whole = NDArray[np.int64]
Real = NDArray[np.float64]
BLOCK = 256
"""Codes whose numbers are told together."""
FINE = 4
"""Steps of quantisers to an octave."""
PER_STEP = 64
"""Steps of grids are told as multiples of 1 / PER_STEP."""
ROWS = 1 << 15
"""Numbers in a scheme's own rows stay below this in size."""


@runtime_checkable
class Scheme(Protocol):
    """Codes (n, d) ↔ whole numbers (n, d) ↔ a stream."""

    name: ClassVar[str]

    def told(self) -> bytes: ...
    def whole(self, z: Real) -> Whole: ...
    def real(self, q: Whole) -> Real: ...
    def write(self, q: Whole, to: Writer) -> None: ...
    def read(self, n: int, source: Reader) -> Whole: ...


@dataclass(frozen=True, eq=False)
class Vector:
    """Each number has a step, a middle and a table, its own or that of all.

    dim: numbers in a code
    exponents: steps are 2^(exponent / 4)
    middles: what is taken from numbers, in steps
    tables: of what is left
    """

    dim: int
    exponents: Whole
    middles: Whole
    tables: Whole
    name: ClassVar[str] = "v"

    @classmethod
    def fitted(cls, z: Real, steps: Real) -> Vector:
        """For codes, and steps: one, or one for each number."""
        exponents = exponent(steps)
        q = _rounded(z / step_of(exponents))
        columns = q.T if len(steps) > 1 else q.reshape(1, -1)
        middles = np.array([round(float(np.median(c))) if c.size else 0 for c in columns]).clip(-ROWS + 1, ROWS - 1)
        tables = np.array([book.fitted(c - m) for c, m in zip(columns, middles, strict=True)])
        return cls(z.shape[1], exponents, middles.astype(np.int64), tables.astype(np.int64))

    def told(self) -> bytes:
        return pack_rows([self.exponents, self.middles, self.tables])

    @classmethod
    def of(cls, told: bytes, dim: int) -> Vector:
        """The scheme that said this."""
        return cls(dim, *unpack_rows(told, 3))

    def whole(self, z: Real) -> Whole:
        return _rounded(z / step_of(self.exponents))

    def real(self, q: Whole) -> Real:
        return q * step_of(self.exponents)

    def write(self, q: Whole, to: Writer) -> None:
        for rows in blocks(len(q)):
            to.put(q[rows] - self.middles, np.broadcast_to(self.tables, q[rows].shape))

    def read(self, n: int, source: Reader) -> Whole:
        parts = [np.broadcast_to(self.tables, (len(range(n)[rows]), self.dim)) for rows in blocks(n)]
        return np.concatenate([source.take(t) + self.middles for t in parts])


@dataclass(frozen=True, eq=False)
class Spikes:
    """Which numbers are not 0, and what those are.

    dim: numbers in a code
    exponent: the step of all of them is 2^(exponent / 4)
    levels: how often each is not 0, or all
    middle: what is taken from those that are not 0, in steps
    table: of what is left
    """

    dim: int
    exponent: int
    levels: Whole
    middle: int
    table: int
    name: ClassVar[str] = "s"

    @classmethod
    def fitted(cls, z: Real, step: float, own: bool) -> Spikes:
        """For codes, with a rate for each number or one for all."""
        exponents = exponent(np.array([step]))
        q = _rounded(z / step_of(exponents))
        up = (q != 0).mean(0) if own else np.array([(q != 0).mean()])
        there = q[q != 0]
        middle = round(float(np.median(there))) if there.size else 0
        middle = min(max(middle, -ROWS + 1), ROWS - 1)
        levels = np.array([book.flag_level(float(share)) for share in up], np.int64)
        return cls(z.shape[1], int(exponents[0]), levels, middle, book.fitted(there - middle))

    def told(self) -> bytes:
        return pack_rows([np.array([self.exponent, self.middle, self.table]), self.levels])

    @classmethod
    def of(cls, told: bytes, dim: int) -> Spikes:
        """The scheme that said this."""
        (first, middle, table), levels = unpack_rows(told, 2)
        return cls(dim, int(first), levels, int(middle), int(table))

    def whole(self, z: Real) -> Whole:
        return _rounded(z / step_of(np.array(self.exponent)))

    def real(self, q: Whole) -> Real:
        return q * step_of(np.array(self.exponent))

    def write(self, q: Whole, to: Writer) -> None:
        for rows in blocks(len(q)):
            up = q[rows] != 0
            to.put_flags(up.astype(np.int64), np.broadcast_to(self.levels, up.shape))
            there = q[rows][up] - self.middle
            to.put(there, np.full(len(there), self.table))

    def read(self, n: int, source: Reader) -> Whole:
        q = np.zeros((n, self.dim), np.int64)
        for rows in blocks(n):
            up = source.take_flags(np.broadcast_to(self.levels, q[rows].shape)) == 1
            q[rows][up] = source.take(np.full(int(up.sum()), self.table)) + self.middle
        return q


@dataclass(frozen=True, eq=False)
class Grid:
    """Numbers under the model's own prior, turn after turn.

    prior: what says their tables
    step: of the quantiser, as a multiple of that which rounds to whole numbers; told in parts of 1 / PER_STEP
    """

    prior: CodePrior
    step: Fraction
    name: ClassVar[str] = "g"

    def told(self) -> bytes:
        return varint(int(self.step * PER_STEP))

    @classmethod
    def of(cls, told: bytes, prior: CodePrior) -> Grid:
        """The scheme that said this."""
        return cls.at(Bytes(told).number() / PER_STEP, prior)

    @classmethod
    def at(cls, step: float, prior: CodePrior) -> Grid:
        """The scheme of the step nearest to this."""
        return cls(prior, Fraction(max(1, round(step * PER_STEP)), PER_STEP))

    def whole(self, z: Real) -> Whole:
        return _rounded(z / float(self.step))

    def real(self, q: Whole) -> Real:
        return q.astype(np.float64) * float(self.step)

    def write(self, q: Whole, to: Writer) -> None:
        for rows in blocks(len(q)):
            for turn in range(self.prior.turns):
                middles, tables = self.prior.said(turn, q[rows], self.step)
                to.put(q[rows][:, self.prior.places(turn)] - middles, tables)

    def read(self, n: int, source: Reader) -> Whole:
        q = np.zeros((n, self.prior.latent.dim), np.int64)
        for rows in blocks(n):
            for turn in range(self.prior.turns):
                middles, tables = self.prior.said(turn, q[rows], self.step)
                q[rows, self.prior.places(turn)] = source.take(tables) + middles
        return q


def blocks(n: int) -> Iterator[slice]:
    """Rows that are told together."""
    return (slice(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK))


def exponent(steps: Real) -> Whole:
    """Of the nearest steps that a file can tell."""
    return np.rint(FINE * np.log2(np.maximum(steps, 1e-30))).astype(np.int64).clip(-128, 127)


def step_of(exponents: Whole) -> Any:
    """The steps of exponents."""
    return np.exp2(exponents / FINE)


def _rounded(z: Real) -> Whole:
    # a number of a code beyond a billion steps says nothing that a billion does not
    return np.rint(z.clip(-1e9, 1e9)).astype(np.int64)
