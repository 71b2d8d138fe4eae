"""Whole numbers ↔ bytes by range coding (Martin 1979; the package constriction, Bamler 2022), under known tables.

What is written is a stream of batches. Both sides know the tables of a batch before it; numbers under one table are
written together. A number beyond its table's reach is an escape there, and follows the batch.
"""

from __future__ import annotations

import functools
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limner.core import tables as book
from limner.core.errors import UserError

Whole = NDArray[np.int64]
FLAG = book.TABLES
"""Flags have the tables from this number on."""


class Writer:
    """Numbers in, bytes out."""

    def __init__(self) -> None:
        self._to = library().queue.RangeEncoder()
        self.ideal = 0.0
        """Bits that an ideal coder would have used so far."""

    def put(self, symbols: Whole, tables: Whole) -> None:
        """A batch of numbers, each under its table; arrays of one shape."""
        symbols, tables = symbols.ravel(), tables.ravel()
        past: list[tuple[int, int]] = []
        for table in np.unique(tables).tolist():
            own, most = symbols[tables == table], book.reach(table)
            inside = np.abs(own) <= most
            at = np.where(inside, own + most, 2 * most + 1)
            self._put(at, table)
            past += [(number, most) for number in own[~inside].tolist()]
            self.ideal += float(book.cost(table)[at].sum())
        for number, most in past:
            self._put_past(number, most)

    def put_flags(self, flags: Whole, levels: Whole) -> None:
        """A batch of zeros and ones, each under the table of its level."""
        flags, levels = flags.ravel(), levels.ravel()
        for level in np.unique(levels).tolist():
            own = flags[levels == level]
            self._put(own, FLAG + level)
            self.ideal += float(-np.log2(np.array(book.flag_counts(level)) / book.TOTAL)[own].sum())

    def done(self) -> bytes:
        """All of it; zeros at the end are left out, which the reader puts back."""
        return self._to.get_compressed().astype("<u4").tobytes().rstrip(b"\0")

    def _put(self, at: Whole, table: int) -> None:
        self._to.encode(at.astype(np.int32), _model(table))

    def _put_past(self, number: int, most: int) -> None:
        """A sign, and Elias's gamma code of how far past the reach, from 1 on (Elias 1975)."""
        past = abs(number) - most
        size = past.bit_length()
        bits = [int(number < 0), *[0] * (size - 1), *(int(b) for b in f"{past:b}")]
        self._to.encode(np.array(bits, np.int32), _coin())
        self.ideal += len(bits)


class Reader:
    """The way back. Raises UserError where the bytes make no sense."""

    def __init__(self, content: bytes) -> None:
        padded = content + bytes(-len(content) % 4)
        self._from = library().queue.RangeDecoder(np.frombuffer(padded, "<u4").astype(np.uint32))

    def take(self, tables: Whole) -> Whole:
        """A batch of numbers under these tables."""
        flat, symbols = tables.ravel(), np.empty(tables.size, np.int64)
        escapes: list[tuple[int, int]] = []
        for table in np.unique(flat).tolist():
            rows, most = np.flatnonzero(flat == table), book.reach(table)
            at = self._take(len(rows), table)
            symbols[rows] = at - most
            escapes += [(row, most) for row in rows[at == 2 * most + 1].tolist()]
        for row, most in escapes:
            symbols[row] = self._take_past(most)
        return symbols.reshape(tables.shape)

    def take_flags(self, levels: Whole) -> Whole:
        """A batch of zeros and ones under these levels."""
        flat, flags = levels.ravel(), np.empty(levels.size, np.int64)
        for level in np.unique(flat).tolist():
            rows = np.flatnonzero(flat == level)
            flags[rows] = self._take(len(rows), FLAG + level)
        return flags.reshape(levels.shape)

    def _take(self, n: int, table: int) -> Whole:
        return self._bits(n, _model(table))

    def _bits(self, n: int, model: Any) -> Whole:
        try:
            return np.asarray(self._from.decode(model, n)).astype(np.int64)
        except (AssertionError, ValueError) as error:
            raise UserError(f"the coded numbers make no sense ({error})") from error

    def _take_past(self, most: int) -> int:
        negative, size = int(self._bits(1, _coin())[0]), 1
        while not self._bits(1, _coin())[0]:
            size += 1
            if size > 62:
                raise UserError("the coded numbers make no sense (one has no end)")
        past = 1
        for bit in self._bits(size - 1, _coin()).tolist() if size > 1 else []:
            past = 2 * past + bit
        return -(most + past) if negative else most + past


def library() -> Any:
    """The streams of constriction. Raises UserError where it is not installed."""
    try:
        module: Any = import_module("constriction")
    except ImportError:
        raise UserError("compressing needs the package constriction: pip install 'limner[codec]'") from None
    return module.stream


@functools.cache
def _model(table: int) -> Any:
    """A table as the coder takes it: quotients by a power of two, so exact in floating point."""
    counts = book.flag_counts(table - FLAG) if table >= FLAG else book.counts(table)
    return library().model.Categorical(np.array(counts, np.float64) / book.TOTAL, perfect=False)


@functools.cache
def _coin() -> Any:
    return library().model.Uniform(2)
