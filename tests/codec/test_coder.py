"""The coder: what goes in comes out, in hardly more bytes than the ideal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.codec.coder import Reader, Writer
from limner.codec.container import Parts, pack, pack_rows, unpack, unpack_rows, varint
from limner.core import tables
from limner.core.errors import UserError

pytest.importorskip("constriction")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(-(2**40), 2**40), st.integers(0, tables.TABLES - 1)), max_size=40))
def test_any_numbers_under_any_tables_come_back(pairs: list[tuple[int, int]]) -> None:
    symbols, under = (np.array(column, np.int64) for column in (zip(*pairs, strict=True) if pairs else ([], [])))
    to = Writer()
    for _ in range(2):
        to.put(symbols, under)
        to.put_flags(symbols % 2, under % 64)
    source = Reader(to.done())
    for _ in range(2):
        assert np.array_equal(source.take(under), symbols)
        assert np.array_equal(source.take_flags(under % 64), symbols % 2)


def test_what_is_beyond_a_table_escapes() -> None:
    reach = tables.reach(0)
    symbols = np.array([reach, reach + 1, -reach - 1, -reach, 0, 10**6, -(10**12)], np.int64)
    to = Writer()
    to.put(symbols, np.zeros(7, np.int64))
    assert np.array_equal(Reader(to.done()).take(np.zeros(7, np.int64)), symbols)


def test_length_is_the_ideal_within_half_a_percent() -> None:
    rng = np.random.default_rng(0)
    under = rng.integers(24, 80, 20_000)
    wide = np.array([tables.scale(t) for t in under.tolist()])
    symbols = np.rint(rng.laplace(0, wide)).astype(np.int64)
    to = Writer()
    to.put(symbols, under)
    assert to.ideal == pytest.approx(tables.ideal_bits(symbols, under), rel=1e-9)
    assert to.ideal / 8 - 1 <= len(to.done()) <= 1.005 * to.ideal / 8 + 4


def test_flags_cost_what_they_tell() -> None:
    flags = (np.random.default_rng(0).random(50_000) < 0.03).astype(np.int64)
    to = Writer()
    to.put_flags(flags, np.full(50_000, tables.flag_level(0.03)))
    entropy = -50_000 * (0.03 * np.log2(0.03) + 0.97 * np.log2(0.97)) / 8
    assert len(to.done()) < 1.03 * entropy


def test_varints_and_rows() -> None:
    assert [varint(v) for v in (0, 127, 128, 300)] == [b"\0", b"\x7f", b"\x80\1", b"\xac\2"]
    rows = [np.array([], np.int64), np.array([-32768, 32767, 5], np.int64), np.zeros(1000, np.int64)]
    packed = pack_rows(rows)
    assert all(np.array_equal(a, b) for a, b in zip(unpack_rows(packed, 3), rows, strict=True)) and len(packed) < 60


PARTS = Parts("0123456789abcdef", ((28, 28, 1), (30, 2, 1)), ("a.png", "ä/b.png"), "v", b"told", b"coded" * 9)


def test_a_file_says_what_was_put_in() -> None:
    assert unpack(pack(PARTS)) == PARTS
    alike = Parts("0123456789abcdef", ((28, 28, 1),) * 1000, (), "g", b"", b"")
    assert unpack(pack(alike)) == alike and len(pack(alike)) < 28


def test_every_flipped_bit_and_every_cut_is_noticed() -> None:
    content = pack(PARTS)
    for at in range(len(content)):
        with pytest.raises(UserError, match="another version" if at == 4 else r"damaged|no \.limn file"):
            unpack(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        with pytest.raises(UserError, match=r"damaged|no \.limn|another version"):
            unpack(content[:at])
